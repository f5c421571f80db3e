"""Learning curves for the page: every setting, every metric, against steps, work or time."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from research.report.curves import LearningCurve, learning_curve, seconds_at
from research.report.page.chart import (
    MOST,
    Chart,
    Trace,
    Variant,
    band,
    look,
    plain,
    there_and_back,
)
from research.report.read import RunFolderData, metric_names
from research.report.summary import Line, Summary

MOST_POINTS = 150  # of a curve; more are not seen
MOST_METRICS = 8
RESAMPLES = 500  # of a band; the numbers in the tables have more


def learning_curves(summary: Summary, resamples: int = RESAMPLES) -> Chart:
    """A chart with a variant for each metric, the one that settings are compared by first."""
    others = dict.fromkeys(name for run in summary.runs for name in metric_names(run))
    names = list(dict.fromkeys([summary.metric, summary.shown, *others]))[:MOST_METRICS]
    variants = [_variant(summary, name, resamples) for name in names]
    lines = len(summary.lines)
    some = f" The best {MOST} of {lines} settings." if lines > MOST else ""
    return Chart(
        name="curves",
        title="Learning curves",
        note="Interquartile mean over seeds; the band is its 95% bootstrap interval at each point."
        + some
        + (" A run that stopped early keeps its last value." if _stop_early(summary) else ""),
        variants=[variant for variant in variants if variant.traces],
        legend=True,
        height=460,
        whole=True,
    )


def _stop_early(summary: Summary) -> bool:
    return any(run.stopped for run in summary.runs)


def _variant(summary: Summary, metric: str, resamples: int) -> Variant:
    traces: list[Trace] = []
    positive = True
    for line in summary.lines[:MOST]:
        if metric not in line.setting.rows or not line.setting.rows[metric].count():
            continue
        curve = learning_curve(line.setting, metric, MOST_POINTS, resamples)
        if len(curve.steps):
            traces += _drawn(summary.runs[line.run], line, curve)
            positive &= bool(np.min(curve.low) > 0)
    layout = {"yaxis": {"title": {"text": plain(metric.replace("_", " "))}}}
    return Variant(metric, traces, layout, log=positive)


def _drawn(run: RunFolderData, line: Line, curve: LearningCurve) -> Sequence[Trace]:
    """A band and a line."""
    along = axes_of(run, line, curve)
    kind = look(line.place)
    room = band(curve.low, curve.high, fillcolor=kind.colour, opacity=0.2, showlegend=False)
    around = {name: there_and_back(x) for name, x in along.items()}
    middle = go.Scatter(
        y=_short(curve.iqm), name=plain(line.label),
        mode="lines+markers" if len(curve.steps) < 3 else "lines",
        line={"color": kind.colour, "dash": kind.dash, "width": 2},
        customdata=_short(np.stack([curve.low, curve.high], axis=1)),
        hovertemplate="%{y:.6g} [%{customdata[0]:.6g}, %{customdata[1]:.6g}]",
    )  # fmt: skip
    return [Trace(room, line.place, around), Trace(middle, line.place, along)]


def axes_of(run: RunFolderData, line: Line, curve: LearningCurve) -> dict[str, np.ndarray]:
    """The x-axes of a curve: steps, work where it is not the same, seconds if known."""
    unit, axes = run.manifest["work_unit"], {"steps": curve.steps}
    if not np.array_equal(curve.work, curve.steps):
        work = {unit: curve.work}
        axes = {**work, **axes} if run.manifest["in_work"] else {**axes, **work}
    seconds = seconds_at(run.manifest, int(line.setting.rows["run"].iloc[0]), curve.steps)
    return axes if seconds is None else {**axes, "seconds of training": seconds}


def _short(values: np.ndarray) -> np.ndarray:
    """Values in float32, as the metrics were measured: half the bytes."""
    return values.astype(np.float32)
