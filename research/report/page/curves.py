"""Learning curves for the page: every setting, every metric, against steps, work or time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from research.report.curves import curve
from research.report.page.chart import Chart, Trace, View, band, spread_out, there_and_back
from research.report.page.labels import plain
from research.report.palette import MOST, look
from research.report.read import RunFolderData, metric_names
from research.report.statistics import iqm_interval
from research.report.summary import Line, Summary

MOST_POINTS = 150  # of a curve; more are not seen
MOST_METRICS = 8
RESAMPLES = 500  # of a band; the numbers in the tables have more


def learning_curves(summary: Summary, resamples: int = RESAMPLES) -> Chart:
    """A view for each metric, the one that settings are compared by first."""
    others = dict.fromkeys(name for run in summary.runs for name in metric_names(run))
    names = list(dict.fromkeys([summary.metric, summary.shown, *others]))[:MOST_METRICS]
    views = [_view(summary, name, resamples) for name in names]
    lines = len(summary.lines)
    some = f" The best {MOST} of {lines} settings." if lines > MOST else ""
    return Chart(
        name="curves",
        title="Learning curves",
        note="Interquartile mean over seeds; the band is its 95% bootstrap interval at each point."
        + some,
        views=[view for view in views if view.traces],
        legend=True,
        height=460,
    )


def _view(summary: Summary, metric: str, resamples: int) -> View:
    traces: list[Trace] = []
    positive = True
    for line in summary.lines[:MOST]:
        if metric not in line.setting.rows or not line.setting.rows[metric].count():
            continue
        made, above_0 = _curve(summary.runs[line.run], line, metric, resamples)
        traces += made
        positive &= above_0
    layout = {"yaxis": {"title": {"text": plain(metric.replace("_", " "))}}}
    return View(metric, traces, layout, log=positive)


def _curve(
    run: RunFolderData, line: Line, metric: str, resamples: int
) -> tuple[Sequence[Trace], bool]:
    """A band and a line, and whether all of it is above 0."""
    steps, values = thinned(*curve(line.setting, metric))
    if not len(steps):
        return [], True
    middle, low, high = iqm_interval(values, resamples=resamples)
    along = axes_of(run, line, steps)
    kind = look(line.place)
    room = band(low, high, fillcolor=kind.colour, opacity=0.2, showlegend=False)
    around = {name: there_and_back(x) for name, x in along.items()}
    curve_line = go.Scatter(
        y=_short(middle), name=plain(line.label),
        mode="lines+markers" if len(steps) < 3 else "lines",
        line={"color": kind.colour, "dash": kind.dash, "width": 2},
        customdata=_short(np.stack([low, high], axis=1)),
        hovertemplate="%{y:.6g} [%{customdata[0]:.6g}, %{customdata[1]:.6g}]",
    )  # fmt: skip
    drawn = [Trace(room, line.place, around), Trace(curve_line, line.place, along)]
    return drawn, bool(np.min(low) > 0)


def thinned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST_POINTS` of the steps [T] and columns [S, T], the ends among them; none is
    averaged, so that every number shown is one of the folder's."""
    kept = spread_out(len(steps), MOST_POINTS)
    return steps[kept], values[:, kept]


def axes_of(run: RunFolderData, line: Line, steps: np.ndarray) -> dict[str, np.ndarray]:
    """What a curve can be drawn against: steps, work where it is not the same, seconds if known."""
    rows: Any = line.setting.rows
    work = rows.drop_duplicates("step").set_index("step")["work"].reindex(steps).to_numpy()
    unit, axes = run.manifest["work_unit"], {"steps": steps}
    if not np.array_equal(work, steps):
        axes = {unit: work, **axes} if run.manifest["in_work"] else {**axes, unit: work}
    seconds = seconds_at(run.manifest, int(rows["run"].iloc[0]), steps)
    return axes if seconds is None else {**axes, "seconds of training": seconds}


def seconds_at(manifest: dict[str, Any], run: int, steps: np.ndarray) -> np.ndarray | None:
    """How long the job of a run had trained by each step, all its runs together; None before it
    has ended. A job that resumes where another stopped counts that one's time, too."""
    jobs = [result for result in manifest.get("results", []) if run in result["runs"]]
    at, seconds, before = [0.0], [0.0], 0.0
    for job in sorted(jobs, key=lambda job: job["start"]):
        at += [float(step) for step, _ in job["clock"]]
        seconds += [before + time for _, time in job["clock"]]
        before = seconds[-1]
    if not jobs or at[-1] < steps[-1]:
        return None
    return np.interp(steps, at, seconds)


def _short(values: np.ndarray) -> np.ndarray:
    """As the metrics were measured: in float32, which takes half the room."""
    return values.astype(np.float32)
