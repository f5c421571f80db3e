"""What a chunk logs, on the host."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from research.engine.cadence import Chunk
from research.engine.chunk import NEVER, start_status
from research.task import Mean


class Record(NamedTuple):
    """A chunk, on the host.

    Attributes:
      chunk: which steps it took.
      logged: name -> `Mean` with float32 fields [logs, R].
      evaluated: name -> `Mean` with float32 fields [R]; empty where there was no evaluation.
      diverged: int32 [R], the status of the runs after the chunk, its evaluation included, as of
        `Logged`.
      seconds: wall time since training began, when the host had it.
    """

    chunk: Chunk
    logged: dict[str, Mean]
    evaluated: dict[str, Mean]
    diverged: np.ndarray
    seconds: float


class Diverged(NamedTuple):
    """A run that became non-finite, and at which step, counted from 0."""

    run: int
    step: int


def value(mean: Mean) -> np.ndarray:
    """total / weight, and NaN where there is nothing to average."""
    weight = np.asarray(mean.weight)
    nothing = np.full(weight.shape, np.nan, np.float32)
    return np.divide(mean.total, weight, out=nothing, where=weight != 0)


def as_typed(column: np.ndarray) -> np.ndarray:
    """Hyper-parameters as the user typed them: float32 0.1 is 0.1, not 0.10000000149."""
    if column.dtype == np.float32:
        return np.array([float(str(value)) for value in column])
    return column


def diverged_runs(status: np.ndarray) -> list[Diverged]:
    """The runs that have diverged, by their status, int32 [R]."""
    return [Diverged(int(run), int(status[run])) for run in np.flatnonzero(status < NEVER)]


def as_status(diverged: Iterable[Diverged | Sequence[int]], runs: int) -> np.ndarray:
    """Undoes `diverged_runs`, also of what JSON made of it: int32 [R]."""
    status = start_status(runs)
    for run, step in diverged:
        status[run] = step
    return status
