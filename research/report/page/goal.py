"""The share of runs that have reached their goal, on the page: a curve for each setting."""

import numpy as np

from research.report.page.chart import MOST, Chart, Trace, Variant, plain
from research.report.page.scores import share_traces
from research.report.summary import Line, Summary
from research.report.time_to_goal import TimeToGoal, conditions_in_words


def goal_curves(summary: Summary) -> Chart | None:
    """A chart of the share of runs that have reached their goal by an amount of work; None where no
    run has."""
    lines = [line for line in summary.lines[:MOST] if line.time_to_goal]
    if not any(line.time_to_goal and line.time_to_goal.reached for line in lines):
        return None
    traces = [trace for line in lines for trace in _drawn(line)]
    goals = dict.fromkeys(conditions_in_words(line.setting.conditions) for line in lines)
    units = dict.fromkeys(run.manifest["work_unit"] for run in summary.runs)
    layout = {
        "xaxis": {"title": {"text": plain(" or ".join(units))}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "share of runs that reached it"}, "range": [-0.02, 1.02],
                  "tickformat": ".0%"},
    }  # fmt: skip
    return Chart(
        name="goal",
        title="Time to the goal",
        note=f"The share of a setting's runs that have reached {', '.join(goals)} (Kaplan-Meier), "
        "with 95% intervals at each point. Runs that diverged, or were stopped as they made no "
        "progress, never reach it.",
        variants=[Variant("share", traces, layout)],
        legend=True,
    )


def _drawn(line: Line) -> list[Trace]:
    """A band and a curve of steps, from no work on."""
    found = line.time_to_goal
    if found is None:
        return []
    at, (share, low, high) = _steps(found)
    return share_traces(line, at, share, low, high)


def _steps(found: TimeToGoal) -> tuple[np.ndarray, list[np.ndarray]]:
    """The corners of a curve that is constant between the times at which it changes."""
    edges = np.concatenate([[0.0], found.after])
    at = np.repeat(edges, 2)[1:]
    before = np.zeros(1)
    return at, [np.repeat(np.concatenate([before, part]), 2)[:-1] for part in found.share]
