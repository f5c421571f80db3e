"""The schedules of hyper-parameters that populations found, on the page."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from research.report.page.chart import Chart, Trace, Variant, look, plain
from research.report.schedules import Path, Schedule, groups_with_rows, schedules, title_of
from research.report.summary import Summary

MOST_BEST = 21  # histories
MOST_MEMBERS = 400  # lines


def schedule_charts(summary: Summary, run: int) -> list[Chart]:
    """A chart for each group of populations of a folder, with a variant for the score and for each
    hyper-parameter; none where no scheduler changed any."""
    data = summary.runs[run]
    if data.decisions is None:
        return []
    unit = data.manifest["work_unit"] if data.manifest["in_work"] else "steps"
    name = f" of {summary.run_name(run)}" if summary.run_name(run) else ""
    return [
        Chart(
            name=f"schedules-{run}-{group}",
            title=f"Schedules that {title_of(data, group)}{name} found",
            note="Each thin line is a member; a thick one is the history of the best member of a "
            "population at the end, which took over from others where it jumps.",
            variants=_variants(schedules(data, group), unit),
            height=420,
            whole=True,
        )
        for group in groups_with_rows(data)
    ]


def _variants(found: Sequence[Schedule], unit: str) -> list[Variant]:
    """The hyper-parameters, then the score."""
    score, *others = found
    return [_variant(one, unit) for one in [*others, score]]


def _variant(schedule: Schedule, unit: str) -> Variant:
    shape = "hv" if schedule.steps else "linear"
    x, y = _joined(schedule.members[:MOST_MEMBERS])
    members = go.Scatter(
        x=x, y=y, mode="lines", name="each member", hoverinfo="skip", opacity=0.5,
        line={"color": "#8a8a8a", "width": 0.8, "shape": shape}, connectgaps=False,
    )  # fmt: skip
    traces = [Trace(members)]
    for place, path in enumerate(schedule.best[:MOST_BEST]):
        style = look(place)
        line = {"color": style.colour, "dash": style.dash, "width": 2.2, "shape": shape}
        drawn = go.Scatter(
            x=path.at, y=path.values.astype(np.float32), mode="lines", name=plain(path.label),
            line=line, hovertemplate="%{y:.6g}",
        )  # fmt: skip
        traces.append(Trace(drawn))
    axis = {"title": {"text": plain(schedule.name.replace("_", " "))}}
    if schedule.log:
        axis["type"] = "log"  # type: ignore[assignment]
    layout = {"xaxis": {"title": {"text": plain(unit)}}, "yaxis": axis, "showlegend": True}
    return Variant(schedule.name, traces, layout)


def _joined(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Lines as one, with a gap after each."""
    gap = np.array([np.nan])
    x = [part for path in paths for part in (path.at, gap)]
    y = [part for path in paths for part in (path.values.astype(np.float32), gap)]
    return np.concatenate(x), np.concatenate(y)
