"""Metrics by which settings can be ordered, computed on the device at every evaluation.

They are scikit-learn's, so `scripts/evaluate` finds the same values. Of two classes, precision,
recall, F1, ROC AUC and average precision are those of the second class; of more, the mean over
classes, one against the rest (macro average).

Shape letters: N rows, K classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from research.errors import UserError, shortlist
from research.task import Mean

Score = Callable[[jax.Array, jax.Array], "jax.Array | Mean"]  # (predictions [N, K], targets [N])


class KeyMetric(NamedTuple):
    """A metric that settings can be ordered by.

    Attributes:
      higher_is_better: whether a larger value is better.
      score: `(predictions, targets) -> value`, as `predictions` of the task returns them; None for
        a metric that every evaluation has.
    """

    higher_is_better: bool
    score: Score | None


def balanced_accuracy(probabilities_NxK: jax.Array, labels_N: jax.Array) -> jax.Array:
    """The mean recall of the classes that have rows."""
    hits_K, _, rows_K = _counts(probabilities_NxK, labels_N)
    recall_K = hits_K / jnp.maximum(rows_K, 1)
    return jnp.sum(recall_K) / jnp.sum(rows_K > 0, dtype=jnp.float32)


def precision(probabilities_NxK: jax.Array, labels_N: jax.Array) -> jax.Array:
    """The share of rows predicted as a class that are of it; 0 where none is predicted."""
    hits_K, predicted_K, _ = _counts(probabilities_NxK, labels_N)
    return _of_interest(hits_K / jnp.maximum(predicted_K, 1))


def recall(probabilities_NxK: jax.Array, labels_N: jax.Array) -> jax.Array:
    """The share of rows of a class that are predicted as it; 0 where it has none."""
    hits_K, _, rows_K = _counts(probabilities_NxK, labels_N)
    return _of_interest(hits_K / jnp.maximum(rows_K, 1))


def f1(probabilities_NxK: jax.Array, labels_N: jax.Array) -> jax.Array:
    """The harmonic mean of precision and recall; 0 where both are."""
    hits_K, predicted_K, rows_K = _counts(probabilities_NxK, labels_N)
    return _of_interest(2 * hits_K / jnp.maximum(predicted_K + rows_K, 1))


def roc_auc(probabilities_NxK: jax.Array, labels_N: jax.Array) -> Mean:
    """The area under the ROC curve; rows of equal probability count as half in order."""

    def area(scores_N: jax.Array, truth_N: jax.Array) -> jax.Array:
        truth_N, before_N, until_N, _ = _ranked(scores_N, truth_N)
        positives = jnp.sum(truth_N)
        above_N = (before_N + until_N) / (2 * jnp.maximum(positives, 1))
        return jnp.sum((1 - truth_N) * above_N) / jnp.maximum(len(truth_N) - positives, 1)

    return _one_against_rest(area, probabilities_NxK, labels_N)


def average_precision(probabilities_NxK: jax.Array, labels_N: jax.Array) -> Mean:
    """The mean precision at the probabilities of the positive rows."""

    def area(scores_N: jax.Array, truth_N: jax.Array) -> jax.Array:
        truth_N, _, until_N, rows_N = _ranked(scores_N, truth_N)
        return jnp.sum(truth_N * (until_N / rows_N)) / jnp.maximum(jnp.sum(truth_N), 1)

    return _one_against_rest(area, probabilities_NxK, labels_N)


def mae(predicted_Nx1: jax.Array, targets_N: jax.Array) -> jax.Array:
    """The mean absolute error."""
    return jnp.mean(jnp.abs(predicted_Nx1[:, 0] - targets_N))


def _counts(
    probabilities_NxK: jax.Array, labels_N: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of each class, how many rows are rightly predicted, are predicted and are of it: float32
    [K] each."""
    classes = probabilities_NxK.shape[1]
    hot = lambda one_N: jax.nn.one_hot(one_N, classes, dtype=jnp.float32)
    predicted_NxK, truth_NxK = hot(jnp.argmax(probabilities_NxK, axis=1)), hot(labels_N)
    total = lambda array_NxK: jnp.sum(array_NxK, axis=0)
    return total(predicted_NxK * truth_NxK), total(predicted_NxK), total(truth_NxK)


