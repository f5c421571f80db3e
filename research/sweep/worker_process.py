"""A worker process: the command that starts it, where its lines go, and what its exit status
means."""

import io
import signal
import sys
from collections.abc import Sequence
from typing import Any

FINAL = (0, 2, 130)  # nothing left to take; bad input or an unusable folder; an interrupt


def worker_command(experiment: str, flags: Sequence[str]) -> list[str]:
    """What starts a worker.

    Args:
      experiment: the path of the script.
      flags: `--resume FOLDER`, and what is to be other than the folder says.
    """
    return [sys.executable, experiment, *flags, "--worker"]


def outlive_reader() -> None:
    """From now on, lines that nobody reads any more are no error: a worker whose launcher was
    killed is to save and leave, not to fail at the next line that it prints."""
    sys.stdout = _text_to(sys.stdout.fileno())
    sys.stderr = _text_to(sys.stderr.fileno())


class _Pipe(io.FileIO):
    """A file that takes all it is given, read or not."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


def _text_to(handle: int) -> io.TextIOWrapper:
    file = io.BufferedWriter(_Pipe(handle, "w", closefd=False))
    return io.TextIOWrapper(file, encoding="utf-8", errors="replace", line_buffering=True)


def is_final(status: int) -> bool:
    """Whether another try would end in the same way."""
    return status in FINAL


def was_asked_to_stop(status: int) -> bool:
    """Whether it was SIGTERM that ended it, waited for or not."""
    return status in (-signal.SIGTERM, 128 + signal.SIGTERM)


def describe_end(status: int) -> str:
    """How a worker ended, in words; a negative status is a signal, as in `subprocess`."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    if was_asked_to_stop(status):
        return "was stopped by SIGTERM"
    return f"left with status {status}"
