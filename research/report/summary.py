"""The numbers of a report on the settings of one run folder or of several.

What is printed and what is drawn both come from here, so that they say the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.report.best import against_best
from research.report.comparison import Comparison, compare
from research.report.metrics import (
    common_metric,
    higher_is_better,
    on_test_part,
    possible_range,
    within,
)
from research.report.problems import goal_of, one_problem, problem_of
from research.report.ranking import (
    Merit,
    counting_diverged,
    final_scores,
    merit,
    order,
    with_diverged,
)
from research.report.read import RunFolderData
from research.report.selection import Selection, select
from research.report.sensitivity import Sensitivity, sensitivities
from research.report.settings import Setting, final_values, reached, settings, up_to
from research.report.statistics import (
    Interval,
    iqm_interval,
    mean_interval,
    median_interval,
    shortfall,
)
from research.report.time_to_goal import (
    TimeToGoal,
    conditions_in_words,
    time_to_goal,
    watched_until,
    work_to_goal,
)


class Line(NamedTuple):
    """One setting of one run folder: a line of the table.

    Attributes:
      place: in the report, the best being 0.
      run: the place of its folder in the report.
      number: its place among the settings of its folder, as they were given.
      label: tells it from all others in the report.
      setting: its runs.
      scores: seed -> the metric at the last step at which it was measured; finite runs.
      merit: what it is ranked by, runs that diverged counting as worst.
      mean, median, iqm: of the scores; None where there are none.
      test_iqm: interquartile mean of the same metric on the test part; None where there is none.
      gap: how far the runs are from the goal, on average; None where there is no goal.
      reached: how many runs are at the goal or beyond; None where there is none.
      time_to_goal: how long its runs took to their goal; None where there is none.
      work: seed -> the work that a run took to the goal, or all of it where it did not reach it;
        None where settings are compared by their scores.
      against_best: compared with the first line, runs that diverged counting as worst; None for
        that itself, where steps differ, and where more than a quarter of the runs diverged.
    """

    place: int
    run: int
    number: int
    label: str
    setting: Setting
    scores: pd.Series
    merit: Merit
    mean: Interval | None = None
    median: Interval | None = None
    iqm: Interval | None = None
    test_iqm: Interval | None = None
    gap: Interval | None = None
    reached: int | None = None
    time_to_goal: TimeToGoal | None = None
    work: pd.Series | None = None
    against_best: Comparison | None = None

    @property
    def judged(self) -> pd.Series:
        """What it is judged by, seed -> number: the work to the goal, or scores of finite runs."""
        return self.scores if self.work is None else self.work

    @property
    def ended(self) -> bool:
        """Whether the setting was measured, or has no finite run left to measure."""
        return len(self.scores) > 0 or self.setting.all_diverged

    @property
    def comparable(self) -> bool:
        """Whether it has an interquartile mean in which runs that diverged count as worst."""
        return np.isfinite(self.merit.iqm)


class Pair(NamedTuple):
    """The same setting in two run folders.

    Attributes:
      label: of the setting.
      comparison: None where more than a quarter of the runs of either diverged.
    """

    label: str
    comparison: Comparison | None


class Summary(NamedTuple):
    """The numbers of a report.

    Attributes:
      runs: the folders, in the order given.
      metric: what settings are compared by.
      higher_is_better: of it.
      shown: the metric that is reported: on the test part where there is one.
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

    @property
    def by_work(self) -> bool:
        """Whether settings are compared by the work that their runs took to the goal, as scores say
        little of runs that stop there."""
        return self.lines[0].work is not None

    @property
    def judged_by(self) -> str:
        """What settings are judged by, in words."""
        if not self.by_work:
            return self.metric
        unit = self.runs[self.lines[0].run].manifest["work_unit"]
        return f"{unit} to {conditions_in_words(self.lines[0].setting.conditions)}"

    @property
    def more_is_better(self) -> bool:
        """Whether the larger of two such numbers is the better."""
        return self.higher_is_better and not self.by_work

    def of_run(self, run: int) -> list[Line]:
        """The settings of a folder, the best first."""
        return [line for line in self.lines if line.run == run]

    def run_name(self, run: int) -> str:
        """The name of a folder if there are several; else an empty string."""
        return run_names(self.runs)[run] if len(self.runs) > 1 else ""


