"""Keeps what was compiled for devices that are not there, and draws their predicted throughput."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from research import figures
from research.accelerators.devices import Device
from research.accelerators.needs import assumptions
from research.atomic import write_bytes
from research.benchmark.compile_for import CompiledCase
from research.plain_text import human

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # of devices
STYLES = {"float32": "o-", "bfloat16": "s--"}
CAPTION_WIDTH = 70  # characters under each panel


def save_predicted(found: Sequence[CompiledCase], devices: Sequence[Device], path: Path) -> None:
    """Writes all cases, and the constants behind their predictions, as JSON."""
    content = {
        "predicted": "compiled, not run: throughput is what would be possible at best",
        "constants": {device.name: assumptions(device) for device in devices},
        "cases": [one._asdict() for one in found],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def draw_predicted(
    found: Sequence[CompiledCase], devices: Sequence[Device], path: Path
) -> Path | None:
    """Draws a panel a case and in it a curve for each device and precision, and under them the
    constants.

    Returns:
      The path of the figure; None if matplotlib is not installed, or nothing fits.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    found = [one for one in found if one.fits]
    cases = list(dict.fromkeys(one.case for one in found))
    if not cases:
        return None
    columns = min(3, len(cases))
    rows = -(-len(cases) // columns)
    caption = [line for device in devices for line in _wrapped(assumptions(device), columns)]
    height = 3.6 * rows + 0.16 * len(caption) + 0.5
    figure = Figure(figsize=(4.4 * columns, height), layout="constrained", dpi=130)
    parts: Any = figure.subfigures(2, 1, height_ratios=[height, 0.16 * len(caption) + 0.1])
    above, below = parts
    grid = above.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(cases) :]:
        axes.set_visible(False)
    for axes, case in zip(grid, cases, strict=False):
        _draw_case(axes, [one for one in found if one.case == case], devices)
    figures.set_suptitle(above, "Predicted throughput at best: compiled, not run")
    axes = below.subplots()
    axes.set_axis_off()
    figures.write(axes, 0, 1, "\n".join(caption), va="top", fontsize=7, transform=axes.transAxes)
    return figures.save_figure(figure, path)


def _draw_case(axes: Any, found: Sequence[CompiledCase], devices: Sequence[Device]) -> None:
    entries = []
    for place, device in enumerate(devices):
        look = {"color": COLOURS[place % len(COLOURS)], "markersize": max(3, 8 - 2 * place)}
        for precision, style in STYLES.items():
            some = [one for one in found if (one.device, one.precision) == (device.name, precision)]
            if some:
                throughput = [one.units_per_second for one in some]
                (line,) = axes.plot([one.runs for one in some], throughput, style, **look)
                entries.append((line, f"{device.name}, {precision}"))
    figures.set_title(axes, found[0].case)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    runs = sorted({one.runs for one in found})
    figures.set_ticks(axes.xaxis, runs, [f"{count:,}" for count in runs])
    axes.xaxis.set_minor_locator(_none())
    _set_y_ticks(axes, [one.units_per_second for one in found])
    figures.set_x_label(axes, "runs")
    figures.set_y_label(axes, f"predicted {found[0].unit}/s, all runs")
    axes.grid(alpha=0.3)
    figures.set_legend(axes, entries)


def _set_y_ticks(axes: Any, values: Sequence[float]) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, or at powers alone where those are many."""
    low, high = min(values) / 1.3, max(values) * 1.3
    axes.set_ylim(low, high)
    leads = (1, 2, 5) if high / low < 300 else (1,)
    places = [lead * 10.0**power for power in range(-3, 16) for lead in leads]
    places = [place for place in places if low <= place <= high]
    figures.set_ticks(axes.yaxis, places, [human(place) for place in places])
    axes.yaxis.set_minor_locator(_none())


def _none() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, CAPTION_WIDTH * columns, subsequent_indent="    ")
