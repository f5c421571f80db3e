"""The interface through which a sweep reports its progress and is asked to stop."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from research.engine.metrics import Record
from research.engine.program import Program
from research.runs.experiment import Experiment, Part
from research.task import Task


class Stopping(Protocol):
    """Whether the sweep is to stop at the next chunk, and which signal asked for it."""

    signum: int | None

    def __bool__(self) -> bool: ...


class _Never:
    """Never asks to stop."""

    signum: int | None = None

    def __bool__(self) -> bool:
        return False


class Observer:
    """Reports nothing and never asks to stop. `research.cli.terminal.TerminalObserver` prints the
    reports and stops at a signal."""

    def say(self, line: str) -> None:
        """Is called with a line of text for the user."""

    def begin(
        self, experiment: Experiment, parts: Sequence[Part], folder: Path, resumed: bool
    ) -> None:
        """Is called before training, with the run folder and whether the sweep is resumed."""

    def compiled(self, label: str, program: Program) -> None:
        """Is called with the compiled program of a job, which knows its cost."""

    def trained(self, label: str, result: Mapping[str, Any], runs: int, task: Task) -> None:
        """Is called when a job has ended; `result` is its entry in the manifest."""

    def waiting(self, text: str) -> contextlib.AbstractContextManager[Any]:
        """Returns a context that is open while something takes long without showing progress."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def progress(
        self, label: str, task: Task, runs: int, start: int, stop: int, in_work: bool
    ) -> Iterator[Callable[[Record], None]]:
        """Is open while a job trains, and yields a function that is called with every record.

        Args:
          label: of the job.
          task: of its runs.
          runs: how many.
          start, stop: the steps that it trains from and to.
          in_work: whether to count the task's unit of work instead of steps.
        """
        yield lambda record: None

    def stopping(self) -> contextlib.AbstractContextManager[Stopping]:
        """Returns a context that is open while a job trains, and yields whether to stop."""
        return contextlib.nullcontext(NEVER_STOPPING)


NEVER_STOPPING: Stopping = _Never()
