"""The table of settings as columns of text, which `scripts/show`, `scripts/report` and the page
show, and the table of the settings that two folders have in common."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from research.plain_text import in_digits, one_line
from research.report.comparison import Comparison
from research.report.metrics import on_test_part
from research.report.problems import goal_of
from research.report.ranking import final_scores, order
from research.report.read import RunFolderData, swept
from research.report.settings import Setting, final_score, reached, settings, show
from research.report.statistics import Interval
from research.report.summary import Line, Summary
from research.report.time_to_goal import TimeToGoal, half_in_words, time_to_goal


class TableColumn(NamedTuple):
    """A column of the table: its name, what it means, and a cell for every setting."""

    name: str
    meaning: str
    cells: list[str]


TOP = 10  # settings in a table on a terminal
TOP_HELP = "print the best N settings; 0 prints all"

_SEEDS, _STEPS = "finite runs", "how far the runs have come"
_REACHED = "runs that are at the goal or beyond"
_IQM = "interquartile mean over seeds, and its 95% bootstrap interval"
_GAP = "optimality gap: how far runs are from the goal on average, those beyond it counting 0"
_HALF = (
    "the work after which half of the runs had reached the goal, or the condition under which they "
    "stop, and its 95% interval (Kaplan-Meier); runs that diverged never reach it"
)
_AGAINST = (
    "difference of the interquartile means, negative being worse; runs that diverged count as the "
    "worst. Not resolved if its interval holds 0: that they are equally good does not follow"
)
_BETTER = "probability that a run is better than one of the other setting"
_BEST = (
    f"{_AGAINST}. The intervals hold together, for all settings: that these scores have picked the "
    "best is accounted for"
)
_BEST_BY_WORK = (
    "difference of the interquartile means of the work to the goal, negative being more; runs that "
    "did not reach it count with all of their work. The intervals hold together, for all settings"
)
_AGAINST_BEST = (
    "probability that a run is better than one of the best setting; intervals hold together"
)


def brief_columns(run: RunFolderData, some: Sequence[Setting]) -> list[TableColumn]:
    """The columns of settings of one folder and problem, without comparisons: the key metric, and
    the same on the test part where there is one. The best setting by the key metric is on top."""
    manifest, goal = run.manifest, goal_of(run, some[0], str(run.manifest["key_metric"]))
    metric, higher = str(manifest["key_metric"]), manifest["higher_is_better"]
    found = sorted(some, key=lambda one: order(one, final_scores(one, metric), higher, goal))
    columns = [
        *(TableColumn(one_line(name), "swept", [show(one.values[name]) for one in found])
          for name in _telling(run, found)),
        TableColumn("seeds", _SEEDS, list(map(_seeds, found))),
    ]  # fmt: skip
    if manifest.get("rungs"):
        columns.append(TableColumn("steps", _STEPS, list(map(_steps, found))))
    for name in headline_metrics(run):
        cells = [_median_and_iqm(one, name) for one in found]
        columns.append(TableColumn(f"{one_line(name)}\nmedian IQM [95%]", _IQM, cells))
    if goal is not None:
        counts = [reached(one, metric, goal, higher) for one in found]
        columns.append(TableColumn(f"reached\n{show(goal)}", _REACHED, _of_seeds(found, counts)))
    unit = one_line(manifest["work_unit"])
    return columns + _half_column(
        [time_to_goal(one) for one in found], f"half, after\n{unit} [95%]"
    )


def _half_column(found: Sequence[TimeToGoal | None], name: str) -> list[TableColumn]:
    """A column of the work after which half of the runs were at their goal, if some were."""
    if not any(one and one.reached for one in found):
        return []
    cells = ["" if one is None else half_in_words(one) for one in found]
    return [TableColumn(name, _HALF, cells)]


def _telling(run: RunFolderData, some: Sequence[Setting]) -> list[str]:
    """The swept fields, without those that are the same in these settings and differ in others, as
    the environment does: their title says it."""
    differ = lambda name, found: len({show(one.values[name]) for one in found}) > 1
    every = list(settings(run))
    return [name for name in swept(run.manifest) if differ(name, some) or not differ(name, every)]


def full_columns(summary: Summary) -> list[TableColumn]:
    """A column for each swept field, and for each statistic of the settings; the best on top."""
    lines, metric = summary.lines, summary.metric
    found = [line.setting for line in lines]
    columns = [
        *setting_columns(summary),
        TableColumn(f"{one_line(metric)} IQM [95%]", _IQM, [_interval(o.iqm, o) for o in lines]),
    ]
    if summary.shown != metric:
        cells = [_interval(line.test_iqm, line) for line in lines]
        columns.append(TableColumn(f"{one_line(summary.shown)} IQM [95%]", _IQM, cells))
    columns.append(TableColumn("seeds", _SEEDS, list(map(_seeds, found))))
    if len({setting.last_step for setting in found}) > 1:
        columns.append(TableColumn("steps", _STEPS, list(map(_steps, found))))
    columns += [
        TableColumn("median [95%]", "over seeds", [_interval(line.median, line) for line in lines]),
        TableColumn("mean [95%]", "over seeds", [_interval(line.mean, line) for line in lines]),
    ]
    if any(line.gap for line in lines):
        columns.append(TableColumn("gap", _GAP, [_interval(line.gap, line) for line in lines]))
        cells = _of_seeds(found, [line.reached for line in lines])
        columns.append(TableColumn("reached", _REACHED, cells))
    unit = one_line(summary.runs[0].manifest["work_unit"])
    columns += _half_column([line.time_to_goal for line in lines], f"half after {unit} [95%]")
    if any(line.against_best for line in lines):
        of_what = f"{unit} to the goal, " if summary.by_work else ""
        columns += [
            TableColumn(
                f"{of_what}against the best [95%]",
                _BEST_BY_WORK if of_what else _BEST,
                [_against(one) for one in lines],
            ),
            TableColumn("P(better) [95%]", _AGAINST_BEST, [_better(line) for line in lines]),
        ]
    return columns


def pair_columns(summary: Summary) -> list[TableColumn]:
    """The settings that two folders both have, the second against the first; no columns where there
    are not two folders, or they have no setting in common."""
    if not summary.pairs:
        return []
    found = [pair.comparison for pair in summary.pairs]
    cells = [_pair_cells(one) for one in found]
    differences, better, verdicts = (list(column) for column in zip(*cells, strict=True))
    return [
        TableColumn("setting", "that both have", [pair.label for pair in summary.pairs]),
        TableColumn("difference [95%]", _AGAINST, differences),
        TableColumn("P(better) [95%]", _BETTER, better),
        TableColumn("verdict", "of the interval", verdicts),
    ]


def columns_as_rows(columns: Sequence[TableColumn]) -> list[tuple[str, ...]]:
    """The cells, line by line."""
    return list(zip(*(column.cells for column in columns), strict=True))


def first_rows(columns: Sequence[TableColumn], top: int) -> tuple[list[TableColumn], str]:
    """The first `top` lines of a table, and a note that says how many there are; all lines, and no
    note, if `top` is 0 or there are no more."""
    count = len(columns[0].cells)
    if not 0 < top < count:
        return list(columns), ""
    some = [column._replace(cells=column.cells[:top]) for column in columns]
    return some, f"The best {top} of {count} settings; all of them: --top 0."


def headline_metrics(run: RunFolderData) -> Sequence[str]:
    """The key metric, and the same on the test part where there is one."""
    key = run.manifest["key_metric"]
    return list(dict.fromkeys([key, on_test_part([run], key)]))


def interval_text(interval: Interval) -> str:
    """An estimate and its interval, if it has one, in a few digits."""
    estimate, low, high = map(float, interval)
    if math.isnan(low):
        return in_digits(estimate)
    return f"{in_digits(estimate)} [{in_digits(low, 3)}, {in_digits(high, 3)}]"


def score_text(interval: Interval, line: Line) -> str:
    """A statistic of the scores of a setting; a single seed has no interval."""
    if len(line.scores) < 2:
        return in_digits(float(interval.estimate))
    return interval_text(interval)


def probability_text(interval: Interval) -> str:
    """A probability and its interval, to a hundredth."""
    estimate, low, high = map(float, interval)
    return f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


def setting_columns(summary: Summary) -> list[TableColumn]:
    """The columns that tell settings apart: the folder, and the swept fields."""
    columns = []
    if len(summary.runs) > 1:
        names = [summary.run_name(line.run) for line in summary.lines]
        columns.append(TableColumn("run", "the run folder", names))
    every = dict.fromkeys(name for run in summary.runs for name in swept(run.manifest))
    for name in every:
        cells = [_value(summary, line, name) for line in summary.lines]
        columns.append(TableColumn(one_line(name), "swept", cells))
    return columns


def _value(summary: Summary, line: Line, name: str) -> str:
    """The value of a swept field; where another folder does not sweep it, its only value, if it
    has the field."""
    manifest = summary.runs[line.run].manifest
    fixed: dict[str, Any] = manifest.get("config", {}) | manifest.get("hparams", {})
    value = line.setting.values.get(name, fixed.get(name, ""))
    return "x".join(map(str, value)) if isinstance(value, list) else show(value)


def _seeds(setting: Setting) -> str:
    finite = setting.seeds - setting.left_out
    return f"{finite} of {setting.seeds}" if setting.left_out else str(finite)


def _steps(setting: Setting) -> str:
    return f"{setting.last_step:,}"


def _of_seeds(found: Sequence[Setting], counts: Sequence[int | None]) -> list[str]:
    """How many of the seeds of each setting; an empty cell where that is not known."""
    return [
        "" if count is None else f"{count} of {setting.seeds}"
        for setting, count in zip(found, counts, strict=True)
    ]


def _median_and_iqm(setting: Setting, metric: str) -> str:
    score = final_score(setting, metric)
    if score is None:
        return _not_there(setting)
    median, (iqm, low, high) = score
    if setting.seeds - setting.left_out == 1:
        return in_digits(median)  # a single seed has no interval
    of_iqm = f"{in_digits(float(iqm), 3)} [{in_digits(float(low), 3)}, {in_digits(float(high), 3)}]"
    return f"{in_digits(median)} {of_iqm}"


def _interval(interval: Interval | None, line: Line) -> str:
    return _not_there(line.setting) if interval is None else score_text(interval, line)


def _not_there(setting: Setting) -> str:
    return "none finite" if setting.all_diverged else "not measured"


def _against(line: Line) -> str:
    if line.place == 0:
        return "the best"
    if line.against_best is None:
        return f"{line.setting.left_out} diverged" if line.ended and not line.comparable else ""
    return f"{interval_text(line.against_best.difference)} {line.against_best.verdict}"


def _better(line: Line) -> str:
    return "" if line.against_best is None else probability_text(line.against_best.improvement)


def _pair_cells(one: Comparison | None) -> tuple[str, str, str]:
    if one is None:
        return "", "", "not compared: more than a quarter of the runs diverged"
    return interval_text(one.difference), probability_text(one.improvement), one.verdict
