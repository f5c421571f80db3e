"""The learning curves of a run folder as a PNG in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from research import figures
from research.folders import file_name
from research.plain_text import count_of, shortened
from research.report.curves import learning_curve
from research.report.page.chart import look
from research.report.paper import DASHES as LINES
from research.report.problems import by_problem
from research.report.ranking import final_scores, order
from research.report.read import RunFolderData
from research.report.settings import Setting, show

MOST_COLUMNS = 2  # of panels
MOST_CURVES = 8  # more cannot be told from each other; the best are drawn
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.02)}  # the plot, which it does not cover


def draw_curves(run: RunFolderData, metric: str | None = None) -> Path:
    """Draws interquartile mean and 95% interval over seeds against steps, or against work where
    the experiment counts in it. Each problem has a panel of its own.

    Args:
      run: the run folder; the figure is put into it.
      metric: a column of its metrics; the key metric if not given.

    Returns:
      The path of the PNG.
    """
    metric = metric or str(run.manifest["key_metric"])
    panels = by_problem(run)
    columns = min(MOST_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(9.5 * columns, 4.8 * rows), layout="constrained", dpi=150)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    places: dict[str, int] = {}
    for axes, (problem, some) in zip(every, panels.items(), strict=False):
        _draw_panel(axes, run, problem, some, metric, places)
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    return figures.save_figure(figure, run.path / f"{file_name(metric)}.png")


def _draw_panel(
    axes: Any,
    run: RunFolderData,
    problem: str,
    every: Sequence[Setting],
    metric: str,
    places: dict[str, int],
) -> None:
    """Draws the settings of one problem; those of one label look alike in all panels, by their
    `places`."""
    in_work = run.manifest["in_work"]
    found = [setting for setting in every if setting.rows[metric].count() > 0]
    shown = _best(found, metric, run.manifest["higher_is_better"])
    labels = _labels(shown, found)
    for label in labels:
        places.setdefault(label, len(places))
    entries = _draw(axes, shown, labels, [places[label] for label in labels], metric, in_work)
    figures.set_x_label(axes, run.manifest["work_unit"] if in_work else "step")
    figures.set_y_label(axes, metric.replace("_", " "))
    note = f", best {len(shown)} of {len(found)} settings" if len(shown) < len(found) else ""
    if missing := sum(setting.all_diverged for setting in every):
        note += f"; {missing} without a finite run"
    name = shortened(problem or run.path.name)
    figures.set_title(axes, f"{name}: interquartile mean, 95% bootstrap interval{note}")
    axes.grid(alpha=0.3)
    figures.set_legend(axes, entries, **BESIDE)


def _draw(
    axes: Any,
    shown: Sequence[Setting],
    labels: Sequence[str],
    places: Sequence[int],
    metric: str,
    in_work: bool,
) -> list[tuple[Any, str]]:
    """Draws the curves in the colours and dashes of the page, and returns the entries of the
    legend."""
    entries = []
    for setting, label, place in zip(shown, labels, places, strict=True):
        curve, style = learning_curve(setting, metric), look(place)
        colour = style.colour
        at = curve.work if in_work else curve.steps
        seeds = count_of(setting.seeds - setting.left_out, "seed")
        left_out = f", {setting.left_out} left out" if setting.left_out else ""
        (line,) = axes.plot(at, curve.iqm, color=colour, linestyle=LINES[style.dash])
        entries.append((line, f"{label} ({seeds}{left_out})" if label else seeds + left_out))
        axes.fill_between(at, curve.low, curve.high, color=colour, alpha=0.25, linewidth=0)
    return entries


def _best(found: list[Setting], metric: str, higher_is_better: bool) -> list[Setting]:
    """The best settings by their last value, the best first."""
    ranks = [order(one, final_scores(one, metric), higher_is_better) for one in found]
    best = sorted(range(len(found)), key=lambda index: ranks[index])[:MOST_CURVES]
    return [found[index] for index in best]


def _labels(shown: Sequence[Setting], found: Sequence[Setting]) -> list[str]:
    """A label for each setting that is shown, of what differs among all that were found."""
    names = [name for name in (found[0].values if found else ())
             if len({str(one.values.get(name)) for one in found}) > 1]  # fmt: skip
    return [", ".join(f"{name} {show(one.values[name])}" for name in names) for one in shown]