def _of_interest(scores_K: jax.Array) -> jax.Array:
    """The score of the second of two classes, else the mean over classes."""
    return scores_K[1] if len(scores_K) == 2 else jnp.mean(scores_K)


def _ranked(
    scores_N: jax.Array, truth_N: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The rows by descending score: whether each is positive, how many positives have a larger
    score, how many one at least as large, and how many rows have: float32 [N] each."""
    order_N, truth_N = lax.sort((-scores_N, truth_N), num_keys=1)
    positives_N, places_N = lax.cumsum(truth_N), jnp.arange(1, len(truth_N) + 1, dtype=jnp.int32)
    differs_N = order_N[1:] != order_N[:-1]
    edge = jnp.ones(1, bool)
    first_N, last_N = jnp.concatenate([edge, differs_N]), jnp.concatenate([differs_N, edge])
    before_N = lax.cummax(jnp.where(first_N, positives_N - truth_N, 0))
    at_ends = lambda counts_N: lax.cummin(
        jnp.where(last_N, counts_N, np.int32(2**31 - 1)), reverse=True
    )
    counts = (truth_N, before_N, at_ends(positives_N), at_ends(places_N))
    truth_N, before_N, until_N, rows_N = (count_N.astype(jnp.float32) for count_N in counts)
    return truth_N, before_N, until_N, rows_N


def _one_against_rest(
    area: Callable[[jax.Array, jax.Array], jax.Array],
    probabilities_NxK: jax.Array,
    labels_N: jax.Array,
) -> Mean:
    """The area of the second of two classes, else the mean over classes; of classes that have some,
    not all rows."""
    classes = probabilities_NxK.shape[1]
    chosen = jnp.arange(1 if classes == 2 else 0, classes, dtype=jnp.int32)
    truth_CxN = (labels_N[None, :] == chosen[:, None]).astype(jnp.int32)
    rows_C = jnp.sum(truth_CxN, axis=1)
    defined_C = (rows_C > 0) & (rows_C < len(labels_N))
    scores_CxN = probabilities_NxK.T[-len(chosen) :]
    area_C = lax.map(lambda both: area(*both), (scores_CxN, truth_CxN))
    count = jnp.sum(defined_C, dtype=jnp.float32)
    mean = jnp.sum(jnp.where(defined_C, area_C, 0)) / jnp.maximum(count, 1)
    return Mean(mean, (count > 0).astype(jnp.float32))


CLASSIFICATION = {
    "accuracy": KeyMetric(True, None),
    "balanced_accuracy": KeyMetric(True, balanced_accuracy),
    "f1": KeyMetric(True, f1),
    "precision": KeyMetric(True, precision),
    "recall": KeyMetric(True, recall),
    "roc_auc": KeyMetric(True, roc_auc),
    "average_precision": KeyMetric(True, average_precision),
    "loss": KeyMetric(False, None),
}
REGRESSION = {
    "r2": KeyMetric(True, None),
    "rmse": KeyMetric(False, None),
    "mae": KeyMetric(False, mae),
    "loss": KeyMetric(False, None),
}
KEY_METRICS = {**CLASSIFICATION, **REGRESSION}
KEY_METRIC_HELP = (
    "what settings are ordered, chosen, halved and exported by, on the validation part: "
    f"{', '.join(CLASSIFICATION)}, or {', '.join(REGRESSION)} of a regression; auto: accuracy or "
    "r2. F1, precision, recall and the areas are those of the second of two classes, else means "
    "over classes (macro averages)"
)


def fitting(classes: int | bool) -> dict[str, KeyMetric]:
    """The metrics that fit a problem of so many classes, 0 for regression; the first is usual."""
    return CLASSIFICATION if classes else REGRESSION


def check_fits(name: str, data: str, classes: int) -> None:
    """Checks that a metric fits the data.

    Raises:
      UserError: naming the metrics that do.
    """
    known = fitting(classes)
    if name != "auto" and name not in known:
        kind = "classification" if classes else "regression"
        raise UserError(
            f"--key-metric {name}: {data} is a {kind} problem; use {shortlist(known, 10)}"
        )
