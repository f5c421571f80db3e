"""Checkpoints: the whole states of runs, written every few minutes, from which a sweep resumes.

    checkpoints/JOB/000000123/state/...   the states after step 123, as orbax writes them
    checkpoints/JOB/000000123/facts.json  facts saved with them, and a digest of every file

A checkpoint is complete or absent: a thread writes it under another name and then renames it. The
last two are kept. Files are compared with their digests before anything is read, since orbax does
not notice a flipped bit.
"""

import concurrent.futures
import contextlib
import copy
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from research.atomic import new_folder, sync_folder, write_bytes
from research.errors import UserError
from research.folders import check_is_file, check_is_no_link, files_in
from research.plain_text import shortened
from research.recorded import RecordedCheckpoint, checked, read_json
from research.runs.tensors import check_like, named_leaves

KEPT = 2


class Checkpoint(NamedTuple):
    """One checkpoint, read back.

    Attributes:
      step: how far the runs had come.
      states: a pytree of host arrays [runs, ...].
      facts: JSON types that were saved with the states.
    """

    step: int
    states: Any
    facts: dict[str, Any]


class Checkpoints:
    """The checkpoints of one job, for the process that trains it. A context manager, which waits
    for what is being written."""

    def __init__(self, folder: Path, seal: Any = None):
        """
        Args:
          folder: of the job.
          seal: JSON types that say whose states these are. It is written into each checkpoint, and
            one that has another is not read.
        """
        self.folder = folder.absolute()  # as orbax wants it
        self._seal = seal
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._writing: concurrent.futures.Future[None] | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self._thread.shutdown()

    def steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in files_in(self.folder) if path.name.isdecimal())

    def save(self, step: int, states: Any, facts: dict[str, Any]) -> None:
        """Begins to write a checkpoint in a thread; the arrays must not change any more.

        Raises:
          OSError: if the previous checkpoint could not be written, or the folder cannot be made.
        """
        self.wait()
        now = copy.deepcopy(facts)  # training continues and adds to them
        self.folder.mkdir(exist_ok=True)
        check_is_no_link(self.folder)
        before = self.folder.stat()  # it may be moved away before the thread comes to it
        self._writing = self._thread.submit(self._write, step, states, now, before)

    def wait(self) -> None:
        """Waits until the checkpoint that is being written is on the disk.

        Raises:
          OSError: if it could not be written; earlier checkpoints are unchanged.
        """
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def latest(self, template: Any) -> Checkpoint | None:
        """Returns the last checkpoint, bit for bit, in the structure of `template`, or None.

        Args:
          template: a pytree of arrays or `jax.ShapeDtypeStruct`.

        Raises:
          UserError: if it is damaged, sealed for another experiment, or a name, shape or dtype
            differs. Nothing is removed: once the user moves a damaged one away, the one before it
            is the last.
        """
        steps = self.steps()
        return self.load(steps[-1], template) if steps else None

    def load(self, step: int, template: Any) -> Checkpoint:
        """Returns the checkpoint of a certain step; else as `latest`."""
        path = self.folder / f"{step:09}"
        facts = _checked_facts(path)
        if facts.get("step") != step or facts.get("seal") != self._seal:
            raise UserError(
                f"the checkpoint {path} is of another experiment, of other runs or of another step "
                "than its folder: move it away, and put the one back that belongs there"
            )
        check_like(facts["leaves"], template, path)
        leaves = _read_state(path / "state", jax.tree.leaves(template))
        states = jax.tree.unflatten(jax.tree.structure(template), leaves)
        return Checkpoint(step, states, facts["facts"])

    def remove(self) -> None:
        """Removes all checkpoints of the job."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, step: int, states: Any, facts: dict[str, Any], before: os.stat_result) -> None:
        place, leaves = self.folder / f"{step:09}", named_leaves(states)
        with _in_place(self.folder, before), new_folder(place) as staging:
            _write_state(staging / "state", list(leaves.values()))
            described = {name: [str(leaf.dtype), list(leaf.shape)] for name, leaf in leaves.items()}
            content = {
                "step": step, "seal": self._seal, "facts": facts, "leaves": described,
                "digests": _digests(staging),
            }  # fmt: skip
            sealed = {"content": content, "digest": _digest_of(content)}
            write_bytes(staging / "facts.json", json.dumps(sealed).encode())
            sync_folder(staging)
            shutil.rmtree(place, ignore_errors=True)  # only where its digests were wrong
        sync_folder(self.folder)
        for old in self.steps()[:-KEPT]:
            shutil.rmtree(self.folder / f"{old:09}")


def _key(index: int) -> str:
    """The name of a leaf in a file: its number."""
    return f"{index:05}"


@contextlib.contextmanager
def _in_place(folder: Path, before: os.stat_result) -> Iterator[None]:
    """Raises an `OSError` unless a folder is the one that it was before. What orbax makes anew in
    its place, if it is moved away meanwhile, is removed after the error."""
    is_there = lambda: folder.is_dir() and os.path.samestat(before, folder.stat())
    try:
        if not is_there():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
        yield
    except BaseException:
        if folder.is_dir() and not is_there():
            with contextlib.suppress(OSError):  # as where it holds anything
                for path in (folder, *folder.parents[:2]):
                    path.rmdir()
        raise


def _write_state(path: Path, leaves: list[Any]) -> None:
    try:
        with _orbax().PyTreeCheckpointer() as writer:
            some = {_key(index): leaf for index, leaf in enumerate(leaves) if np.size(leaf)}
            writer.save(path, some)  # orbax refuses leaves without entries
    except BaseException as error:
        _remove_settled(path.parent)
        if not isinstance(error, ValueError):
            raise
        found = re.search(r"os_error_code='(\d+)'", str(error))  # as where the disk is full
        code = int(found[1]) if found else None
        if code is None and str(error).startswith("NOT_FOUND"):  # where the folder is moved away
            code = errno.ENOENT
        if code is None:
            raise
        raise OSError(code, os.strerror(code)) from error


def _read_state(path: Path, expected: list[Any]) -> list[np.ndarray]:
    """The leaves of a state, of the shapes and dtypes that are expected."""
    try:
        with _orbax().PyTreeCheckpointer() as reader:
            found = reader.restore(path)
    except Exception as error:  # of any kind: orbax and what it reads with have many
        reason = shortened(" ".join(str(error).split()), 200)
        raise UserError(f"the checkpoint {path.parent} is damaged: {reason}") from error
    if not isinstance(found, dict):
        raise UserError(f"the checkpoint {path.parent} is damaged: it holds no leaves")
    leaves = []
    for index, leaf in enumerate(expected):
        one = found.get(_key(index)) if leaf.size else np.zeros(leaf.shape, leaf.dtype)
        leaves.append(np.asarray(one))
        if leaves[-1].shape != leaf.shape or leaves[-1].dtype != leaf.dtype:
            raise UserError(f"the checkpoint {path.parent} is damaged: leaf {index} is another")
    return leaves


def _remove_settled(path: Path) -> None:
    """Removes a folder in which orbax failed, until nothing is made in it for a moment: after the
    first error its other writes go on."""
    quiet, deadline = 0, time.monotonic() + 10
    while quiet < 4 and time.monotonic() < deadline:
        quiet = 0 if path.exists() else quiet + 1
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.05)


def _orbax() -> Any:
    """Imports orbax, which few sweeps need, and silences its logs, since it also raises errors.

    Writes that go on after the first error find their event loop closed, and tensorstore has
    Python print a traceback for each. These are not shown either.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    import orbax.checkpoint

    if sys.unraisablehook is not _without_closed_loops:
        _hooks.append(sys.unraisablehook)
        sys.unraisablehook = _without_closed_loops
    return orbax.checkpoint


