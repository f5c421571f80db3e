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
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from research.atomic import new_folder, sync_folder, write_bytes
from research.errors import UserError
from research.folders import files_in
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
          OSError: if the previous checkpoint could not be written.
        """
        self.wait()
        now = copy.deepcopy(facts)  # training continues and adds to them
        self._writing = self._thread.submit(self._write, step, states, now)

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
        with _orbax().PyTreeCheckpointer() as reader:
            found = reader.restore(path / "state")
        leaves = [
            np.asarray(found[_key(index)]) if leaf.size else np.zeros(leaf.shape, leaf.dtype)
            for index, leaf in enumerate(jax.tree.leaves(template))
        ]
        return Checkpoint(
            step, jax.tree.unflatten(jax.tree.structure(template), leaves), facts["facts"]
        )

    def remove(self) -> None:
        """Removes all checkpoints of the job."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, step: int, states: Any, facts: dict[str, Any]) -> None:
        place, leaves = self.folder / f"{step:09}", named_leaves(states)
        with _where_it_is(self.folder), new_folder(place) as staging:
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
def _where_it_is(folder: Path) -> Iterator[None]:
    """Makes the folder of a job where its parent is. If that is moved away meanwhile, what orbax
    makes anew at the old place is removed after the error."""
    folder.mkdir(exist_ok=True)
    before = folder.stat()
    try:
        yield
    except BaseException:
        if folder.is_dir() and not os.path.samestat(before, folder.stat()):
            with contextlib.suppress(OSError):  # as where it holds anything
                for path in (folder, *folder.parents[:2]):
                    path.rmdir()
        raise


def _write_state(path: Path, leaves: list[Any]) -> None:
    try:
        with _orbax().PyTreeCheckpointer() as writer:
            some = {_key(index): leaf for index, leaf in enumerate(leaves) if np.size(leaf)}
            writer.save(path, some)  # orbax refuses leaves without entries
    except ValueError as error:
        if code := re.search(r"os_error_code='(\d+)'", str(error)):  # as where the disk is full
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error
        raise


def _orbax() -> Any:
    """Imports orbax, which few sweeps need, and silences its log, since it also raises errors."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    import orbax.checkpoint

    return orbax.checkpoint


def _digests(folder: Path) -> dict[str, str]:
    """The digest of every file, except those that macOS leaves beside others for a while."""
    found = (path for path in folder.rglob("*") if not path.name.startswith("._"))
    files = sorted(path for path in found if path.is_file())
    return {str(path.relative_to(folder)): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _checked_facts(path: Path) -> dict[str, Any]:
    """The facts saved with a checkpoint, after checking that all its files are as written."""
    try:
        sealed = json.loads((path / "facts.json").read_text("utf-8"))
        content, digest = sealed["content"], sealed["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(_damaged(path, "facts.json")) from None
    if _digest_of(content) != digest:
        raise UserError(_damaged(path, "facts.json"))
    for name, digest in content["digests"].items():
        if not (path / name).is_file() or _digest(path / name) != digest:
            raise UserError(_damaged(path, name))
    return content


def _damaged(path: Path, name: str) -> str:
    others = [p.name for p in files_in(path.parent) if p.name.isdecimal() and p != path]
    before = f"the one of step {int(others[-1])}" if others else "the beginning"
    return (
        f"the checkpoint {path} is damaged: {name} is not what was written; move it away to resume "
        f"from {before}"
    )
