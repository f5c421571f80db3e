"""The distribution of final scores on the page: every run a dot, and performance profiles."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from research.report.curves import spread_out
from research.report.page.chart import MOST, Chart, Trace, Variant, band, look, plain
from research.report.ranking import final_scores
from research.report.settings import show
from research.report.statistics import performance_profile
from research.report.summary import Line, Summary

MOST_DOTS = 4_000
MOST_ROWS = 60
MOST_LETTERS = 34  # of the name of a row
PROFILE_STEPS = 150


def dots(summary: Summary) -> Chart | None:
    """A chart with a dot for every run, and the interquartile mean with its interval; None where
    nothing is measured. Of very many runs, those of the best settings are drawn."""
    lines = _shown(summary, MOST_ROWS)
    if not lines:
        return None
    runs = sum(len(line.scores) for line in lines)
    of = sum(len(line.scores) for line in summary.lines)
    some = f" The {runs:,} runs of the best {len(lines)} settings, of {of:,}." if runs < of else ""
    names = dict.fromkeys([summary.metric, summary.shown])
    rows = ", ".join(lines[0].setting.values) if _short(lines) else ""
    return Chart(
        name="dots",
        title="Every run",
        note="A dot is a run at its last step, or at its stop; the bar is the interquartile "
        "mean and its 95% interval. Runs that became non-finite are counted in brackets."
        + (f" Rows are {rows}." if rows else "")
        + some,
        variants=[_dots_variant(summary, lines, name) for name in names],
        height=max(280, 110 + 26 * len(lines)),
    )


def _shown(summary: Summary, most: int) -> list[Line]:
    """The best settings, as many of them as have dots to draw."""
    lines, left = [], MOST_DOTS
    for line in summary.lines[:most]:
        left -= len(line.scores)
        if len(line.scores) and (left >= 0 or not lines):
            lines.append(line)
    return lines


def _dots_variant(summary: Summary, lines: list[Line], metric: str) -> Variant:
    traces = []
    for row, line in enumerate(reversed(lines)):
        scores = line.scores if metric == summary.metric else final_scores(line.setting, metric)
        traces += _dots_of(row, line, scores, metric == summary.metric)
    names = [_row_name(line, summary.run_name(line.run), _short(lines)) for line in reversed(lines)]
    layout = {
        "xaxis": {"title": {"text": plain(metric.replace("_", " "))}},
        "yaxis": {
            "tickvals": list(range(len(names))), "ticktext": names, "automargin": True,
            "range": [-0.6, len(names) - 0.4],
        },
        "hovermode": "closest",
    }  # fmt: skip
    return Variant(metric, traces, layout)


def _short(lines: list[Line]) -> bool:
    """Whether rows are named by values alone, as names would take too much room."""
    return max(len(line.label) for line in lines) > MOST_LETTERS


def _row_name(line: Line, run: str, short: bool) -> str:
    """The name of a row of dots: the values alone, if labels are too long for the rows."""
    values = ", ".join(map(show, line.setting.values.values()))
    name = (f"{run}: {values}" if run else values) if short else line.label
    name = name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"
    return plain(name + (f" (+{line.setting.left_out})" if line.setting.left_out else ""))


def _dots_of(row: int, line: Line, scores: pd.Series, headline: bool) -> list[Trace]:
    kind = look(line.place)
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(scores))
    each = go.Scatter(
        x=scores.to_numpy(np.float32), y=(row + jitter).astype(np.float32), mode="markers",
        marker={"color": kind.colour, "symbol": f"{kind.mark}-open", "size": 7},
        name=plain(line.label), customdata=scores.index.to_numpy(),
        hovertemplate="%{x:.6g}, seed %{customdata}",
    )  # fmt: skip
    if not headline or line.iqm is None:
        return [Trace(each)]
    iqm, low, high = map(float, line.iqm)
    middle = go.Scatter(
        x=[iqm], y=[row], mode="markers", name=plain(line.label),
        marker={"color": kind.colour, "symbol": "line-ns", "size": 20,
                "line": {"width": 3, "color": kind.colour}},
        error_x={"type": "data", "symmetric": False, "array": [high - iqm],
                 "arrayminus": [iqm - low], "color": kind.colour, "thickness": 2, "width": 6},
        hovertemplate=f"IQM %{{x:.6g}} [{low:.6g}, {high:.6g}]",
    )  # fmt: skip
    return [Trace(each), Trace(middle)]


def profile(summary: Summary) -> Chart | None:
    """A chart of performance profiles; None where nothing is measured."""
    lines = _shown(summary, MOST)
    if not lines:
        return None
    word = "at least" if summary.higher_is_better else "at most"
    edges = _edges(np.concatenate([line.scores.to_numpy() for line in lines]))
    traces = [trace for line in lines for trace in _profile_of(line, edges, summary)]
    layout = {
        "xaxis": {"title": {"text": plain(summary.metric.replace("_", " "))},
                  **({} if summary.higher_is_better else {"autorange": "reversed"})},
        "yaxis": {"title": {"text": f"share of runs {word} so"}, "range": [-0.02, 1.02],
                  "tickformat": ".0%"},
    }  # fmt: skip
    return Chart(
        name="profile",
        title="Performance profile",
        note=f"The share of a setting's runs whose score is {word} that much, with 95% intervals "
        "at each score: a curve above another everywhere is better in every way.",
        variants=[Variant(summary.metric, traces, layout)],
        legend=True,
    )


def _edges(scores: np.ndarray) -> np.ndarray:
    """Where profiles may step: at every score, or at as many of them as are seen; and the ends."""
    at = np.unique(scores)
    at = at[spread_out(len(at), PROFILE_STEPS)]
    room = float(np.ptp(at)) * 0.02 or abs(float(at[0])) * 0.01 or 1.0
    return np.concatenate([[at[0] - room], at, [at[-1] + room]])


def _profile_of(line: Line, edges: np.ndarray, summary: Summary) -> list[Trace]:
    between = (edges[:-1] + edges[1:]) / 2
    interval = performance_profile(line.scores.to_numpy(), between, summary.higher_is_better)
    at = np.repeat(edges, 2)[1:-1]
    share, low, high = (np.repeat(part, 2) for part in interval)
    return share_traces(line, at, share, low, high)


def share_traces(
    line: Line, at: np.ndarray, share: np.ndarray, low: np.ndarray, high: np.ndarray
) -> list[Trace]:
    """Returns the curve of a share of the runs of a setting, and the band of its interval, in the
    look of the setting."""
    kind = look(line.place)
    room = band(low, high, at, fillcolor=kind.colour, opacity=0.1)
    curve = go.Scatter(
        x=at, y=share.astype(np.float32), mode="lines", name=plain(line.label),
        line={"color": kind.colour, "dash": kind.dash, "width": 2},
        hovertemplate="%{y:.1%}",
    )  # fmt: skip
    return [Trace(room, line.place), Trace(curve, line.place)]