_hooks: list[Any] = []  # what was `sys.unraisablehook` before


def _without_closed_loops(unraisable: Any) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
        _hooks[-1](unraisable)


def _digests(folder: Path) -> dict[str, str]:
    """The digest of every file, except those that macOS leaves beside others for a while."""
    found = (path for path in folder.rglob("*") if not path.name.startswith("._"))
    files = sorted(path for path in found if path.is_file())
    return {str(path.relative_to(folder)): _digest(path) for path in files}


def _digest(path: Path) -> str:
    check_is_file(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _checked_facts(path: Path) -> dict[str, Any]:
    """The facts saved with a checkpoint, after checking that all its files are as written."""
    try:
        sealed = read_json(path / "facts.json")
        content, digest = sealed["content"], sealed["digest"]
    except (UserError, KeyError, TypeError):
        raise UserError(_damaged(path, "facts.json")) from None
    if _digest_of(content) != digest:
        raise UserError(_damaged(path, "facts.json"))
    content = checked(content, RecordedCheckpoint, path / "facts.json")
    there = _digests(path)  # these files, and none that the facts may name elsewhere
    for name, digest in content["digests"].items():
        if there.get(name) != digest:
            raise UserError(_damaged(path, name))
    return content


def _damaged(path: Path, name: str) -> str:
    others = [p.name for p in files_in(path.parent) if p.name.isdecimal() and p != path]
    before = f"the one of step {int(others[-1])}" if others else "the beginning"
    return (
        f"the checkpoint {path} is damaged: {name} is not what was written; move it away to resume "
        f"from {before}"
    )
