"""Draws throughput against the number of runs, on logarithmic axes, under the ceiling."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from research import figures
from research.benchmark.growth import Growth
from research.benchmark.record import Benchmark
from research.benchmark.roofline import ceiling_units
from research.plain_text import human

COLOURS = {"float32": "#0072b2", "bfloat16": "#d55e00"}
CEILING = "ceiling: matrix products alone, at their best rate"
MOST_DOUBLINGS = 6  # of runs that all have a tick; beyond, every third has one
DIGITS = ((1,), (1, 2, 5))  # of labelled throughputs, the fewest first


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
    size = (max(6.0, 4.4 * columns), 0.6 + 3.4 * rows)  # wide enough for the legend
    figure = Figure(figsize=size, layout="constrained", dpi=130)
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid[len(cases) :]:
        axes.set_visible(False)
    entries: dict[str, Any] = {}
    for axes, case in zip(grid, cases, strict=False):
        growths = [growth for growth in benchmark.growths if growth.case == case]
        for growth in growths:
            entries |= _draw_growth(axes, benchmark, growth)
        figures.set_title(axes, case)
        figures.set_x_label(axes, "runs")
        figures.set_y_label(axes, f"{growths[0].unit}/s, all runs")
        _set_scales(axes, max(timing.runs for growth in growths for timing in growth.timings))
    names = [(entries[name], name) for name in sorted(entries, key=_place)]
    columns = len(names) if figure.get_figwidth() > 8 else 2
    figures.set_legend(figure, names, loc="outside lower center", ncols=columns)
    figures.set_suptitle(figure, benchmark.name)
    return figures.save_figure(figure, path)


def _place(name: str) -> tuple[bool, bool]:
    """The place of a name in the legend: curves stand before ceilings, float32 before bfloat16."""
    return CEILING in name, "bfloat16" in name


def _draw_growth(axes: Any, benchmark: Benchmark, growth: Growth) -> dict[str, Any]:
    """Draws a curve and its ceiling, and returns their handles for the legend by their names."""
    colour = COLOURS[growth.precision]
    runs = [timing.runs for timing in growth.timings]
    middle, low, high = (
        np.array([getattr(timing, name) for timing in growth.timings])
        for name in ("units_per_second", "low", "high")
    )
    spread = np.abs([middle - low, high - middle])
    curve = axes.errorbar(runs, middle, spread, fmt="o-", color=colour, markersize=4, capsize=2)
    entries = {growth.precision: curve}
    ceiling = ceiling_units(growth.best, growth.precision, benchmark.ceilings)
    if math.isfinite(ceiling):
        line = axes.axhline(ceiling, color=colour, linestyle="--", linewidth=1)
        entries[f"{growth.precision} {CEILING}"] = line
    return entries


def _set_scales(axes: Any, most: int) -> None:
    """Makes both axes logarithmic, with ticks that are plain numbers."""
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = run_ticks(most)
    figures.set_ticks(axes.xaxis, ticks, [f"{tick:,}" for tick in ticks])
    low, high = axes.get_ylim()
    ticks = throughput_ticks(low, high)
    figures.set_ticks(axes.yaxis, ticks, [human(tick) for tick in ticks])
    axes.set_ylim(min(low, ticks[0]), max(high, ticks[-1]))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, which="both")


def run_ticks(most: int) -> list[int]:
    """Returns the numbers of runs with a tick: 1, 2, 4..., or 1, 8, 64... if they are many."""
    step = 1 if most <= 2**MOST_DOUBLINGS else 3
    return [2**power for power in range(0, most.bit_length(), step)]


def throughput_ticks(low: float, high: float) -> Sequence[float]:
    """Returns the throughputs that are labelled: at least two, which are round numbers between the
    ends of the axis, or just beyond them if it is too short."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    few, more = ([digit * 10.0**power for power in decades for digit in one] for one in DIGITS)
    for ticks in (few, more):
        within = [tick for tick in ticks if low <= tick <= high]
        if len(within) >= 2:
            return within
    first = max(tick for tick in more if tick <= low)
    last = min(tick for tick in more if tick >= high)
    return [tick for tick in more if first <= tick <= last]
