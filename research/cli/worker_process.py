"""How a worker process is started, and what its exit status means."""

import signal
import sys
from collections.abc import Sequence

IN_UTF8 = {"PYTHONIOENCODING": "utf-8"}  # whatever the terminal shows, its lines arrive whole
FINAL = (0, 2, 130)  # nothing left to take; bad input or an unusable folder; an interrupt


def worker_command(experiment: str, flags: Sequence[str]) -> list[str]:
    """Returns the command that starts a worker.

    Args:
      experiment: the path of the recipe.
      flags: `--resume FOLDER`, and flags that change what the folder records.
    """
    return [sys.executable, experiment, *flags, "--worker"]


def is_final(status: int) -> bool:
    """Returns whether another try would end in the same way."""
    return status in FINAL


def was_asked_to_stop(status: int) -> bool:
    """Returns whether SIGTERM ended a worker, whether or not it handled the signal."""
    return status in (-signal.SIGTERM, 128 + signal.SIGTERM)


def describe_end(status: int) -> str:
    """Returns how a worker ended, in words; a negative status is a signal, as in `subprocess`."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    if was_asked_to_stop(status):
        return "was stopped by SIGTERM"
    return f"left with status {status}"
