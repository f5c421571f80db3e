"""ROC and precision-recall curves of many runs: one of them, and how far the others are from it.

Shape letters: R runs, N rows, K classes, G points of a grid.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import auc, precision_recall_curve, roc_curve

GRID_G = np.linspace(0, 1, 201)
COVERED = (2.5, 97.5)  # percentiles of the runs that a band goes through
MOST_CLASSES = 10  # drawn one by one

Curve = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class ClassCurves(NamedTuple):
    """Curves over `GRID_G`.

    Attributes:
      middle: [G], of the run with the median area; of several classes the mean of each against the
        rest.
      low, high: [G], between which 95% of the runs are.
      area: under `middle`.
      each: name of a class -> [G], of the same run; empty of two classes, and of many.
      of: what `middle` is of.
    """

    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    area: float
    each: dict[str, np.ndarray]
    of: str


def class_curves(
    curve: Curve, y_N: Any, probabilities_RxNxK: Any, names: Sequence[str]
) -> ClassCurves | None:
    """The curves of `roc` or `precision_recall`; None if the rows are all of one class."""
    classes = [1] if len(names) == 2 else range(len(names))
    defined = [k for k in classes if 0 < np.sum(y_N == k) < len(y_N)]
    if not defined:
        return None
    curves_RxKxG = np.array(
        [
            [np.interp(GRID_G, *curve(y_N == k, one_NxK[:, k])) for k in defined]
            for one_NxK in probabilities_RxNxK
        ]
    )
    mean_RxG = curves_RxKxG.mean(axis=1)
    areas = np.array([auc(GRID_G, one_G) for one_G in mean_RxG])
    at = middle_run(areas)
    some = 1 < len(defined) <= MOST_CLASSES
    each = {names[k]: line_G for k, line_G in zip(defined, curves_RxKxG[at], strict=True)}
    low_G, high_G = np.percentile(mean_RxG, COVERED, axis=0)
    of = names[1] if len(names) == 2 else "mean of the classes"
    return ClassCurves(mean_RxG[at], low_G, high_G, float(areas[at]), each if some else {}, of)


def roc(truth_N: np.ndarray, scores_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False positive rates, rising, and the true positive rates there."""
    false_positive, true_positive, _ = roc_curve(truth_N, scores_N)
    return false_positive, true_positive


def precision_recall(truth_N: np.ndarray, scores_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recalls, rising, and the precisions there."""
    precision, recall, _ = precision_recall_curve(truth_N, scores_N)
    return recall[::-1], precision[::-1]


def middle_run(scores_R: np.ndarray) -> int:
    """The run whose score is the (lower) median."""
    return int(np.argsort(scores_R, kind="stable")[(len(scores_R) - 1) // 2])
