"""Scores of predictions, by scikit-learn.

Shape letters: N rows, K classes.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import sklearn
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.preprocessing import label_binarize

BINS = 15  # for the calibration error


def score_classes(
    y_N: np.ndarray, probabilities_NxK: np.ndarray, class_names: Sequence[str]
) -> dict[str, float]:
    """All metrics of a classifier, name -> value.

    Args:
      y_N: int, 0 to K - 1.
      probabilities_NxK: rows sum to 1.
      class_names: K names.

    Returns:
      `accuracy`, `balanced_accuracy`; `precision`, `recall` and `f1`, each as `_macro`, `_micro`
      and `_class_NAME` (0 if the class is never predicted), for two classes also of class 1 without
      a suffix; `roc_auc` and `average_precision`, of class 1 for two classes, else the mean over
      classes, one against the rest; `log_loss` in nats; `brier`, of class 1 for two classes, else
      summed over classes (0 to 2); `calibration_error`.
      A metric that is not defined is left out, for example if all rows are of one class.
    """
    probabilities_NxK = probabilities_NxK.astype(np.float64)
    probabilities_NxK /= probabilities_NxK.sum(axis=1, keepdims=True)
    predicted_N, classes = probabilities_NxK.argmax(axis=1), np.arange(len(class_names))
    with (
        sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # about classes without rows
        found = {
            "accuracy": metrics.accuracy_score(y_N, predicted_N),
            "balanced_accuracy": metrics.balanced_accuracy_score(y_N, predicted_N),
            **_by_class(y_N, predicted_N, class_names),
            **_ranking(y_N, probabilities_NxK),
            "log_loss": metrics.log_loss(y_N, probabilities_NxK, labels=classes),
            "brier": metrics.brier_score_loss(y_N, _of_interest(probabilities_NxK), labels=classes),
            "calibration_error": calibration_error(y_N, probabilities_NxK),
        }
    return {name: float(value) for name, value in found.items()}


def score_regression(y_N: np.ndarray, predicted_N: np.ndarray) -> dict[str, float]:
    """All metrics of a regression: `rmse` and `mae`, in the unit of the target, and `r2`.

    `r2` is left out if all targets are equal.
    """
    found = {
        "rmse": float(metrics.root_mean_squared_error(y_N, predicted_N)),
        "mae": float(metrics.mean_absolute_error(y_N, predicted_N)),
    }
    return found | ({"r2": float(metrics.r2_score(y_N, predicted_N))} if np.ptp(y_N) > 0 else {})


def score(y_N: np.ndarray, predicted_NxK: np.ndarray, class_names: Sequence[str]) -> Any:
    """`score_classes`, or `score_regression` of [N, 1] if there are no class names."""
    if class_names:
        return score_classes(y_N, predicted_NxK, class_names)
    return score_regression(y_N, predicted_NxK[:, 0])


def losses_by_row(y_N: np.ndarray, predicted_NxK: np.ndarray) -> dict[str, np.ndarray]:
    """The losses of each row, name -> float64 [N].

    They are `error` (0 or 1), `log_loss` and `brier` (summed over classes); for regression, where K
    is 1, `squared_error` and `absolute_error`.
    """
    if predicted_NxK.shape[1] == 1:
        error_N = predicted_NxK[:, 0].astype(np.float64) - y_N
        return {"squared_error": error_N**2, "absolute_error": np.abs(error_N)}
    rows = np.arange(len(y_N))
    probabilities_NxK = predicted_NxK.astype(np.float64)
    truth_NxK = np.eye(predicted_NxK.shape[1])[y_N]
    tiny = np.finfo(predicted_NxK.dtype).tiny
    return {
        "error": (predicted_NxK.argmax(axis=1) != y_N).astype(np.float64),
        "log_loss": -np.log(np.maximum(probabilities_NxK[rows, y_N], tiny)),
        "brier": np.sum((probabilities_NxK - truth_NxK) ** 2, axis=1),
    }


def calibration_error(y_N: np.ndarray, probabilities_NxK: np.ndarray) -> float:
    """The expected calibration error (Guo et al., 2017, eq. 3), with 15 bins of equal width.

    It is the mean distance between the confidence in the predicted class and its accuracy, over
    bins weighted by their rows.
    """
    confidence_N = np.clip(probabilities_NxK.max(axis=1), 0, 1)
    right_N = probabilities_NxK.argmax(axis=1) == y_N
    right, confident = calibration_curve(right_N, confidence_N, n_bins=BINS, pos_label=True)
    edges = np.linspace(0, 1, BINS + 1)
    rows = np.bincount(np.searchsorted(edges[1:-1], confidence_N), minlength=BINS)
    return float(np.average(np.abs(right - confident), weights=rows[rows > 0]))


def _by_class(y_N: np.ndarray, predicted_N: np.ndarray, class_names: Sequence[str]) -> Any:
    names = ("precision", "recall", "f1")
    how: Any = {"labels": np.arange(len(class_names)), "zero_division": 0}
    support: Any = metrics.precision_recall_fscore_support
    found = {}
    for average in ("macro", "micro"):
        values = support(y_N, predicted_N, average=average, **how)
        found |= {f"{name}_{average}": value for name, value in zip(names, values, strict=False)}
    for name, values in zip(names, support(y_N, predicted_N, **how), strict=False):
        found |= {
            f"{name}_class_{label}": one for label, one in zip(class_names, values, strict=True)
        }
        found |= {name: values[1]} if len(class_names) == 2 else {}
    return found


def _ranking(y_N: np.ndarray, probabilities_NxK: np.ndarray) -> dict[str, float]:
    """The areas under the ROC and precision-recall curves, of classes with some, not all rows."""
    classes = probabilities_NxK.shape[1]
    truth_NxK = label_binarize(y_N, classes=np.arange(classes)) if classes > 2 else y_N[:, None]
    scores_NxK = probabilities_NxK if classes > 2 else probabilities_NxK[:, 1:]
    defined = np.ptp(truth_NxK, axis=0) > 0
    if not defined.any():
        return {}
    truth, scores = truth_NxK[:, defined], scores_NxK[:, defined]
    return {
        "roc_auc": metrics.roc_auc_score(truth, scores, average="macro"),
        "average_precision": metrics.average_precision_score(truth, scores, average="macro"),
    }


def _of_interest(probabilities_NxK: np.ndarray) -> np.ndarray:
    """The probabilities as `brier_score_loss` takes them: those of class 1 for two classes."""
    return probabilities_NxK if probabilities_NxK.shape[1] > 2 else probabilities_NxK[:, 1]
