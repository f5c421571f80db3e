"""All that a report says of the settings of one run folder or of several, as numbers.

What is printed and what is drawn both come from here, so that they say the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.errors import UserError, shortlist
from research.report.comparison import Comparison, compare
from research.report.read import RunFolderData, metric_names, twin_of
from research.report.selection import Selection, select
from research.report.sensitivity import Sensitivity, sensitivities
from research.report.settings import Setting, final_rows, final_values, reached, settings, up_to
from research.report.statistics import (
    Interval,
    iqm_interval,
    mean_interval,
    median_interval,
    shortfall,
)
from research.sweep.ranking import Rank, rank


class Line(NamedTuple):
    """One setting of one run folder.

    Attributes:
      place: in the report, the best being 0.
      run: the place of its folder in the report.
      label: tells it from all others in the report.
      setting: its runs.
      scores: seed -> the metric at the last step at which it was measured; finite runs.
      mean, median, iqm: of the scores; None where there are none.
      twin: interquartile mean of the same metric of the test part; None where there is none.
      gap: how far the runs are from the goal, on average; None where there is no goal.
      reached: how many runs are at the goal or beyond; None where there is none.
      against_best: compared with the first line; None for that itself, and where steps differ.
    """

    place: int
    run: int
    label: str
    setting: Setting
    scores: pd.Series
    mean: Interval | None = None
    median: Interval | None = None
    iqm: Interval | None = None
    twin: Interval | None = None
    gap: Interval | None = None
    reached: int | None = None
    against_best: Comparison | None = None


class Pair(NamedTuple):
    """The same setting in two run folders."""

    label: str
    comparison: Comparison


class Summary(NamedTuple):
    """A report in numbers.

    Attributes:
      runs: the folders, in the order given.
      metric: what settings are compared by.
      higher_is_better: of it.
      shown: the metric that honest scores are given in: of the test part where there is one.
      lines: the settings, the best first.
      selections: of each folder; None where it cannot be told.
      sensitivity: of each folder, and the share that its settings explain in all.
      pairs: of exactly two folders, the settings that both have: the second against the first.
    """

    runs: list[RunFolderData]
    metric: str
    higher_is_better: bool
    shown: str
    lines: list[Line]
    selections: list[Selection | None]
    sensitivity: list[tuple[list[Sensitivity], float]]
    pairs: list[Pair]

    def of_run(self, run: int) -> list[Line]:
        """The settings of a folder, the best first."""
        return [line for line in self.lines if line.run == run]

    def run_name(self, run: int) -> str:
        """What a folder is called, if there are several; else nothing."""
        return run_names(self.runs)[run] if len(self.runs) > 1 else ""


def summarize(
    runs: Sequence[RunFolderData], metric: str | None = None, problem: str | None = None
) -> Summary:
    """Compares every setting of the folders.

    Args:
      runs: at least one.
      metric: a column of their metrics; the key metric if not given.
      problem: which of `problems` to look at; needed where there are several.

    Raises:
      UserError: if the folders are judged by different metrics, or have no such metric, or no such
        problem.
    """
    metric, higher = _common_metric(runs, metric)
    problem = _one_problem(runs, problem)
    found = sorted(
        (
            line
            for place, run in enumerate(runs)
            for line in _lines(runs, place, run, metric, problem)
        ),
        key=lambda line: _rank(line, higher),
    )
    best = found[0].scores if found and len(found[0].scores) else None
    lines = []
    for place, line in enumerate(found):
        same_length = line.setting.last_step == found[0].setting.last_step
        fair = same_length or line.run != found[0].run
        against = None
        if place and best is not None and len(line.scores) and fair:
            against = compare(line.scores, best, higher)
        lines.append(line._replace(place=place, against_best=against))
    shown = twin_of(runs, metric)
    return Summary(
        runs=list(runs),
        metric=metric,
        higher_is_better=higher,
        shown=shown,
        lines=lines,
        selections=[_selection(lines, run, metric, shown, higher) for run in range(len(runs))],
        sensitivity=[_sensitivity(lines, run, higher) for run in range(len(runs))],
        pairs=_pairs(lines, higher) if len(runs) == 2 else [],
    )


def problems(runs: Sequence[RunFolderData]) -> list[str]:
    """What the settings were trained on, such as one of several environments: scores on different
    ones are not compared."""
    found = (problem_of(run, setting) for run in runs for setting in settings(run))
    return list(dict.fromkeys(found))


def problem_of(run: RunFolderData, setting: Setting) -> str:
    """The words that a workload recorded of its data, as one; checksums left out."""
    data, group = run.manifest.get("data") or [], _group_of(run, setting)
    known = data[group] if group is not None and group < len(data) else {}
    words = [text for name, text in known.items() if isinstance(text, str) and "sha" not in name]
    return " ".join(words)


def _one_problem(runs: Sequence[RunFolderData], problem: str | None) -> str:
    known = problems(runs)
    if problem is None and len(known) == 1:
        return known[0]
    if problem not in known:
        asked = "" if problem is None else f" {problem!r}"
        names = ", ".join(map(repr, known))
        raise UserError(f"--problem{asked}: settings are of {names}: name one of them")
    return problem


def run_names(runs: Sequence[RunFolderData]) -> list[str]:
    """The folders' names; their paths where names are the same."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def final_scores(setting: Setting, metric: str) -> pd.Series:
    """Seed -> the metric of each finite run at the last step at which it was measured."""
    rows = final_rows(setting, metric)
    return pd.Series(rows[metric].to_numpy(np.float64), rows["seed"].to_numpy(), name=metric)


