"""Deep ensembles: the mean of the predictions of runs that differ in their seed alone.

Reference: Lakshminarayanan, Pritzel and Blundell (2017).

Shape letters: R runs, N rows, K classes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from research.mlp.scores import losses_by_row, score

MOST_SIZES = 16  # sizes of ensembles that are scored
DRAWS = 8  # random orders of the runs


class Ensemble(NamedTuple):
    """A scored ensemble.

    Attributes:
      members: the number of runs in it.
      number: which of the random orders its runs come from.
      scores: metric -> value.
    """

    members: int
    number: int
    scores: dict[str, float]


def average(predicted_RxNxK: np.ndarray) -> np.ndarray:
    """The mean over runs of probabilities or of regression outputs: [N, K]."""
    return predicted_RxNxK.mean(axis=0, dtype=np.float64)


def by_size(
    y_N: np.ndarray, predicted_RxNxK: np.ndarray, class_names: Sequence[str], seed: int = 0
) -> Iterator[Ensemble]:
    """Yields scored ensembles of 1 to R runs, of at most 16 different sizes.

    The runs are put into 8 random orders, and an ensemble of m runs is the first m of an order;
    there is a single ensemble of all runs.

    Args:
      y_N: the targets.
      predicted_RxNxK: the predictions of each run.
      class_names: K names; empty for regression.
      seed: seed of the random orders.
    """
    rng, runs = np.random.default_rng(seed), len(predicted_RxNxK)
    orders = [rng.permutation(runs) for _ in range(DRAWS)]
    for members in np.unique(np.geomspace(1, runs, MOST_SIZES).round().astype(int)).tolist():
        for number, order in enumerate(orders if members < runs else orders[:1]):
            found = score(y_N, average(predicted_RxNxK[order[:members]]), class_names)
            yield Ensemble(members, number, found)


def gains(y_N: np.ndarray, predicted_RxNxK: np.ndarray) -> dict[str, np.ndarray]:
    """The gain of the ensemble of all runs on each row: name -> float64 [N], as `losses_by_row`.

    It is the mean loss of the single runs minus the loss of the ensemble. For a convex loss, such
    as log loss, Brier score and squared error, it is never negative (Jensen's inequality).
    """
    alone = [losses_by_row(y_N, predicted_NxK) for predicted_NxK in predicted_RxNxK]
    together = losses_by_row(y_N, average(predicted_RxNxK))
    return {
        name: np.mean([one[name] for one in alone], axis=0) - loss_N
        for name, loss_N in together.items()
    }
