"""The schedules of hyper-parameters that populations found, as a PNG in the run folder."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from research import figures
from research.report.page.chart import look
from research.report.read import RunFolderData
from research.report.schedules import Schedule, groups_with_rows, schedules, title_of

NAME = "population.png"
MOST_BEST = 7  # histories with a colour of their own
GREY = "#8a8a8a"


def draw_schedules(run: RunFolderData) -> Path:
    """Draws score and hyper-parameters of all members over time, a row for each group, and returns
    the path of the PNG."""
    rows = [(group, schedules(run, group)) for group in groups_with_rows(run)]
    columns = max(len(found) for _, found in rows)
    size = (4.6 * columns + 1.5, 3.6 * len(rows) + 0.4)
    figure = Figure(figsize=size, layout="constrained", dpi=130)
    every = figure.subplots(len(rows), columns, squeeze=False)
    entries: list[tuple[Any, str]] = []
    for row, (group, found) in zip(every, rows, strict=True):
        for axes, schedule in zip(row, found, strict=True):
            entries = _draw(axes, schedule)
            figures.set_x_label(
                axes, run.manifest["work_unit"] if run.manifest["in_work"] else "step"
            )
            figures.set_y_label(axes, schedule.name.replace("_", " "))
        figures.set_legend(row[-1], entries, loc="upper left", bbox_to_anchor=(1.0, 1.02))
        figures.set_title(row[0], title_of(run, group))
    return figures.save_figure(figure, run.path / NAME)


def _draw(axes: Any, schedule: Schedule) -> list[tuple[Any, str]]:
    """Draws a line for each member, and the histories of the best on top; returns the entries of
    the legend."""
    style = {"drawstyle": "steps-post"} if schedule.steps else {}
    entries: list[tuple[Any, str]] = []
    line = None
    for path in schedule.members:
        (line,) = axes.plot(path.at, path.values, color=GREY, linewidth=0.6, alpha=0.45, **style)
    for place, path in enumerate(schedule.best[:MOST_BEST]):
        colour = look(place).colour
        (drawn,) = axes.plot(path.at, path.values, color=colour, linewidth=1.8, **style)
        entries.append((drawn, path.label))
    if schedule.log:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    return [*entries, (line, "each member")] if line is not None else entries
