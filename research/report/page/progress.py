"""How a search got better on the page: the best score so far against the work of all runs."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from research.report.page.chart import COLOURS, Chart, Trace, Variant, plain
from research.report.ranking import final_scores, merit, with_diverged
from research.report.read import RunFolderData, swept
from research.report.settings import up_to
from research.report.summary import Line, Summary


def search_charts(summary: Summary, run: int) -> list[Chart]:
    """The chart of the best score so far; none for a folder that is no search."""
    data = summary.runs[run]
    lines = [line for line in summary.of_run(run) if line.ended]
    if not data.manifest.get("search") or len(lines) < 2:
        return []
    rungs = _rungs(data, _in_order(data, lines))
    proposed = [line for rung in rungs for line in rung.lines]
    scores = np.concatenate([rung.scores for rung in rungs])
    if not np.isfinite(scores).any():
        return []
    better = np.fmax if data.manifest["higher_is_better"] else np.fmin
    work = np.cumsum(np.concatenate([rung.work for rung in rungs]))
    best = better.accumulate(scores)
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
    order = "rung by rung, and in each " if len(rungs) > 1 else ""
    return [
        Chart(
            name=f"search-{run}",
            title=f"The best setting so far{name}",
            note=f"Interquartile mean over seeds, {order}in the order in which settings were "
            "proposed; without those of which more than a quarter of the runs diverged.",
            variants=[Variant("score", [Trace(dots), Trace(steps)], layout)],
            height=360,
        )
    ]


class _Rung(NamedTuple):
    """Settings that were trained up to the same step: their scores there, and the work of all their
    runs since the rung before."""

    lines: list[Line]
    scores: np.ndarray
    work: np.ndarray


def _rungs(data: RunFolderData, lines: list[Line]) -> list[_Rung]:
    """The rungs of a halving; of any other search one, which holds all settings."""
    ends = sorted({line.setting.last_step for line in lines if not line.setting.all_diverged})
    found, before = [], 0
    for number, end in enumerate(ends or [0]):
        first, last = number == 0, end == ends[-1] if ends else True
        some = [
            line
            for line in lines
            if line.setting.last_step >= end or (first and line.setting.all_diverged)
        ]
        until = math.inf if last else end
        scores = [_score(line, data.manifest, until) for line in some]
        work = np.subtract(_work(data, some, until), _work(data, some, before))
        found.append(_Rung(some, np.array(scores), work))
        before = end
    return found


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


def _work(data: RunFolderData, lines: list[Line], until: float) -> list[int]:
    """The work of all runs of each setting up to a step, also of those that diverged."""
    of_run = data.metrics[data.metrics["step"] <= until].groupby("run")["work"].max()
    seeds, first_runs = len(data.manifest["seeds"]), _first_runs(data)
    return [
        int(of_run[of_run.index.isin(range(first, first + seeds))].sum())
        for first in (first_runs[line.number] for line in lines)
    ]


def _score(line: Line, manifest: Mapping[str, Any], until: float) -> float:
    """The interquartile mean at a step over all runs; NaN where one of the middle half diverged."""
    higher, setting = manifest["higher_is_better"], line.setting
    if until < setting.last_step:
        scores = final_scores(up_to(setting, int(until)), str(line.scores.name))
        iqm = merit(with_diverged(scores, setting), higher).iqm
    else:
        iqm = line.merit.iqm
    return (1.0 if higher else -1.0) * iqm if np.isfinite(iqm) else math.nan
