"""ROC and precision-recall curves and confusion matrices of many runs, which the figures and the
page draw: the median run, and how far the others are from it.

Shape letters: R runs, N rows, K classes, G points of a grid, P points of a line.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

GRID_G = np.linspace(0, 1, 201)
COVERED = (2.5, 97.5)  # percentiles of the runs that a band goes through
MOST_CLASSES = 10  # drawn one by one
ROUNDING = 1e-12  # of recalls, which are on the grid if they differ by less


class Curve(NamedTuple):
    """A kind of curve over thresholds, such as ROC: its axes, and what its area is called.

    Attributes:
      at: truth [N] and scores [N] -> the curve at `GRID_G`.
      area: truth [N] and scores [N] -> the area under it, as scikit-learn has it.
      measure: what the area is called.
      steps: whether it is a step function, whose value at a point holds from the point before. Such
        a curve is not interpolated.
    """

    at: Callable[[np.ndarray, np.ndarray], np.ndarray]
    area: Callable[[np.ndarray, np.ndarray], float]
    measure: str
    steps: bool


class ClassCurves(NamedTuple):
    """Curves of the classes against the rest.

    Attributes:
      x: [P], of all of them; steps have two points where they rise or fall.
      middle: [P], of the run with the median area; of several classes the mean of each against the
        rest.
      low, high: [P], between which 95% of the runs are.
      area: under `middle`.
      measure: what the area is called.
      each: name of a class -> [P], of the same run; empty of two classes, and of many.
      of: what `middle` is of.
    """

    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    area: float
    measure: str
    each: dict[str, np.ndarray]
    of: str


def class_curves(
    curve: Curve, y_N: Any, probabilities_RxNxK: Any, names: Sequence[str]
) -> ClassCurves | None:
    """The curves of `ROC` or `PRECISION_RECALL`; None if the rows are all of one class."""
    classes = [1] if len(names) == 2 else range(len(names))
    defined = [k for k in classes if 0 < np.sum(y_N == k) < len(y_N)]
    if not defined:
        return None
    curves_RxKxG, areas_RxK = (
        np.array(
            [[of(y_N == k, one_NxK[:, k]) for k in defined] for one_NxK in probabilities_RxNxK]
        )
        for of in (curve.at, curve.area)
    )
    mean_RxG, areas_R = curves_RxKxG.mean(axis=1), areas_RxK.mean(axis=1)
    at = middle_run(areas_R)
    some = 1 < len(defined) <= MOST_CLASSES
    low_G, high_G = np.percentile(mean_RxG, COVERED, axis=0)
    line = _stepped if curve.steps else np.asarray
    each = zip(defined, curves_RxKxG[at], strict=True)
    return ClassCurves(
        x=np.repeat(GRID_G, 2)[:-1] if curve.steps else GRID_G,
        middle=line(mean_RxG[at]),
        low=line(low_G),
        high=line(high_G),
        area=float(areas_R[at]),
        measure=curve.measure,
        each={names[k]: line(line_G) for k, line_G in each} if some else {},
        of=names[1] if len(names) == 2 else "mean of the classes",
    )


def _stepped(values_G: np.ndarray) -> np.ndarray:
    """[2 G - 1]: each value from the point before, where it begins, to its own."""
    return np.repeat(values_G, 2)[1:]


def _true_positive_rates(truth_N: np.ndarray, scores_N: np.ndarray) -> np.ndarray:
    """[G], at false positive rates."""
    false_positive, true_positive, _ = roc_curve(truth_N, scores_N)
    return np.interp(GRID_G, false_positive, true_positive)


def _precisions(truth_N: np.ndarray, scores_N: np.ndarray) -> np.ndarray:
    """[G], at recalls: each where the recall is first reached as the threshold falls.

    Precision is not linear in recall (Davis and Goadrich, 2006): a line from the last threshold to
    the point that scikit-learn adds at recall 0 and precision 1 would promise what no threshold
    reaches. So that point is not drawn.
    """
    precision, recall, _ = precision_recall_curve(truth_N, scores_N)
    rising = recall[::-1]
    first = np.searchsorted(rising, GRID_G - ROUNDING)
    first = np.maximum(first, np.searchsorted(rising, 0.0, side="right"))
    return precision[::-1][first]


ROC = Curve(_true_positive_rates, roc_auc_score, "area", steps=False)
PRECISION_RECALL = Curve(_precisions, average_precision_score, "average precision", steps=True)


class Confusion(NamedTuple):
    """How many rows of each true class [K, ...] the runs predict as each class [..., K].

    Attributes:
      middle: int [K, K], of the run with the median accuracy.
      low, high: int [K, K], the smallest and the largest of all runs.
      shares: float64 [K, K], `middle` as shares of the true class.
    """

    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    shares: np.ndarray


def confusion(y_N: Any, probabilities_RxNxK: Any, classes: int) -> Confusion:
    """The confusion matrix of the run with the median accuracy, and the spread of all runs."""
    predicted_RxN = np.asarray(probabilities_RxNxK).argmax(axis=2)
    each = np.arange(classes)
    counts_RxKxK = np.stack([confusion_matrix(y_N, one, labels=each) for one in predicted_RxN])
    middle = counts_RxKxK[middle_run(np.mean(predicted_RxN == y_N, axis=1))]
    shares = middle / np.maximum(middle.sum(axis=1, keepdims=True), 1)
    return Confusion(middle, counts_RxKxK.min(axis=0), counts_RxKxK.max(axis=0), shares)


def middle_run(scores_R: np.ndarray) -> int:
    """The run whose score is the (lower) median."""
    return int(np.argsort(scores_R, kind="stable")[(len(scores_R) - 1) // 2])
