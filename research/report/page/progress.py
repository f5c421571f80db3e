"""How a search got better on the page: the best score so far against the work of all runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from research.report.page.chart import COLOURS, Chart, Trace, Variant, plain
from research.report.read import RunFolderData, swept
from research.report.summary import Line, Summary


def search_charts(summary: Summary, run: int) -> list[Chart]:
    """The chart of the best score so far; none for a folder that is no search, or whose settings
    were stopped at different steps."""
    data = summary.runs[run]
    lines = [line for line in summary.of_run(run) if line.ended]
    if not data.manifest.get("search") or data.manifest.get("rungs") or len(lines) < 2:
        return []
    proposed = _in_order(data, lines)
    scores = np.array([_score(line, data.manifest) for line in proposed])
    if not np.isfinite(scores).any():
        return []
    better = np.fmax if data.manifest["higher_is_better"] else np.fmin
    work, best = np.cumsum(_work(data, proposed)), better.accumulate(scores)
    unit, metric = data.manifest["work_unit"], summary.metric.replace("_", " ")
    dots = go.Scatter(
        x=work, y=scores, mode="markers", name="each setting", marker={"color": "#8a8a8a"},
        text=[plain(line.label) for line in proposed], hovertemplate="%{y:.6g}<br>%{text}",
    )  # fmt: skip
    steps = go.Scatter(
        x=work, y=best, mode="lines", name="the best so far",
        line={"color": COLOURS[0], "width": 2, "shape": "hv"}, hovertemplate="%{y:.6g}",
    )  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": plain(f"{unit} of all runs")}},
        "yaxis": {"title": {"text": plain(metric)}},
        "showlegend": True,
    }
    name = f" of {summary.run_name(run)}" if len(summary.runs) > 1 else ""
    return [
        Chart(
            name=f"search-{run}",
            title=f"The best setting so far{name}",
            note="Interquartile mean over seeds, in the order in which settings were proposed; "
            "without those of which more than a quarter of the runs diverged.",
            variants=[Variant("score", [Trace(dots), Trace(steps)], layout)],
            height=360,
        )
    ]


def _in_order(data: RunFolderData, lines: list[Line]) -> list[Line]:
    """The settings in the order in which they were proposed: those of all groups together."""
    first_runs = _first_runs(data)
    starts = [group["first_run"] for group in data.manifest["groups"]]

    def place(line: Line) -> tuple[int, int]:
        first = first_runs[line.number]
        start = max(one for one in starts if one <= first)
        return first - start, start

    return sorted(lines, key=place)


def _first_runs(data: RunFolderData) -> list[int]:
    """The first run of each setting, in the order of `settings`."""
    names = swept(data.manifest)
    return data.metrics.groupby(names, sort=False)["run"].min().tolist()


def _work(data: RunFolderData, lines: list[Line]) -> list[int]:
    """The work of all runs of each setting, also of those that diverged."""
    of_run = data.metrics.groupby("run")["work"].max()
    seeds, first_runs = len(data.manifest["seeds"]), _first_runs(data)
    return [
        int(of_run[of_run.index.isin(range(first, first + seeds))].sum())
        for first in (first_runs[line.number] for line in lines)
    ]


def _score(line: Line, manifest: Mapping[str, Any]) -> float:
    """The interquartile mean over all runs; NaN where one of the middle half has diverged."""
    sign = 1.0 if manifest["higher_is_better"] else -1.0
    return sign * line.merit.iqm if line.comparable else float("nan")
