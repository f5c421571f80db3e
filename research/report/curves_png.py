"""The learning curves of a run folder as a PNG in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from research import figures
from research.folders import file_name
from research.plain_text import count_of, shortened
from research.report.curves import learning_curve
from research.report.problems import by_problem
from research.report.ranking import final_scores, order
from research.report.read import RunFolderData
from research.report.settings import Setting

MOST_COLUMNS = 2  # of panels
MOST_CURVES = 10  # more cannot be told from each other; the best are drawn


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
    figure = Figure(figsize=(8 * columns, 4.8 * rows), layout="constrained", dpi=150)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (problem, some) in zip(every, panels.items(), strict=False):
        _draw_panel(axes, run, problem, some, metric)
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    return figures.save_figure(figure, run.path / f"{file_name(metric)}.png")


def _draw_panel(
    axes: Any, run: RunFolderData, problem: str, every: Sequence[Setting], metric: str
) -> None:
    """Draws the settings of one problem."""
    in_work = run.manifest["in_work"]
    found = [setting for setting in every if setting.rows[metric].count() > 0]
    shown = _best(found, metric, run.manifest["higher_is_better"])
    entries = _draw(axes, shown, metric, in_work)
    figures.set_x_label(axes, run.manifest["work_unit"] if in_work else "step")
    figures.set_y_label(axes, metric.replace("_", " "))
    note = f", best {len(shown)} of {len(found)} settings" if len(shown) < len(found) else ""
    if missing := sum(setting.all_diverged for setting in every):
        note += f"; {missing} without a finite run"
    name = shortened(problem or run.path.name)
    figures.set_title(axes, f"{name}: interquartile mean, 95% bootstrap interval{note}")
    axes.grid(alpha=0.3)
    figures.set_legend(axes, entries)


def _draw(axes: Any, shown: Sequence[Setting], metric: str, in_work: bool) -> list[tuple[Any, str]]:
    """Draws the curves, and returns the entries of the legend."""
    palette = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, max(1, len(shown))))
    entries = []
    for setting, colour in zip(shown, palette, strict=False):
        curve = learning_curve(setting, metric)
        at = curve.work if in_work else curve.steps
        seeds = count_of(setting.seeds - setting.left_out, "seed")
        left_out = f", {setting.left_out} left out" if setting.left_out else ""
        (line,) = axes.plot(at, curve.iqm, color=colour)
        entries.append((line, f"{curve.label} ({seeds}{left_out})"))
        axes.fill_between(at, curve.low, curve.high, color=colour, alpha=0.25, linewidth=0)
    return entries


def _best(found: list[Setting], metric: str, higher_is_better: bool) -> list[Setting]:
    """The best settings by their last value, in the order in which they were given."""
    ranks = [order(one, final_scores(one, metric), higher_is_better) for one in found]
    best = sorted(range(len(found)), key=lambda index: ranks[index])[:MOST_CURVES]
    return [found[index] for index in sorted(best)]
