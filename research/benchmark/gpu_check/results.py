"""The folder of a check: one file a part and a summary, each whole at any moment."""

import json
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from research.atomic import write_bytes
from research.benchmark.gpu_check.plan import CheckPlan, Clock
from research.benchmark.gpu_check.processes import Found, failure, results_of
from research.errors import UserError
from research.flags import check_writable
from research.folders import files_in
from research.plain_text import count_of

LEAST_SECONDS = 1.0  # with less, nothing is begun
Describe = Callable[[Sequence[Found]], list[str]]


def open_folder(path: Path) -> Path:
    """Returns the folder for the results, made if need be.

    Raises:
      UserError: if it is a file, holds anything, or cannot be made.
    """
    check_writable(path / "summary.txt", "--out", parents=True)
    path.mkdir(parents=True, exist_ok=True)
    if files_in(path):
        raise UserError(f"--out {path}: it is not empty; give a folder that is new")
    return path


class PartResults:
    """What one part of a check finds, written to its file with every result.

    Attributes:
      name: of the part.
      plan, machine: what the check measures, and on what.
      seconds: that the part has taken.
      earlier: the results of the parts before it, by name.
      results: what has been found.
      skipped: what was left out, and why.
      errors: what failed, each with the line and where it was raised.
      status: "running", then "finished"; "incomplete" if something was left out, "failed" if the
        part itself was, "skipped" if nothing was begun.
    """

    def __init__(
        self, check: "CheckResults", name: str, title: str, end: float, describe: Describe
    ):
        self._check, self._title, self._describe = check, title, describe
        self._end, self._began, self.seconds = end, check.clock.spent(), 0.0
        self.name, self.plan, self.machine = name, check.plan, check.machine
        self.status = "running"
        self.earlier = {part.name: part.results for part in check.parts}
        self.results: list[Found] = []
        self.skipped: list[str] = []
        self.errors: list[Found] = []

    def left(self) -> float:
        """Returns the seconds until this part has to end."""
        return self._check.clock.left(self._end)

    def collect(
        self, worker: str, arguments: Found, seconds: float | None = None, flags: str = "",
        **labels: Any,
    ) -> None:  # fmt: skip
        """Runs a worker and adds what it finds; see `results_of`.

        Args:
          worker, arguments, flags: as there.
          seconds: the most that it may take, if less than what is left.
          labels: added to each result.
        """
        seconds = min(self.left(), seconds or self.left())
        if seconds < LEAST_SECONDS:
            self.add(labels | {"skipped": f"{worker}: no time was left"})
            return
        for found in results_of(worker, arguments, seconds, flags):
            self.add(labels | found)

    def add(self, found: Found) -> None:
        """Adds a result, a failure or what is left out, and writes the file and the summary."""
        if "skipped" in found:
            self.skipped.append(": ".join(filter(None, [found.get("variant"), found["skipped"]])))
        elif "error" in found:
            self.errors.append(found)
        else:
            self.results.append(found)
        self.write()

    def write(self) -> None:
        """Writes the file and the summary."""
        self.seconds = self._check.clock.spent() - self._began
        names = ("status", "seconds", "results", "skipped", "errors")
        content = {"part": self._title, **{name: getattr(self, name) for name in names}}
        _write_json(self._check.folder / f"{self.name}.json", content)
        self._check.write_summary()

    def run(self, measure: Callable[["PartResults"], None], at_once: bool = False) -> None:
        """Measures; an exception ends this part and no other.

        Args:
          measure: finds the results.
          at_once: whether it takes no time, and so needs none.
        """
        if self.left() < LEAST_SECONDS and not at_once:
            self.status = "skipped"
            self.add({"skipped": "all of it: no time was left"})
            return
        self.write()
        try:
            measure(self)
            self.status = "incomplete" if self.skipped or self.errors else "finished"
        except Exception as error:
            self.status = "failed"
            self.errors.append(failure(self.name, error))
        self.write()

    def lines(self) -> Iterator[str]:
        """Yields what the summary says of it."""
        yield f"{self._title}: {self.status} after {self.seconds:.0f} s"
        try:
            yield from self._describe(self.results)
        except Exception:  # a summary must not end a check
            yield "no summary: " + traceback.format_exc().strip().splitlines()[-1]
        for found in self.errors:
            yield f"FAILED: {_where(found)}: {found['error']}"
        for what in self.skipped:
            yield f"left out: {what}"

    @property
    def is_right(self) -> bool:
        """Whether the part did not fail, and no result of it is wrong."""
        return self.status != "failed" and all(one.get("right", True) for one in self.results)


class CheckResults:
    """All parts of a check.

    Attributes:
      folder: where the files are.
      plan: what is measured.
      clock: the time of all parts.
      machine: what it is measured on.
      parts: those that have begun.
    """

    def __init__(self, folder: Path, plan: CheckPlan, clock: Clock, machine: Found):
        self.folder, self.plan, self.clock, self.machine = folder, plan, clock, machine
        self.parts: list[PartResults] = []

    def begin(self, name: str, title: str, end: float, describe: Describe) -> PartResults:
        """Returns the results of the next part, which has to end at a share of all time."""
        part = PartResults(self, name, title, end, describe)
        self.parts.append(part)
        return part

    def write_summary(self) -> None:
        """Writes what is known so far, as text and as JSON."""
        parts = [
            {"name": part.name, "status": part.status, "seconds": part.seconds,
             "lines": list(part.lines())}
            for part in self.parts
        ]  # fmt: skip
        content = {
            "machine": self.machine,
            "plan": vars(self.plan),
            "seconds": self.clock.spent(),
            "parts": parts,
        }
        _write_json(self.folder / "summary.json", content)
        write_bytes(self.folder / "summary.txt", ("\n".join(self.summary()) + "\n").encode())

    def summary(self) -> Iterator[str]:
        """Yields the lines of the summary."""
        device, versions = self.machine["device"], self.machine["versions"]
        count = count_of(device["count"], "device")
        yield f"{device['kind']} ({count}), {device['processor']}, jax {versions['jax']}"
        yield f"commit {self.machine['git_commit']}, {self.machine['started']}"
        for part in self.parts:
            yield ""
            first, *rest = part.lines()
            yield first
            yield from (f"  {line}" for line in rest)


def _where(found: Found) -> str:
    labels = (found.get(name) for name in ("variant", "what"))
    return ", ".join(label for label in labels if label)


def _write_json(path: Path, content: Any) -> None:
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())
