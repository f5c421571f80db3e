"""The table of settings, as text: what the terminal prints and what the page shows."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from research.report.comparison import Comparison
from research.report.read import swept
from research.report.settings import show
from research.report.statistics import Interval
from research.report.summary import Line, Summary


class TableColumn(NamedTuple):
    """A column of the table: its name, what it means, and a cell for every line."""

    name: str
    meaning: str
    cells: list[str]


def headline(summary: Summary) -> list[TableColumn]:
    """A column for each swept field, and for what is said of each setting; the best on top."""
    lines, metric = summary.lines, summary.metric
    columns = [
        *_fields(summary),
        TableColumn("seeds", "finite runs", [_seeds(line) for line in lines]),
    ]
    if len({line.setting.last_step for line in lines}) > 1:
        steps = [f"{line.setting.last_step:,}" for line in lines]
        columns.append(TableColumn("steps", "how far the runs have come", steps))
    columns += [
        TableColumn(f"{metric} IQM [95%]", _IQM, [_interval(line.iqm, line) for line in lines]),
        TableColumn("median [95%]", "over seeds", [_interval(line.median, line) for line in lines]),
        TableColumn("mean [95%]", "over seeds", [_interval(line.mean, line) for line in lines]),
    ]
    if summary.shown != metric:
        cells = [_interval(line.twin, line) for line in lines]
        columns.append(TableColumn(f"{summary.shown} IQM [95%]", _IQM, cells))
    if any(line.gap for line in lines):
        columns.append(TableColumn("gap", _GAP, [_interval(line.gap, line) for line in lines]))
        cells = ["" if line.reached is None else f"{line.reached} of {line.setting.seeds}"
                 for line in lines]  # fmt: skip
        columns.append(TableColumn("reached", "runs that are at the goal or beyond", cells))
    if any(line.against_best for line in lines):
        columns.append(
            TableColumn("against the best [95%]", _BEST, [_against(one) for one in lines])
        )
        columns.append(TableColumn("P(better) [95%]", _RIVAL, [_better(line) for line in lines]))
    return columns


_IQM = "interquartile mean over seeds, and its 95% bootstrap interval"
_GAP = "optimality gap: how far runs are from the goal on average, those beyond it counting 0"
_AGAINST = (
    "difference of the interquartile means, negative being worse; runs that diverged count as the "
    "worst. Not resolved if its interval holds 0: that they are equally good does not follow"
)
_BETTER = "probability that a run is better than one of the other setting"
_BEST = (
    f"{_AGAINST}. The intervals hold together, for all settings: that these scores have picked the "
    "best is accounted for"
)
_RIVAL = "probability that a run is better than one of the best setting; intervals hold together"


def _fields(summary: Summary) -> list[TableColumn]:
    """What tells settings apart; folders that do not sweep a field have no cell for it."""
    columns = []
    if len(summary.runs) > 1:
        names = [summary.run_name(line.run) for line in summary.lines]
        columns.append(TableColumn("run", "the run folder", names))
    every = dict.fromkeys(name for run in summary.runs for name in swept(run.manifest))
    for name in every:
        cells = [_value(summary, line, name) for line in summary.lines]
        columns.append(TableColumn(name, "swept", cells))
    return columns


def _value(summary: Summary, line: Line, name: str) -> str:
    """Of a swept field; where another folder does not sweep it, its only value."""
    manifest = summary.runs[line.run].manifest
    fixed: dict[str, Any] = manifest.get("config", {}) | manifest.get("hparams", {})
    value = line.setting.values.get(name, fixed.get(name, ""))
    return "x".join(map(str, value)) if isinstance(value, list) else show(value)


def _seeds(line: Line) -> str:
    finite = line.setting.seeds - line.setting.left_out
    return f"{finite} of {line.setting.seeds}" if line.setting.left_out else str(finite)


def interval_text(interval: Interval) -> str:
    """An estimate and its interval, if it has one, in a few digits."""
    estimate, low, high = map(float, interval)
    if math.isnan(low):
        return f"{estimate:.4g}"
    return f"{estimate:.4g} [{low:.3g}, {high:.3g}]"


def score_text(interval: Interval, line: Line) -> str:
    """A statistic of the scores of a setting; a single seed has no interval."""
    if len(line.scores) < 2:
        return f"{float(interval.estimate):.4g}"
    return interval_text(interval)


def _interval(interval: Interval | None, line: Line) -> str:
    if interval is not None:
        return score_text(interval, line)
    return "none finite" if line.setting.all_diverged else "not measured"


def _against(line: Line) -> str:
    if line.place == 0:
        return "the best"
    if line.against_best is None:
        return f"{line.setting.left_out} diverged" if line.ended and not line.comparable else ""
    return f"{interval_text(line.against_best.difference)} {line.against_best.verdict}"


def _better(line: Line) -> str:
    return "" if line.against_best is None else probability_text(line.against_best.improvement)


def probability_text(interval: Interval) -> str:
    """A probability and its interval, to a hundredth."""
    estimate, low, high = map(float, interval)
    return f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


def pair_columns(summary: Summary) -> list[TableColumn]:
    """The settings that two folders both have, the second against the first; nothing where there
    are not two, or they have none in common."""
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


def _pair_cells(one: Comparison | None) -> tuple[str, str, str]:
    if one is None:
        return "", "", "not compared: more than a quarter of the runs diverged"
    return interval_text(one.difference), probability_text(one.improvement), one.verdict


def columns_as_rows(columns: Sequence[TableColumn]) -> list[tuple[str, ...]]:
    """The cells, line by line."""
    return list(zip(*(column.cells for column in columns), strict=True))
