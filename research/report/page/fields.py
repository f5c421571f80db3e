"""The effects of hyper-parameters on the page: levels, heat maps, parallel coordinates."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from research.report.page.chart import COLOURS, Chart, Trace, Variant, plain
from research.report.sensitivity import Sensitivity, in_percent, levels_of
from research.report.statistics import interquartile_mean
from research.report.summary import Line, Summary, in_order

MOST_PAIRS = 10  # of fields, in heat maps
MOST_PATHS = 300  # in parallel coordinates
SCALE = "Cividis"  # the same to all eyes; numbers are written on it
LINES = ("#0072b2", "#8a8a8a", "#d55e00")  # from poor to good; seen on both grounds of the page


def field_charts(summary: Summary, run: int) -> list[Chart]:
    """The charts of the swept fields of one folder; none where nothing is swept."""
    fields, together = summary.sensitivity[run]
    lines = in_order([line for line in summary.of_run(run) if len(line.scores)])
    charts: list[Chart] = []
    if fields:
        charts.append(_levels_chart(summary, run, fields, together))
    if len(fields) > 1:
        charts.append(_heat_map(summary, run, fields, lines))
    if len(fields) > 2:
        charts.append(_parallel(summary, run, fields, lines))
    return charts


def _levels_chart(
    summary: Summary, run: int, fields: Sequence[Sensitivity], together: float
) -> Chart:
    percents = in_percent(fields, together).each
    return Chart(
        name=f"levels-{run}",
        title=_title(summary, run, "What each hyper-parameter does"),
        note="Interquartile mean of all finite runs with a value, whatever else they have, "
        "with its 95% interval; and the best setting that has it.",
        variants=[
            _levels_variant(summary, field, percent)
            for field, percent in zip(fields, percents, strict=True)
        ],
        height=360,
    )


def _levels_variant(summary: Summary, field: Sensitivity, percent: int) -> Variant:
    names = [plain(level.name) for level in field.levels]
    iqm, low, high = (np.array([float(level.iqm[part]) for level in field.levels])
                      for part in range(3))  # fmt: skip
    all_runs = go.Scatter(
        x=names, y=iqm, mode="lines+markers", name="all runs",
        line={"color": COLOURS[0], "width": 2}, marker={"size": 9},
        error_y={"type": "data", "symmetric": False, "array": high - iqm, "arrayminus": iqm - low},
        customdata=np.stack([low, high, [level.runs for level in field.levels]], axis=1),
        hovertemplate="%{y:.6g} [%{customdata[0]:.6g}, %{customdata[1]:.6g}], "
        "%{customdata[2]} runs",
    )  # fmt: skip
    best = go.Scatter(
        x=names, y=[level.best for level in field.levels], mode="markers", name="best setting",
        marker={"color": COLOURS[1], "symbol": "diamond-open", "size": 11, "line": {"width": 2}},
        hovertemplate="%{y:.6g}",
    )  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": plain(field.name)}, "type": "category"},
        "yaxis": {"title": {"text": plain(summary.judged_by.replace("_", " "))}},
        "showlegend": True,
    }
    return Variant(
        f"{field.name} ({percent}% of the spread)", [Trace(all_runs), Trace(best)], layout
    )


def _heat_map(
    summary: Summary, run: int, fields: Sequence[Sensitivity], lines: Sequence[Line]
) -> Chart:
    pairs = list(itertools.combinations(fields, 2))[:MOST_PAIRS]
    return Chart(
        name=f"heat-{run}",
        title=_title(summary, run, "Two hyper-parameters together"),
        note="Interquartile mean of all finite runs that have both values.",
        variants=[_heat_variant(summary, first, second, lines) for first, second in pairs],
        height=400,
    )


def _heat_variant(
    summary: Summary, first: Sensitivity, second: Sensitivity, lines: Sequence[Line]
) -> Variant:
    rows, row_names = levels_of([line.setting.values[first.name] for line in lines])
    columns, column_names = levels_of([line.setting.values[second.name] for line in lines])
    cells = np.full((len(row_names), len(column_names)), np.nan)
    counts = np.zeros(cells.shape, int)
    for row, column in itertools.product(range(len(row_names)), range(len(column_names))):
        here = np.flatnonzero((rows == row) & (columns == column))
        members = [lines[int(place)].judged for place in here]
        if members:
            scores = np.concatenate([one.to_numpy() for one in members])
            cells[row, column], counts[row, column] = interquartile_mean(scores), len(scores)
    drawn = go.Heatmap(
        z=cells, x=[plain(name) for name in column_names], y=[plain(name) for name in row_names],
        customdata=counts, colorscale=SCALE, reversescale=not summary.more_is_better,
        texttemplate="%{z:.4g}", hoverongaps=False, colorbar={"thickness": 12, "outlinewidth": 0},
        hovertemplate="%{z:.6g}, %{customdata} runs<extra></extra>",
    )  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": plain(second.name)}, "type": "category"},
        "yaxis": {"title": {"text": plain(first.name)}, "type": "category", "automargin": True},
        "hovermode": "closest",
    }
    return Variant(f"{first.name} and {second.name}", [Trace(drawn)], layout)


def _parallel(
    summary: Summary, run: int, fields: Sequence[Sensitivity], lines: Sequence[Line]
) -> Chart:
    shown = in_order(sorted(lines, key=lambda line: line.place)[:MOST_PATHS])
    some = f" The best {len(shown)} of {len(lines)}." if len(shown) < len(lines) else ""
    axes = [_axis([line.setting.values[field.name] for line in shown]) for field in fields]
    scores = np.array([float(interquartile_mean(line.judged.to_numpy())) for line in shown])
    axes.append(_axis(scores.tolist()))
    heights = np.stack([at for at, _, _ in axes], axis=1)
    quality = axes[-1][0] if summary.more_is_better else 1 - axes[-1][0]
    order = np.argsort(quality)  # the best on top
    traces = [_path(shown[place], heights[place], float(quality[place])) for place in order]
    names = [*(field.name for field in fields), summary.judged_by]
    return Chart(
        name=f"parallel-{run}",
        title=_title(summary, run, "Parallel coordinates"),
        note="A line is a setting; blue ones are poor, orange ones good." + some,
        variants=[Variant("all", traces, _parallel_layout(names, axes))],
        height=440,
        whole=True,
    )


def _axis(values: Sequence[Any]) -> tuple[np.ndarray, list[float], list[str]]:
    """Where values lie between 0 and 1, and a few ticks: places of rank for what is no number, or
    spans magnitudes."""
    groups, names = levels_of(values)
    numbers = all(isinstance(value, int | float) for value in values)
    if not numbers or (len(names) <= 8 and len(set(values)) == len(names)):
        at = np.linspace(0, 1, len(names)) if len(names) > 1 else np.array([0.5])
        return at[groups], at.tolist(), names
    numeric = np.asarray(values, np.float64)
    scale = np.log(numeric) if numeric.min() > 0 and numeric.max() > 20 * numeric.min() else numeric
    low, high = scale.min(), scale.max()
    at = (scale - low) / (high - low)
    ticks = np.linspace(0, 1, 3)
    marks = low + ticks * (high - low)
    marks = np.exp(marks) if scale is not numeric else marks
    return at, ticks.tolist(), [f"{mark:.3g}" for mark in marks]


def _path(line: Line, heights: np.ndarray, quality: float) -> Trace:
    from plotly.colors import sample_colorscale

    (colour,) = sample_colorscale(list(LINES), [quality])
    assert line.iqm is not None  # it has scores
    return Trace(
        go.Scatter(
            x=np.arange(len(heights)), y=heights.astype(np.float32), mode="lines",
            line={"color": colour, "width": 1.5},
            text=[f"{plain(line.label)}: {float(line.iqm.estimate):.6g}"] * len(heights),
            hovertemplate="%{text}<extra></extra>",  # where a label with %{y} would be read
        )
    )  # fmt: skip


def _parallel_layout(names: Sequence[str], axes: Sequence[Any]) -> dict[str, Any]:
    ticks = [
        {"x": place, "y": at, "text": plain(text), "showarrow": False, "xanchor": "left",
         "xshift": 4, "font": {"size": 11}}
        for place, (_, places, texts) in enumerate(axes)
        for at, text in zip(places, texts, strict=True)
    ]  # fmt: skip
    return {
        "xaxis": {"tickvals": list(range(len(names))), "ticktext": [plain(name) for name in names],
                  "range": [-0.2, len(names) - 0.4], "gridwidth": 2},
        "yaxis": {"visible": False, "range": [-0.06, 1.06]},
        "annotations": ticks,
        "hovermode": "closest",
    }  # fmt: skip


def _title(summary: Summary, run: int, title: str) -> str:
    name = summary.run_name(run)
    return f"{title}: {name}" if name else title
