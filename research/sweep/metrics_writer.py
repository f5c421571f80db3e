"""Records on their way to the run folder."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from research.sweep.axes import Runs
from research.sweep.engine import first_divergences
from research.sweep.metrics import Diverged, Record, record_table
from research.sweep.run_folder import RunFolder
from research.task import Task

FLUSH_EVERY = 2.0  # seconds; while chunks end, metrics reach the disk at least this often


class MetricsWriter:
    """Turns the records of one group into rows, and hands them to the folder some at a time.

    Attributes:
      clock: (step, seconds since training began) at the end of each chunk.
      diverged: the runs that became non-finite so far; runs are counted from 0 in the group.
    """

    def __init__(
        self,
        folder: RunFolder,
        runs: Runs,
        schema: pa.Schema,
        first_run: int,
        labels: Mapping[str, Any],
        task: Task,
    ):
        self.clock: list[tuple[int, float]] = []
        self.diverged: list[Diverged] = []
        self._folder, self._runs, self._schema = folder, runs, schema
        self._columns: dict[str, Any] = {
            "first_run": first_run,
            "config_columns": labels,
            "work_after": task.work_after,
        }
        self._tables: list[pa.Table] = []
        self._flushed = 0.0

    def add(self, record: Record) -> None:
        """Takes a record, and writes if the last write was a while ago."""
        self._tables.append(record_table(record, self._runs, self._schema, **self._columns))
        self.clock.append((record.chunk.end, record.seconds))
        known = {diverged.run for diverged in self.diverged}
        self.diverged += [new for new in first_divergences([record]) if new.run not in known]
        if record.seconds - self._flushed >= FLUSH_EVERY:
            self.flush()
            self._flushed = record.seconds

    def flush(self) -> None:
        """Writes what has not been written."""
        if self._tables:
            self._folder.append_metrics(pa.concat_tables(self._tables))
            self._tables = []
