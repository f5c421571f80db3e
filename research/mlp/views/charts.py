"""Charts of classifiers for the page, from the predictions that a run folder has of them.

Shape letters: R runs, N rows, K classes.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from research.errors import UserError
from research.folders import files_in
from research.mlp.views.class_curves import (
    PRECISION_RECALL,
    ROC,
    ClassCurves,
    Curve,
    class_curves,
    confusion,
)
from research.plain_text import count_of, labels, shortened
from research.recorded import Recorded
from research.report.page.chart import COLOURS, Chart, Trace, Variant, band, plain
from research.report.summary import Summary
from research.runs.tensors import load_facts, load_tensors

PARTS = ("test", "validation")
DASHES = ("solid", "dash", "dot", "dashdot")


class RecordedPredictions(Recorded):
    """The metadata of evaluation/predictions-RUN.safetensors; there are no classes of numbers."""

    setting: str
    classes: list[str] | None


class Predictions(NamedTuple):
    """What the runs of a setting predict of a part.

    Attributes:
      part: "test" or "validation".
      setting: its label.
      classes: their names.
      y: int [N].
      probabilities: float32 [R, N, K].
    """

    part: str
    setting: str
    classes: list[str]
    y: np.ndarray
    probabilities: np.ndarray


def class_charts(summary: Summary, run: int) -> list[Chart]:
    """ROC, precision-recall and confusion of the best setting that was evaluated; no charts where
    there are no classes, or nothing was evaluated.

    Raises:
      UserError: if a file is damaged.
    """
    found = read_predictions(summary, run)
    if not found or not found[0].classes:
        return []
    charts = [_roc_chart(run, found), _recall_chart(run, found), _confusion_chart(run, found)]
    return [chart for chart in charts if chart.variants]


def read_predictions(summary: Summary, run: int) -> list[Predictions]:
    """The predictions of the best setting that has some: of the test, then of the validation part.

    Raises:
      UserError: if a file is damaged.
    """
    folder = summary.runs[run].path / "evaluation"
    files = {}
    for path in files_in(folder, "predictions-*.safetensors"):
        tensors, facts = _read(path)
        files[int(tensors["runs"][0])] = tensors, facts
    for line in summary.of_run(run):
        for number in line.setting.rows["run"].unique():
            if int(number) in files:
                tensors, facts = files[int(number)]
                return [
                    Predictions(part, facts["setting"], facts["classes"] or [],
                                tensors[_target(part)], tensors[part])
                    for part in PARTS
                ]  # fmt: skip
    return []


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and facts of a file of predictions, checked."""
    tensors, facts = load_tensors(path), load_facts(path, RecordedPredictions)
    if not (missing := {"runs", *PARTS, *map(_target, PARTS)} - set(tensors)):
        reason = _problem(tensors, facts["classes"])
    else:
        reason = f"{min(missing)} is missing"
    if reason:
        raise UserError(f"{path} is damaged: {reason}")
    return tensors, facts


def _problem(tensors: dict[str, np.ndarray], classes: list[str] | None) -> str:
    """What is wrong with predictions, in words; empty if nothing is."""
    runs, outputs = tensors["runs"], len(classes or "1")
    if runs.ndim != 1 or not len(runs) or runs.dtype.kind not in "iu":
        return "runs should be numbers of runs"
    for part in PARTS:
        given, y_N = tensors[part], tensors[_target(part)]
        if y_N.ndim != 1 or not len(y_N) or given.shape != (len(runs), len(y_N), outputs):
            return f"{part} is of the shape {list(given.shape)}, which does not fit the others"
        if given.dtype.kind != "f" or not np.isfinite(given).all():
            return f"{part} should be finite numbers"
        if classes and not (y_N.dtype.kind in "iu" and 0 <= y_N.min() <= y_N.max() < outputs):
            return f"{_target(part)} should be numbers of classes"
    return ""


def _target(part: str) -> str:
    return f"{part}_target"


def _roc_chart(run: int, found: list[Predictions]) -> Chart:
    variants = _curve_variants(found, ROC, "false positive rate", "true positive rate", True)
    return Chart(f"roc-{run}", "Receiver operating characteristics", _note(found[0], ROC), variants)


