"""The metrics of a chunk on the host, and the status of its runs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from research.engine.cadence import Chunk
from research.engine.chunk import NEVER, start_status
from research.task import Mean


class Record(NamedTuple):
    """The metrics of one chunk, on the host.

    Attributes:
      chunk: which steps it took.
      logged: name -> `Mean` with float32 fields [logs, R].
      evaluated: name -> `Mean` with float32 fields [R]; empty where there was no evaluation.
      diverged: int32 [R], the status of the runs after the chunk, its evaluation included, as of
        `Logged`.
      seconds: wall time since training began, when the host had it.
      places: int [R], which of the runs that are trained together these are, in increasing order;
        None: all of them. Those that have stopped are no longer there.
    """

    chunk: Chunk
    logged: dict[str, Mean]
    evaluated: dict[str, Mean]
    diverged: np.ndarray
    seconds: float
    places: np.ndarray | None = None


class Diverged(NamedTuple):
    """A run that became non-finite, and the step at which it did, counted from 0."""

    run: int
    step: int


def value(mean: Mean) -> np.ndarray:
    """Returns total / weight, and NaN where the weight is 0."""
    weight = np.asarray(mean.weight)
    nothing = np.full(weight.shape, np.nan, np.float32)
    return np.divide(mean.total, weight, out=nothing, where=weight != 0)


def as_typed(column: np.ndarray) -> np.ndarray:
    """Returns hyper-parameters as the user typed them: float32 0.1 as 0.1, not 0.10000000149."""
    if column.dtype == np.float32:
        return np.array([float(str(value)) for value in column])
    return column


def diverged_runs(status: np.ndarray) -> list[Diverged]:
    """Returns the runs that have diverged, from their status, int32 [R]."""
    return [Diverged(int(run), int(status[run])) for run in np.flatnonzero(status < NEVER)]


def as_status(diverged: Iterable[Diverged | Sequence[int]], runs: int) -> np.ndarray:
    """Returns the status, int32 [R], from what `diverged_runs` returned, also after a round trip
    through JSON."""
    status = start_status(runs)
    for run, step in diverged:
        status[run] = step
    return status
