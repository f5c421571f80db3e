"""Draws throughput against the number of runs, on logarithmic axes, under the ceiling."""

from pathlib import Path
from typing import Any

import numpy as np

from research import figures
from research.benchmark.record import Benchmark
from research.benchmark.roofline import ceiling_units

COLOURS = {"float32": "#0072b2", "bfloat16": "#d55e00"}


def draw(benchmark: Benchmark, path: Path) -> Path | None:
    """Draws a panel a case and in it a curve a precision: medians and quartiles, and as a dashed
    line what the best matrix products of that precision would allow.

    Returns:
      The path of the figure; None if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    cases = list(dict.fromkeys(growth.case for growth in benchmark.growths))
    columns = min(3, len(cases))
    rows = -(-len(cases) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.6 * rows), layout="constrained", dpi=130)
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid[len(cases) :]:
        axes.set_visible(False)
    for axes, case in zip(grid, cases, strict=False):
        entries = [
            (_draw_growth(axes, benchmark, growth, COLOURS[growth.precision]), growth.precision)
            for growth in benchmark.growths
            if growth.case == case
        ]
        figures.set_title(axes, case)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        figures.set_x_label(axes, "runs")
        axes.grid(alpha=0.3, which="both")
        figures.set_legend(axes, entries)
    figures.set_suptitle(figure, benchmark.name)
    figure.savefig(path)
    return path


def _draw_growth(axes, benchmark: Benchmark, growth, colour) -> Any:
    """Draws a curve and returns its handle for the legend."""
    runs = [timing.runs for timing in growth.timings]
    middle, low, high = (
        np.array([getattr(timing, name) for timing in growth.timings])
        for name in ("units_per_second", "low", "high")
    )
    spread = np.abs([middle - low, high - middle])
    curve = axes.errorbar(runs, middle, spread, fmt="o-", color=colour, markersize=4, capsize=2)
    ceiling = ceiling_units(growth.best, growth.precision, benchmark.ceilings)
    axes.axhline(ceiling, color=colour, linestyle="--", linewidth=1)
    figures.set_y_label(axes, f"{growth.unit}/s, all runs")
    return curve
