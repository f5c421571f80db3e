"""Figures that the tools for MLPs write as PNG: what the nets of several runs predict, how good
that is, and on which features it depends.

Shape letters: R runs, N rows, K classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from research import figures
from research.mlp.views.class_curves import (
    COVERED,
    PRECISION_RECALL,
    ROC,
    Curve,
    class_curves,
    confusion,
)
from research.plain_text import count_of, shortened
from research.report.statistics import Interval

MOST_OF_CLASS = 24  # letters of a class beside a confusion matrix
DARK, LIGHT = "#1f3b6f", "#8fa8d8"


def draw_roc(path: Path, y_N: Any, probabilities_RxNxK: Any, class_names: Sequence[str]) -> Path:
    """Receiver operating characteristics: the run with the median area, its classes one by one if
    there are more than two, and a band through 95% of the runs. Of several classes the mean of each
    against the rest is drawn. The file is `path`."""
    figure, axes = _square("false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    _draw_curves(axes, ROC, y_N, probabilities_RxNxK, class_names, "ROC")
    return figures.save_figure(figure, path)


def draw_precision_recall(
    path: Path, y_N: Any, probabilities_RxNxK: Any, class_names: Sequence[str]
) -> Path:
    """Precision against recall, as steps; the median is that of average precision, else as
    `draw_roc`."""
    figure, axes = _square("recall", "precision")
    _draw_curves(axes, PRECISION_RECALL, y_N, probabilities_RxNxK, class_names, "Precision, recall")
    return figures.save_figure(figure, path)


def draw_confusion(
    path: Path, y_N: Any, probabilities_RxNxK: Any, class_names: Sequence[str]
) -> Path:
    """The confusion matrix of the run with the median accuracy, and below each number the smallest
    and the largest of all runs. The file is `path`."""
    found, labels = (
        confusion(y_N, probabilities_RxNxK, len(class_names)),
        np.arange(len(class_names)),
    )
    size = 2.6 + 0.62 * len(labels)
    figure = Figure(figsize=(size, size), layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.imshow(found.shares, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(found.middle):
        low, high = found.low[true, predicted], found.high[true, predicted]
        spread = f"\n{low}-{high}" if low < high else ""
        colour = "white" if found.shares[true, predicted] > 0.5 else "black"
        figures.write(axes, predicted, true, f"{count}{spread}", ha="center", va="center",
                      color=colour, fontsize=7)  # fmt: skip
    figures.set_ticks(axes.xaxis, labels, class_names, MOST_OF_CLASS, rotation=45, ha="right")
    figures.set_ticks(axes.yaxis, labels, class_names, MOST_OF_CLASS)
    figures.set_x_label(axes, "predicted")
    figures.set_y_label(axes, "true")
    figures.set_title(
        axes, f"Run of median accuracy; spread of {count_of(len(probabilities_RxNxK), 'run')}"
    )
    return figures.save_figure(figure, path)


def draw_predicted(path: Path, y_N: Any, predicted_RxN: Any, unit: str) -> Path:
    """Predicted against true numbers: the median of the runs, and a bar through 95% of them."""
    figure, axes = _square(f"true {unit}", f"predicted {unit}")
    low, middle, high = np.percentile(predicted_RxN, [COVERED[0], 50, COVERED[1]], axis=0)
    ends = [min(np.min(y_N), low.min()), max(np.max(y_N), high.max())]
    axes.plot(ends, ends, color="grey", linewidth=0.8, linestyle=":")
    axes.vlines(y_N, low, high, color=LIGHT, linewidth=1)
    axes.plot(y_N, middle, "o", color=DARK, markersize=3)
    figures.set_title(
        axes, f"Median of {count_of(len(predicted_RxN), 'run')}, bars through 95% of them"
    )
    return figures.save_figure(figure, path)


def draw_by_size(path: Path, sizes: Sequence[int], scores: Mapping[str, Any], part: str) -> Path:
    """Metrics of ensembles by how many runs they have: every ensemble a dot, their mean a line.

    Args:
      path: of the file.
      sizes: of each ensemble.
      scores: metric -> of each ensemble; one panel each.
      part: what they predict.
    """
    figure = Figure(figsize=(4.2 * len(scores), 3.6), layout="constrained", dpi=150)
    for axes, (name, values) in zip(
        np.atleast_1d(figure.subplots(1, len(scores))), scores.items(), strict=True
    ):
        values, at = np.asarray(values), np.asarray(sizes)
        axes.plot(at, values, "o", color=LIGHT, markersize=3, alpha=0.7)
        each = np.unique(at)
        axes.plot(each, [values[at == size].mean() for size in each], color=DARK)
        figures.set_x_label(axes, "runs that predict together")
        figures.set_y_label(axes, f"{part} {name.replace('_', ' ')}")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    return figures.save_figure(figure, path)


def draw_lines(
    path: Path, at: Sequence[float], lines: Mapping[str, Interval], x_label: str, y_label: str
) -> Path:
    """Lines with bands, such as the accuracy under attacks of several radii."""
    figure = Figure(figsize=(6, 4.2), layout="constrained", dpi=150)
    axes = figure.subplots()
    palette = matplotlib.colormaps["viridis"](np.linspace(0, 0.8, max(2, len(lines))))
    entries = []
    for (name, line), colour in zip(lines.items(), palette, strict=False):
        entries.append((axes.plot(at, line.estimate, "o-", color=colour, markersize=4)[0], name))
        axes.fill_between(at, line.low, line.high, color=colour, alpha=0.25, linewidth=0)
    figures.set_x_label(axes, x_label)
    figures.set_y_label(axes, y_label)
    axes.grid(alpha=0.3)
    figures.set_legend(axes, entries)
    return figures.save_figure(figure, path)


def draw_importance(path: Path, names: Sequence[str], by_run: Mapping[str, Any]) -> Path:
    """How much each feature matters: every run a dot, their median a line.

    Args:
      path: of the file.
      names: of the features, the most important first.
      by_run: measure -> [R, features]; one panel each.
    """
    figure = Figure(
        figsize=(1.5 + 4.2 * len(by_run), 1.2 + 0.26 * len(names)), layout="constrained", dpi=150
    )
    places = np.arange(len(names))
    for axes, (measure, values) in zip(
        np.atleast_1d(figure.subplots(1, len(by_run), sharey=True)), by_run.items(), strict=True
    ):
        values = np.asarray(values)
        axes.plot(values.T, np.tile(places[:, None], len(values)), "o", color=LIGHT, markersize=3,
                  alpha=0.5)  # fmt: skip
        axes.plot(np.median(values, axis=0), places, "|", color=DARK, markersize=11)
        axes.axvline(0, color="grey", linewidth=0.8)
        figures.set_x_label(axes, measure)
        axes.grid(alpha=0.3, axis="x")
        figures.set_ticks(axes.yaxis, places, names)
        axes.set_ylim(len(names) - 0.5, -0.5)
    return figures.save_figure(figure, path)


def draw_pixels(path: Path, by_run: Mapping[str, Any]) -> Path:
    """How much each pixel matters: the median of the runs, and their spread.

    Args:
      path: of the file.
      by_run: measure -> [R, height, width, channels]; a row of two panels each.
    """
    figure = Figure(figsize=(7, 3.2 * len(by_run)), layout="constrained", dpi=150)
    grid = figure.subplots(len(by_run), 2, squeeze=False)
    for row, (measure, values) in zip(grid, by_run.items(), strict=True):
        by_pixel = np.asarray(values).sum(axis=3)
        low, middle, high = np.percentile(by_pixel, [25, 50, 75], axis=0)
        for axes, panel, what in zip(
            row, (middle, high - low), ("median", "interquartile range"), strict=True
        ):
            shown = axes.imshow(panel, cmap="viridis")
            figure.colorbar(shown, ax=axes, shrink=0.8)
            figures.set_title(
                axes, f"{measure}: {what} of {count_of(len(by_pixel), 'run')}", size=9
            )
            figures.set_ticks(axes.xaxis, [], [])
            figures.set_ticks(axes.yaxis, [], [])
    return figures.save_figure(figure, path)


def _draw_curves(
    axes: Any, curve: Curve, y_N: Any, probabilities_RxNxK: Any, names: Sequence[str], title: str
) -> None:
    found = class_curves(curve, y_N, probabilities_RxNxK, names)
    if found is None:
        figures.set_title(axes, f"{title}: the rows are all of one class")
        return
    palette = matplotlib.colormaps["viridis"](np.linspace(0, 0.95, max(1, len(found.each))))
    entries = []
    for (name, line_P), colour in zip(found.each.items(), palette, strict=False):
        (line,) = axes.plot(found.x, line_P, color=colour, linewidth=0.8, alpha=0.8)
        entries.append((line, shortened(name)))
    band = axes.fill_between(found.x, found.low, found.high, color=LIGHT, alpha=0.5, linewidth=0)
    (middle,) = axes.plot(found.x, found.middle, color=DARK, linewidth=1.8)
    entries.append((band, f"95% of {count_of(len(probabilities_RxNxK), 'run')}"))
    entries.append((middle, f"run of median {found.measure}, {shortened(found.of)}"))
    figures.set_legend(axes, entries, size=7)
    figures.set_title(axes, f"{title} of the median run, and of the others")


def _square(x_label: str, y_label: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5, 5), layout="constrained", dpi=150)
    axes = figure.subplots()
    figures.set_x_label(axes, x_label)
    figures.set_y_label(axes, y_label)
    axes.grid(alpha=0.3)
    return figure, axes
