"""What a chunk logs, on the host."""

from typing import NamedTuple

import numpy as np

from research.sweep.chunk import NEVER
from research.sweep.plan import Chunk
from research.task import Mean


class Record(NamedTuple):
    """A chunk, on the host.

    Attributes:
      chunk: which steps it took.
      logged: name -> `Mean` with float32 fields [logs, R].
      evaluated: name -> `Mean` with float32 fields [R]; empty where there was no evaluation.
      diverged: int32 [R], the first step at which a run was not finite, or `NEVER`.
      seconds: wall time since training began, when the host had it.
    """

    chunk: Chunk
    logged: dict[str, Mean]
    evaluated: dict[str, Mean]
    diverged: np.ndarray
    seconds: float


class Diverged(NamedTuple):
    """A run that became non-finite, and after which step."""

    run: int
    step: int


def value(mean: Mean) -> np.ndarray:
    """total / weight, and NaN where there is nothing to average."""
    weight = np.asarray(mean.weight)
    nothing = np.full(weight.shape, np.nan, np.float32)
    return np.divide(mean.total, weight, out=nothing, where=weight > 0)


def as_typed(column: np.ndarray) -> np.ndarray:
    """Hyper-parameters as a person typed them: float32 0.1 is 0.1, not 0.10000000149."""
    if column.dtype == np.float32:
        return np.array([float(str(value)) for value in column])
    return column


def diverged_runs(record: Record) -> list[Diverged]:
    """The runs that this record shows to be non-finite; evaluation counts as its last step."""
    step = record.diverged.astype(np.int64)
    for mean in record.evaluated.values():
        bad = (np.asarray(mean.weight) > 0) & ~np.isfinite(mean.total)
        step = np.where(bad, np.minimum(step, record.chunk.end - 1), step)
    return [Diverged(int(run), int(step[run])) for run in np.flatnonzero(step < NEVER)]
