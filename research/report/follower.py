"""Follows a run folder while its sweep trains, and summarizes new steps over seeds.

Shape letters: N rows, S seeds of a setting, T steps, M metrics.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from research.errors import UserError
from research.folders import check_is_file, files_in
from research.recorded import read_manifest
from research.report.metrics_table import check_columns
from research.report.read import swept_fields
from research.report.settings import show
from research.report.statistics import interquartile_mean

NEVER = np.iinfo(np.int64).max  # the step from which on a finite run is left out


class TrackedSetting(NamedTuple):
    """A setting whose runs are still being trained.

    Attributes:
      number: its place among the settings.
      label: its swept values, as they are shown.
      config: all its values, field -> number, word or list, and how many seeds it has.
      key_metric: what settings are compared by.
    """

    number: int
    label: str
    config: dict[str, Any]
    key_metric: str


class SeedSummary(NamedTuple):
    """The statistics of a setting over its seeds, at some steps.

    Attributes:
      steps: int64 [T], increasing.
      shown: int64 [T], the steps as they are shown: the work where intervals are in work.
      values: tag -> float64 [T], NaN where nothing was measured.
    """

    steps: np.ndarray
    shown: np.ndarray
    values: dict[str, np.ndarray]

    def after(self, step: int) -> "SeedSummary":
        """The summary of the steps after a step."""
        new = self.steps > step
        values = {tag: values[new] for tag, values in self.values.items()}
        return SeedSummary(self.steps[new], self.shown[new], values)


class Sink(Protocol):
    """A destination of summaries, such as a tracker."""

    def last_step(self, setting: int) -> int:
        """The last step of a setting that was written, in an earlier session, too; 0 if none."""
        ...

    def write(self, setting: TrackedSetting, summary: SeedSummary) -> None:
        """Writes the new steps of a setting."""
        ...

    def save(self) -> None:
        """Records what was written, for a later session."""
        ...


class _Rows(NamedTuple):
    """Rows of the metrics: int64 [N] each, and float64 [N, M], NaN where nothing was measured."""

    run: np.ndarray
    step: np.ndarray
    shown: np.ndarray
    values: np.ndarray

    def where(self, chosen: np.ndarray) -> "_Rows":
        return _Rows(*(column[chosen] for column in self))


class Follower:
    """Reads what is new in a run folder and hands it on.

    A step of a setting is handed on once all its runs have reached it, but for those that became
    non-finite before. So what is handed on does not depend on when the folder is looked at.
    """

    def __init__(self, folder: Path, sinks: Sequence[Sink]):
        """
        Args:
          folder: a run folder.
          sinks: what to write to.

        Raises:
          UserError: if it is no run folder.
        """
        self._metrics, self._sinks = folder / "metrics", sinks
        self._manifest = read_manifest(folder)
        self._seeds = len(self._manifest["seeds"])
        runs = sum(group["runs"] for group in self._manifest["groups"])
        if runs % self._seeds:
            raise UserError(f"{folder} is damaged: {runs} runs of {self._seeds} seeds")
        self._read_files: dict[str, tuple[int, int]] = {}  # name -> when it was made, its bytes
        self._known: dict[int, TrackedSetting] = {}
        self._names: list[str] = []  # of the metrics
        self._pending: list[_Rows] = []
        self._reached = np.zeros(runs, np.int64)
        self._bad_from = np.full(runs, NEVER)

    def has_news(self) -> bool:
        """Whether there are files that were not read yet."""
        return any(True for _ in self._new_files())

    def update(self) -> None:
        """Summarizes the new steps of the folder and writes them to all sinks.

        Raises:
          OSError: if something cannot be read or written.
        """
        new = [rows for path, stamp in self._new_files() for rows in self._read(path, stamp)]
        if not new:
            return
        rows = _Rows(*map(np.concatenate, zip(*self._pending, *new, strict=True)))
        setting, frontier = rows.run // self._seeds, self._frontier()
        ready = rows.step <= frontier[setting]
        self._pending = [rows.where(~ready)]
        ready &= rows.step > self._written()[setting]
        for number in np.unique(setting[ready]):
            summary = self._sum_up(number, rows.where(ready & (setting == number)))
            for sink in self._sinks:
                sink.write(self._known[number], summary.after(sink.last_step(number)))
        for sink in self._sinks:
            sink.save()

    def _new_files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Files that were not read yet, with the time and size that tell them from earlier ones of
        that name: a job that resumes writes its last files again, cut at other steps."""
        expected = Counter[str]()
        for path in files_in(self._metrics, "*.parquet"):
            job, _, number = path.stem.rpartition("-")
            if not number.isdecimal() or int(number) != expected[job]:
                continue  # the one before was missed in this listing, and is there in the next
            expected[job] += 1
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # to be written again
            stamp = stat.st_mtime_ns, stat.st_size
            if self._read_files.get(path.name) != stamp:
                yield path, stamp

    def _read(self, path: Path, stamp: tuple[int, int]) -> Iterator[_Rows]:
        """The rows of a file; no rows if it no longer exists."""
        try:
            check_is_file(path)
            table = pq.ParquetFile(path).read(use_threads=False)
        except FileNotFoundError:
            return
        check_columns(table.schema, self._manifest, path)
        self._read_files[path.name] = stamp
        self._names = table.column_names[table.column_names.index("work") + 1 :]
        run, step = (table[name].to_numpy().astype(np.int64) for name in ("run", "step"))
        if len(run) and not 0 <= run.min() <= run.max() < len(self._reached):
            raise UserError(f"{path} is damaged: runs {run.min()} to {run.max()}")
        shown = table["work" if self._manifest["in_work"] else "step"].to_numpy()
        columns = [table[name].to_numpy().astype(np.float64) for name in self._names]
        values = np.stack(columns, 1)
        if "diverged" in table.column_names:
            bad = table["diverged"].is_valid().to_numpy()
        else:  # written by an older version; the manifest names them in the end
            bad = np.zeros(len(run), bool)
        np.maximum.at(self._reached, run, step)
        np.minimum.at(self._bad_from, run[bad], step[bad])
        for number, row in zip(*np.unique(run // self._seeds, return_index=True), strict=True):
            if number not in self._known:
                self._known[number] = self._describe(number, table.slice(row, 1))
        yield _Rows(run, step, shown, values)

    def _describe(self, number: int, row: pa.Table) -> TrackedSetting:
        """The setting that one row of its runs belongs to."""
        columns = row.column_names[: row.column_names.index("step")]
        given = {name: row[name][0].as_py() for name in columns if name not in ("run", "seed")}
        label = (
            ", ".join(f"{name} {show(given[name])}" for name in swept_fields(self._manifest))
            or "all"
        )
        config = {**self._manifest["config"], **given, "seeds": self._seeds}
        return TrackedSetting(int(number), label, config, self._manifest["key_metric"])

    def _frontier(self) -> np.ndarray:
        """The last step that all finite runs of each setting have reached: int64 [settings]."""
        reached = np.where(self._bad_from == NEVER, self._reached, NEVER)
        return reached.reshape(-1, self._seeds).min(axis=1)

    def _written(self) -> np.ndarray:
        """The last step of each setting that all sinks have: int64 [settings]."""
        settings = range(len(self._reached) // self._seeds)
        return np.array([min(sink.last_step(n) for sink in self._sinks) for n in settings])

    def _sum_up(self, setting: int, rows: _Rows) -> SeedSummary:
        first = setting * self._seeds
        steps, at, place = np.unique(rows.step, return_index=True, return_inverse=True)
        values_SxTxM = np.full((self._seeds, len(steps), len(self._names)), np.nan)
        values_SxTxM[rows.run - first, place] = rows.values
        out_SxT = self._bad_from[first : first + self._seeds, None] <= steps
        values_SxTxM[out_SxT] = np.nan
        statistics = {
            f"{name}/{statistic}": values_TxM[:, column]
            for statistic, values_TxM in _over_seeds(values_SxTxM).items()
            for column, name in enumerate(self._names)
        }
        left_out = {"left_out": out_SxT.sum(axis=0).astype(np.float64)}
        return SeedSummary(steps, rows.shown[at], statistics | left_out)


def _over_seeds(values: np.ndarray) -> dict[str, np.ndarray]:
    """Statistic -> float64 [T, M] of the values [S, T, M] that were measured; NaN where none."""
    ordered = np.sort(values.reshape(len(values), -1), axis=0)  # NaN comes last
    counts = (~np.isnan(ordered)).sum(axis=0)
    iqm, most = np.full((2, ordered.shape[1]), np.nan)
    for count in np.unique(counts[counts > 0]):
        columns = counts == count
        iqm[columns] = interquartile_mean(ordered[:count, columns])
        most[columns] = ordered[count - 1, columns]
    results = {"iqm": iqm, "least": ordered[0], "most": most}
    return {name: result.reshape(values.shape[1:]) for name, result in results.items()}