def summarize(
    runs: Sequence[RunFolderData], metric: str | None = None, problem: str | None = None
) -> Summary:
    """Compares all settings of the folders with each other.

    Args:
      runs: at least one.
      metric: a column of their metrics; the key metric if not given.
      problem: which of `problems` to look at; needed where there are several.

    Raises:
      UserError: if the folders are judged by different metrics, or have no such metric, or no such
        problem.
    """
    metric, higher = common_metric(runs, metric)
    problem = one_problem(runs, problem)
    found = _with_work(
        [
            line
            for place, run in enumerate(runs)
            for line in _lines(runs, place, run, metric, problem)
        ],
        all(run.manifest["status"] == "finished" for run in runs),
    )
    found.sort(key=lambda line: _order(runs[line.run], line, metric))
    lines = _compared([line._replace(place=place) for place, line in enumerate(found)], higher)
    shown = on_test_part(runs, metric)
    return Summary(
        runs=list(runs),
        metric=metric,
        higher_is_better=higher,
        shown=shown,
        lines=lines,
        selections=[_selection(lines, data, run, metric, shown) for run, data in enumerate(runs)],
        sensitivity=[_sensitivity(lines, run, higher) for run in range(len(runs))],
        pairs=_pairs(lines, higher) if len(runs) == 2 else [],
    )


