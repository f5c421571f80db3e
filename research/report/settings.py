"""The settings of a run folder, and their scores at the end, over seeds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.report.read import RunFolderData, diverged_runs, swept
from research.report.statistics import Interval, iqm_interval
from research.runs.early_stop import Condition, EarlyStop, conditions_of


class Setting(NamedTuple):
    """The runs of one setting.

    Attributes:
      values: swept field -> value.
      rows: the metrics of its finite runs.
      seeds: how many runs it has.
      lost: the seeds of those that became non-finite and are in no statistic.
      stopped: each finite run that stopped early -> the step.
      end: the step that its runs train to; None where that was not recorded.
      conditions: of which one holds where a run has reached its goal.
      stops_there: whether runs stop there.
      horizon: the most work that any run of its problem was measured at.
    """

    values: dict[str, Any]
    rows: Any  # pd.DataFrame
    seeds: int
    lost: tuple[int, ...]
    stopped: Mapping[int, int] = {}
    end: int | None = None
    conditions: Sequence[Condition] = ()
    stops_there: bool = False
    horizon: float = 0.0

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
        """The last step of its finite runs that have not stopped early; the end where all have, and
        0 where none is finite."""
        if self.all_diverged:
            return 0
        rows = self.rows[~self.rows["run"].isin(list(self.stopped))] if self.stopped else self.rows
        if not len(rows):
            return self.end or int(self.rows["step"].max())
        return int(rows["step"].max())

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
    horizons = _horizons(run)
    for values, rows in groups:
        lost = rows["run"].isin(list(bad))
        seeds = tuple(rows["seed"][lost].unique().tolist())
        finite = rows[~lost]
        early = {one: run.stopped[one][0] for one in finite["run"].unique() if one in run.stopped}
        yield Setting(
            dict(zip(names, values, strict=True)),
            finite,
            rows["run"].nunique(),
            seeds,
            early,
            *_goal_of_run(run.manifest, number := int(rows["run"].iloc[0])),
            horizons[_group_of(run.manifest, number)["first_run"]],
        )


def _horizons(run: RunFolderData) -> dict[int, float]:
    """The most work that a run of each group was measured at, by the group's first run."""
    most = run.metrics.groupby("run")["work"].max()
    found: dict[int, float] = {}
    for number, work in most.items():
        first = _group_of(run.manifest, int(number))["first_run"]
        found[first] = max(found.get(first, 0.0), float(work))
    return found


def _group_of(manifest: dict[str, Any], number: int) -> dict[str, Any]:
    return [one for one in manifest["groups"] if one["first_run"] <= number][-1]


def _goal_of_run(
    manifest: dict[str, Any], number: int
) -> tuple[int | None, Sequence[Condition], bool]:
    """The step that a run trains to, when it has reached its goal, and whether it stops there."""
    group = _group_of(manifest, number)
    given, goal = manifest.get("early_stop") or {}, group.get("goal")
    stop = EarlyStop(bool(given.get("at_goal")), None)
    if when := given.get("when"):
        stop = stop._replace(when=Condition(**{name: when[name] for name in Condition._fields}))
    of_score = manifest["key_metric"], manifest["higher_is_better"], goal
    if found := conditions_of(stop, *of_score):
        return group.get("steps"), tuple(found.values()), True
    found = conditions_of(EarlyStop(at_goal=True), *of_score)
    return group.get("steps"), tuple(found.values()), False


def final_values(setting: Setting, metric: str) -> np.ndarray:
    """The metric of each finite run at the last step at which it was measured: float64 [S]."""
    return final_rows(setting, metric)[metric].to_numpy(np.float64)


def final_rows(setting: Setting, metric: str) -> Any:
    """The rows of the last step at which the metric was measured, one a finite run; of a run that
    stopped early, the last that it has."""
    measured = setting.rows[setting.rows[metric].notna()]
    is_last = measured["step"] == measured["step"].max()
    if setting.stopped:
        own_last = measured["step"] == measured.groupby("run")["step"].transform("max")
        is_last |= own_last & measured["run"].isin(list(setting.stopped))
    return measured[is_last]


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
