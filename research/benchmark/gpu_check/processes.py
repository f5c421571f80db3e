"""Runs a piece of the check in a process of its own, and reads what it finds while it runs.

Only such processes touch the device: each has all of its memory and flags of XLA of its own, and if
it dies or hangs, the check goes on.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
MARK = "found: "  # begins the lines of results among those of compilers
LAST_LINES = 30  # of what a process that failed wrote

Found = dict[
    str, Any
]  # a result; a failure has `error` and `traceback`, what is left out `skipped`


class Process:
    """A process whose lines are read as they come, and that is killed when its time is over.

    Attributes:
      over: whether its time was over.
      status: its exit status, once its lines have been read.
    """

    def __init__(
        self,
        call: Sequence[str],
        variables: Mapping[str, str],
        seconds: float,
        folder: Path | None = None,
    ):
        """
        Args:
          call: its words.
          variables: of its environment, beside those of this process.
          seconds: after which it is killed.
          folder: where it runs; where this process does, if not given.
        """
        self.call, self.seconds, self.folder = call, seconds, folder
        self.variables = os.environ | _on_path(ROOT) | dict(variables)
        self.over, self.status = False, 0
        self._errors: list[str] = []

    def lines(self) -> Iterator[str]:
        """Yields the lines that it prints; leaving early kills it."""
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
            subprocess.Popen(
                self.call, env=self.variables, stdout=subprocess.PIPE, stderr=errors,
                encoding="utf-8", errors="replace", cwd=self.folder, start_new_session=True,
            ) as process,
        ):  # fmt: skip
            timer = threading.Timer(self.seconds, self._end, [process])
            timer.start()
            try:
                assert process.stdout is not None
                yield from process.stdout
                self.status = process.wait()
            finally:
                timer.cancel()
                _kill(process)
                errors.seek(0)
                self._errors = errors.read().strip().splitlines()

    def _end(self, process: Any) -> None:
        self.over = True
        _kill(process)

    @property
    def reason(self) -> str:
        """Why it failed, in a line: its last one."""
        last = self._errors[-1] if self._errors else f"it ended with status {self.status}"
        return last.removeprefix("error: ")

    @property
    def errors(self) -> str:
        """The last lines of its standard error."""
        return "\n".join(self._errors[-LAST_LINES:])


def _kill(process: Any) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has ended
        process.poll()


def _on_path(folder: Path) -> dict[str, str]:
    """The variable that has Python import from a folder before what it imports from anyway."""
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *([before] if before else [])])}


def with_flags(flags: str) -> dict[str, str]:
    """Returns the variable that gives XLA flags beside those of this process."""
    return {"XLA_FLAGS": " ".join(filter(None, [os.environ.get("XLA_FLAGS"), flags]))}


def results_of(worker: str, arguments: Found, seconds: float, flags: str = "") -> Iterator[Found]:
    """Yields what a worker finds; at the end a failure, or what is left out, if there is any.

    Args:
      worker: a module of this folder, whose `work` yields results.
      arguments: for `work`, in JSON types.
      seconds: after which it is killed. It is told of them.
      flags: of XLA, for this process alone.
    """
    module = f"{__package__}.worker"
    words = json.dumps(arguments | {"seconds": seconds})
    process = Process([sys.executable, "-m", module, worker, words], with_flags(flags), seconds)
    for line in process.lines():
        if line.startswith(MARK):
            yield json.loads(line.removeprefix(MARK))
    if process.over:
        yield {"skipped": f"the rest of {worker}: its {seconds:.0f} s were over"}
    elif process.status:
        yield {"what": worker, "error": process.reason, "traceback": process.errors}


def attempt(what: str, function: Callable[..., Found], *args: Any) -> Found:
    """Returns what a function finds, or its failure."""
    try:
        return function(*args)
    except Exception as error:
        return failure(what, error)


def failure(what: str, error: BaseException) -> Found:
    """Returns an exception as a result: one line, and where it was raised."""
    line = (str(error).strip().splitlines() or [""])[0]
    name = type(error).__name__
    return {
        "what": what,
        "error": f"{name}: {line}" if line else name,
        "traceback": "".join(traceback.format_exception(error)),
    }