def run_names(runs: Sequence[RunFolderData]) -> list[str]:
    """The folders' names; their paths where names are the same."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def _lines(
    runs: Sequence[RunFolderData], place: int, run: RunFolderData, metric: str, problem: str
) -> list[Line]:
    name = run_names(runs)[place]
    made = []
    for number, setting in enumerate(settings(run)):
        if problem_of(run, setting) != problem:
            continue
        label = setting.label if len(runs) == 1 else f"{name}: {setting.label}"
        scores = final_scores(setting, metric)
        higher, goal = higher_is_better(run, metric), goal_of(run, setting, metric)
        found = merit(with_diverged(scores, setting), higher, goal)
        line = Line(0, place, number, label, setting, scores, found)
        line = line._replace(time_to_goal=time_to_goal(setting))
        made.append(_measured(line, run, metric, on_test_part(runs, metric)))
    return made


def _with_work(lines: list[Line], finished: bool) -> list[Line]:
    """The lines with the work that their runs took to the goal, where that is what tells settings
    apart: some stop there, all have the same goal, and some run has reached it."""
    found = [line.setting for line in lines]
    same = len({tuple(one.conditions) for one in found}) == 1
    if not finished or not same or not any(one.stops_there for one in found):
        return lines
    until = watched_until(found)
    works = [work_to_goal(one, until) for one in found]
    if not any((work < until).any() for work in works):
        return lines
    return [line._replace(work=work) for line, work in zip(lines, works, strict=True)]


def _measured(line: Line, run: RunFolderData, metric: str, shown: str) -> Line:
    """The line of a setting with its statistics filled in."""
    scores = line.scores.to_numpy()
    if not len(scores):
        return line
    low, high = possible_range(metric, scores)
    line = line._replace(
        mean=within(mean_interval(scores), low, high),
        median=median_interval(scores),
        iqm=iqm_interval(scores),
    )
    if shown != metric and len(values := final_values(line.setting, shown)):
        line = line._replace(test_iqm=iqm_interval(values))
    goal, higher = goal_of(run, line.setting, metric), run.manifest["higher_is_better"]
    if goal is None:
        return line
    most = goal - low if higher else high - goal
    gap = within(mean_interval(shortfall(scores, goal, higher)), 0.0, most)
    return line._replace(gap=gap, reached=reached(line.setting, metric, goal, higher))


def _order(run: RunFolderData, line: Line, metric: str) -> tuple[float, ...]:
    goal = goal_of(run, line.setting, metric)
    return order(line.setting, line.scores, higher_is_better(run, metric), goal, line.work)


def _compared(lines: list[Line], higher: bool) -> list[Line]:
    """The lines with their comparison with the first, for those that trained as long as it or are
    of another folder."""
    first = lines[0]
    fair = [
        line
        for line in lines
        if line.comparable
        and (line.setting.last_step == first.setting.last_step or line.run != first.run)
    ]
    if not first.comparable or len(fair) < 2:
        return lines
    scores, higher = _comparable_scores(fair, higher)
    low, high = possible_range(str(first.scores.name), np.concatenate(scores))
    if first.work is not None:
        low, high = 0.0, first.setting.horizon
    found = against_best(scores, 0, higher, widest=high - low)
    known = {line.place: one for line, one in zip(fair[1:], found[1:], strict=True)}
    return [line._replace(against_best=known.get(line.place)) for line in lines]


def _comparable_scores(
    lines: Sequence[Line], higher_is_better: bool
) -> tuple[list[pd.Series], bool]:
    """What settings are compared by, seed -> number, in which runs that diverged count as worst;
    and whether high is good."""
    works = [line.work for line in lines if line.work is not None]
    if len(works) == len(lines):
        return works, False
    scores, found = [line.scores for line in lines], [line.setting for line in lines]
    return counting_diverged(scores, found, higher_is_better), higher_is_better


def _selection(
    lines: Sequence[Line], data: RunFolderData, run: int, metric: str, shown: str
) -> Selection | None:
    """The selection among the settings that came as far as the first, by places of the lines."""
    own = [line for line in lines if line.run == run]
    own = [line for line in own if line.setting.last_step == own[0].setting.last_step]
    own = in_order(own)
    if works := [line.work for line in own if line.work is not None]:
        found = select(works, works, higher_is_better=False)
    else:
        chosen_by = [with_diverged(line.scores, line.setting) for line in own]
        scored_by = [final_scores(line.setting, shown) for line in own]
        goals = [goal_of(data, line.setting, metric) for line in own]
        found = select(chosen_by, scored_by, higher_is_better(data, metric), goals)
    if found is None:
        return None
    a, b = found.chosen
    return found._replace(best=own[found.best].place, chosen=(own[a].place, own[b].place))


def _sensitivity(lines: Sequence[Line], run: int, higher: bool) -> tuple[list[Sensitivity], float]:
    """The effects of hyper-parameters at the last step that all settings have come to, which is the
    first rung under halving. Runs that diverged rank last."""
    own = in_order([line for line in lines if line.run == run and line.ended])
    steps = [line.setting.last_step for line in own if len(line.scores)]
    if not steps or not own[0].setting.values:
        return [], 0.0
    values = [line.setting.values for line in own]
    if works := [line.work for line in own if line.work is not None]:
        return sensitivities(values, works, False, works)
    scores = [
        line.scores
        if line.setting.last_step <= min(steps)
        else final_scores(up_to(line.setting, min(steps)), str(line.scores.name))
        for line in own
    ]
    ranked = counting_diverged(scores, [line.setting for line in own], higher)
    return sensitivities(values, scores, higher, ranked)


def in_order(lines: Sequence[Line]) -> list[Line]:
    """The settings of one folder in the order in which they were given."""
    return sorted(lines, key=lambda line: line.number)


def _pairs(lines: Sequence[Line], higher: bool) -> list[Pair]:
    """The comparison of the second folder's settings with the first's of the same values."""
    first = {_key(line.setting.values): line for line in lines if line.run == 0}
    found = []
    for line in lines:
        other = first.get(_key(line.setting.values))
        if line.run == 1 and other is not None and line.ended and other.ended:
            found.append(Pair(line.setting.label, _compared_pair(line, other, higher)))
    return found


def _compared_pair(line: Line, other: Line, higher: bool) -> Comparison | None:
    if not line.comparable or not other.comparable:
        return None
    (one, reference), higher = _comparable_scores([line, other], higher)
    return compare(one, reference, higher)


def _key(values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))