def _common_metric(runs: Sequence[RunFolderData], metric: str | None) -> tuple[str, bool]:
    keys = {run.manifest["key_metric"]: run.path for run in runs}
    if metric is None and len(keys) > 1:
        (one, first), (other, second), *_ = keys.items()
        raise UserError(
            f"{first} is judged by {one} and {second} by {other}: name one of both with --metric"
        )
    metric = str(metric or next(iter(keys)))
    for run in runs:
        if metric not in metric_names(run):
            raise UserError(f"--metric {metric}: {run.path} has {shortlist(metric_names(run), 20)}")
    senses = {higher_is_better(run, metric) for run in runs}
    if len(senses) > 1:
        raise UserError(f"--metric {metric}: higher is better in one of the folders only")
    return metric, senses.pop()


LOWER_IS_BETTER = (
    "loss", "error", "perplexity", "bits", "nats", "rmse", "mae", "mse", "brier", "regret",
)  # fmt: skip


def higher_is_better(run: RunFolderData, metric: str) -> bool:
    """Of the key metric and its twin, as the manifest says; of another, by its name."""
    if metric in (run.manifest["key_metric"], twin_of([run], run.manifest["key_metric"])):
        return run.manifest["higher_is_better"]
    return not any(word in metric for word in LOWER_IS_BETTER)


def _lines(
    runs: Sequence[RunFolderData], place: int, run: RunFolderData, metric: str, problem: str
) -> list[Line]:
    name = run_names(runs)[place]
    made = []
    for setting in settings(run):
        if problem_of(run, setting) != problem:
            continue
        label = setting.label if len(runs) == 1 else f"{name}: {setting.label}"
        line = Line(0, place, label, setting, final_scores(setting, metric))
        made.append(_measured(line, run, metric, twin_of(runs, metric)))
    return made


def _measured(line: Line, run: RunFolderData, metric: str, twin: str) -> Line:
    """With its statistics."""
    scores = line.scores.to_numpy()
    if not len(scores):
        return line
    line = line._replace(
        mean=mean_interval(scores), median=median_interval(scores), iqm=iqm_interval(scores)
    )
    if twin != metric and len(values := final_values(line.setting, twin)):
        line = line._replace(twin=iqm_interval(values))
    goal, higher = goal_of(run, line.setting), run.manifest["higher_is_better"]
    if goal is None or metric != run.manifest["key_metric"]:
        return line
    gap = mean_interval(shortfall(scores, goal, higher))
    return line._replace(gap=gap, reached=reached(line.setting, metric, goal, higher))


def goal_of(run: RunFolderData, setting: Setting) -> float | None:
    """The value of the key metric that solves the problem of a setting."""
    group = _group_of(run, setting)
    return None if group is None else run.manifest["groups"][group]["goal"]


def _group_of(run: RunFolderData, setting: Setting) -> int | None:
    """The place of its group."""
    for place, group in enumerate(run.manifest["groups"]):
        if all(group[name] == setting.values[name] for name in run.manifest["config_axes"]):
            return place
    return None


def _rank(line: Line, higher: bool) -> tuple[int, Rank]:
    """What comes first: settings that came further, as under halving; then better ones."""
    last_step = line.setting.last_step if len(line.scores) else 0
    return -last_step, rank(line.scores.tolist(), line.setting.left_out, higher)


def _selection(
    lines: Sequence[Line], run: int, metric: str, shown: str, higher: bool
) -> Selection | None:
    """Among the settings that came as far as the first; places are those of the lines."""
    own = [line for line in lines if line.run == run]
    own = [line for line in own if line.setting.last_step == own[0].setting.last_step]
    chosen_by = [_with_diverged(line) for line in own]
    scored_by = [final_scores(line.setting, shown) for line in own]
    found = select(chosen_by, scored_by, higher)
    if found is None:
        return None
    a, b = found.chosen
    return found._replace(best=own[found.best].place, chosen=(own[a].place, own[b].place))


def _with_diverged(line: Line) -> pd.Series:
    """The scores by which a setting is chosen; NaN for the runs that became non-finite."""
    lost = pd.Series(np.nan, line.setting.lost, dtype=np.float64)
    return pd.concat([line.scores, lost]) if len(lost) else line.scores


def _sensitivity(lines: Sequence[Line], run: int, higher: bool) -> tuple[list[Sensitivity], float]:
    """At the last step that all settings have come to: under halving, at the first rung."""
    own = in_order([line for line in lines if line.run == run and len(line.scores)])
    if not own or not own[0].setting.values:
        return [], 0.0
    together = min(line.setting.last_step for line in own)
    scores = [
        line.scores
        if line.setting.last_step == together
        else final_scores(up_to(line.setting, together), str(line.scores.name))
        for line in own
    ]
    return sensitivities([line.setting.values for line in own], scores, higher)


def in_order(lines: Sequence[Line]) -> list[Line]:
    """Settings of one folder in the order in which they were given, and so their values."""
    return sorted(lines, key=lambda line: int(line.setting.rows["run"].iloc[0]))


def _pairs(lines: Sequence[Line], higher: bool) -> list[Pair]:
    """The second folder's settings against the first's of the same values."""
    first = {_key(line.setting.values): line for line in lines if line.run == 0}
    found = []
    for line in lines:
        other = first.get(_key(line.setting.values))
        if line.run == 1 and other is not None and len(line.scores) and len(other.scores):
            comparison = compare(line.scores, other.scores, higher)
            found.append(Pair(line.setting.label, comparison))
    return found


def _key(values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))