def _recall_chart(run: int, found: list[Predictions]) -> Chart:
    variants = _curve_variants(found, PRECISION_RECALL, "recall", "precision", False)
    return Chart(
        f"recall-{run}", "Precision and recall", _note(found[0], PRECISION_RECALL), variants
    )


def _note(one: Predictions, curve: Curve) -> str:
    return (
        f"{one.setting}: the run of median {curve.measure}, and a band through 95% of the "
        f"{count_of(len(one.probabilities), 'run')}; thin lines are its classes against the rest."
    )


def _curve_variants(
    found: list[Predictions], curve: Curve, x: str, y: str, diagonal: bool
) -> list[Variant]:
    variants = []
    for one in found:
        curves = class_curves(curve, one.y, one.probabilities, one.classes)
        if curves is not None:
            variants.append(Variant(one.part, _curve_traces(curves, diagonal), _square(x, y)))
    return variants


def _curve_traces(curves: ClassCurves, diagonal: bool) -> list[Trace]:
    traces = []
    if diagonal:
        traces.append(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip",
                                 line={"color": "#8a8a8a", "dash": "dot", "width": 1},
                                 showlegend=False))  # fmt: skip
    looks = {"fillcolor": COLOURS[0], "opacity": 0.25, "name": "95% of the runs"}
    traces.append(band(curves.low, curves.high, curves.x, showlegend=True, **looks))
    names = labels(curves.each)
    for place, (name, line) in enumerate(zip(names, curves.each.values(), strict=True)):
        traces.append(_line(name, curves.x, line, COLOURS[place % len(COLOURS)], 1,
                            DASHES[place // len(COLOURS) % len(DASHES)]))  # fmt: skip
    title = f"{shortened(curves.of)}, {curves.measure} {curves.area:.4g}"
    traces.append(_line(title, curves.x, curves.middle, COLOURS[0], 3, "solid"))
    return [Trace(trace) for trace in traces]


def _line(name: str, x: np.ndarray, y: np.ndarray, colour: str, width: int, dash: str) -> Any:
    return go.Scatter(
        x=x, y=y.astype(np.float32), mode="lines", name=plain(name),
        line={"color": colour, "width": width, "dash": dash}, hovertemplate="%{y:.4g}",
    )  # fmt: skip


def _square(x: str, y: str) -> dict[str, Any]:
    return {
        "xaxis": {"title": {"text": x}, "range": [-0.01, 1.01]},
        "yaxis": {"title": {"text": y}, "range": [-0.01, 1.02]},
        "showlegend": True,
    }


def _confusion_chart(run: int, found: list[Predictions]) -> Chart:
    classes = len(found[0].classes)
    return Chart(
        name=f"confusion-{run}",
        title="Confusion matrix",
        note=f"{found[0].setting}: rows of each true class by what the run of median accuracy "
        "predicts; the smallest and largest of all runs on hover. Colours are shares of the class.",
        variants=[_confusion_variant(one) for one in found],
        height=min(700, 240 + 34 * classes),
    )


def _confusion_variant(one: Predictions) -> Variant:
    found = confusion(one.y, one.probabilities, len(one.classes))
    names = [plain(name) for name in labels(one.classes)]
    few = len(names) <= 20
    drawn = go.Heatmap(
        z=found.shares.astype(np.float32), x=names, y=names, text=found.middle,
        texttemplate="%{text}" if few else None, zmin=0, zmax=1, colorscale="Cividis",
        customdata=np.stack([found.low, found.high], axis=2),
        hovertemplate="true %{y}, predicted %{x}: %{text} "
        "(%{customdata[0]} to %{customdata[1]})<extra></extra>",
        colorbar={"thickness": 12, "outlinewidth": 0, "tickformat": ".0%"},
    )  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "predicted"}, "type": "category"},
        "yaxis": {"title": {"text": "true"}, "type": "category", "autorange": "reversed",
                  "automargin": True},
        "hovermode": "closest",
    }  # fmt: skip
    return Variant(one.part, [Trace(drawn)], layout)
