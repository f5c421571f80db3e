"""Writes the metrics of a job into the run folder, some records at a time."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from research.engine.metrics import Record, as_status, diverged_runs, value
from research.engine.rows import labels_of, record_table
from research.runs.early_stop import stopped_runs, stops_of
from research.task import Task

FLUSH_EVERY = 2.0  # seconds; while chunks end, metrics reach the disk at least this often


class MetricsWriter:
    """Turns the records of one job into rows, and writes them some at a time.

    Attributes:
      clock: (step, seconds since training began) at the end of each chunk.
      status: int32 [R], the status of the runs of the job, as of `Logged`.
      scores: the key metric of each run when it was last evaluated, float32 [R]; NaN before.
      stopped: the place of each run that a scheduler has stopped -> the step, and why.
    """

    def __init__(
        self,
        write: Callable[[int, pa.Table], None],
        labels: Mapping[str, np.ndarray],
        schema: pa.Schema,
        task: Task,
        before: Mapping[str, Any] | None = None,
    ):
        """
        Args:
          write: takes the number of a file and its rows.
          labels: as `row_labels` gives them.
          schema: the columns.
          task: that the runs are of.
          before: what `position` gave where the job was cut off.
        """
        self._write, self._labels, self._schema, self._task = write, labels, schema, task
        self._tables: list[pa.Table] = []
        before = before or {"files": 0, "clock": [], "diverged": [], "scores": None}
        self._files: int = before["files"]
        self.clock: list[tuple[int, float]] = [(step, at) for step, at in before["clock"]]
        self.status = as_status(before["diverged"], len(labels["run"]))
        self.scores = _from_plain(before["scores"] or [None] * len(labels["run"]))
        self.stopped = stops_of(before.get("stopped", []))
        self._flushed = self.seconds

    @property
    def seconds(self) -> float:
        """The seconds that the runs have been trained for."""
        return self.clock[-1][1] if self.clock else 0.0

    def add(self, record: Record) -> None:
        """Takes a record, and writes if the last write was a while ago."""
        labels = labels_of(self._labels, record)
        table = record_table(record, labels, self._schema, self._task.work_after)
        self._tables.append(table)
        self.clock.append((record.chunk.end, record.seconds))
        places = slice(None) if record.places is None else record.places
        self.status = _changed(self.status, places, record.diverged)
        if self._task.key_metric in record.evaluated:
            scores = value(record.evaluated[self._task.key_metric])
            self.scores = _changed(self.scores, places, scores)
        if record.seconds - self._flushed >= FLUSH_EVERY:
            self.flush()
            self._flushed = record.seconds

    def flush(self) -> None:
        """Writes what has not been written.

        Raises:
          OSError: if the disk is full; nothing is lost, and it can be tried again.
        """
        if self._tables:
            self._write(self._files, pa.concat_tables(self._tables))
            self._tables = []
            self._files += 1

    def position(self) -> dict[str, Any]:
        """The state of the writer, in JSON types, from which another writer can resume."""
        return {
            "files": self._files,
            "clock": self.clock,
            "diverged": diverged_runs(self.status),
            "scores": plain(self.scores),
            "stopped": stopped_runs(self.stopped, range(len(self.status))),
        }


def _changed(values: np.ndarray, places: Any, new: np.ndarray) -> np.ndarray:
    """A copy with other values at some places."""
    changed = values.copy()
    changed[places] = new
    return changed


def plain(values: np.ndarray) -> list[float | None]:
    """Returns numbers as JSON has them: None where they are not finite."""
    return [float(value) if np.isfinite(value) else None for value in values]


def _from_plain(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float32)
