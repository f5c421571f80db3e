"""The settings of a run folder, and their scores at the end, over seeds."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from research.report.read import RunFolderData, diverged_runs, swept
from research.report.statistics import Interval, iqm_interval


class Setting(NamedTuple):
    """The runs of one setting.

    Attributes:
      values: swept field -> value.
      rows: the metrics of its finite runs.
      seeds: how many runs it has.
      lost: the seeds of those that became non-finite and are in no statistic.
    """

    values: dict[str, Any]
    rows: Any  # pd.DataFrame
    seeds: int
    lost: tuple[int, ...]

    @property
    def left_out(self) -> int:
        """How many runs became non-finite."""
        return len(self.lost)

    @property
    def all_diverged(self) -> bool:
        """Whether it has no finite run; one that was not measured yet still may."""
        return self.left_out == self.seeds

    @property
    def last_step(self) -> int:
        """The last step of its finite runs; 0 where none is finite."""
        return 0 if self.all_diverged else int(self.rows["step"].max())

    @property
    def label(self) -> str:
        """The swept values in words; `all` where nothing is swept."""
        return ", ".join(f"{name} {show(value)}" for name, value in self.values.items()) or "all"


class Score(NamedTuple):
    """A metric of one setting at the last step, over the finite runs."""

    median: float
    iqm: Interval


def settings(run: RunFolderData) -> Iterator[Setting]:
    """The settings in the order in which they were given."""
    names = swept(run.manifest)
    bad = diverged_runs(run)
    groups: Any = run.metrics.groupby(names, sort=False) if names else [((), run.metrics)]
    for values, rows in groups:
        lost = rows["run"].isin(list(bad))
        seeds = tuple(rows["seed"][lost].unique().tolist())
        yield Setting(
            dict(zip(names, values, strict=True)), rows[~lost], rows["run"].nunique(), seeds
        )


def final_values(setting: Setting, metric: str) -> np.ndarray:
    """The metric of each finite run at the last step at which it was measured: float64 [S]."""
    return final_rows(setting, metric)[metric].to_numpy(np.float64)


def final_rows(setting: Setting, metric: str) -> Any:
    """The rows of the last step at which the metric was measured, one a finite run."""
    measured = setting.rows[setting.rows[metric].notna()]
    return measured[measured["step"] == measured["step"].max()]


def final_score(setting: Setting, metric: str) -> Score | None:
    """The metric at the last step; None if it was not measured, or no run is finite."""
    values = final_values(setting, metric)
    return Score(float(np.median(values)), iqm_interval(values)) if len(values) else None


def up_to(setting: Setting, step: int) -> Setting:
    """A setting with the metrics up to a step alone."""
    return setting._replace(rows=setting.rows[setting.rows["step"] <= step])


def reached(setting: Setting, metric: str, goal: float, higher_is_better: bool) -> int:
    """How many runs are at the goal or beyond at the last step."""
    values = final_values(setting, metric)
    return int(np.sum(values >= goal if higher_is_better else values <= goal))


def show(value: Any) -> str:
    """A value as text: a number in four digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
