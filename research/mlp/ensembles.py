"""Runs of one setting that predict together (Lakshminarayanan, Pritzel and Blundell, 2017): they
differ in nothing but the seed, and give their mean.

Shape letters: R runs, N rows, K classes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from research.mlp.scores import losses_by_row, score

MOST_SIZES = 16  # that are looked at, of any number of runs
DRAWS = 8  # orders in which runs come together


class Together(NamedTuple):
    """An ensemble.

    Attributes:
      members: how many runs.
      number: of the order that they come from.
      scores: metric -> value.
    """

    members: int
    number: int
    scores: dict[str, float]


def average(predicted_RxNxK: np.ndarray) -> np.ndarray:
    """[N, K]: the mean of the probabilities, or of the numbers."""
    return predicted_RxNxK.mean(axis=0, dtype=np.float64)


def by_size(
    y_N: np.ndarray, predicted_RxNxK: np.ndarray, class_names: Sequence[str], seed: int = 0
) -> Iterator[Together]:
    """Ensembles of 1 to R runs, of every size or of 16 between.

    Runs are put into 8 orders drawn at random; an ensemble of m runs is the first m of one. There
    is one of all runs.

    Args:
      y_N: targets.
      predicted_RxNxK: of each run.
      class_names: K of them; none for numbers.
      seed: of the orders.
    """
    rng, runs = np.random.default_rng(seed), len(predicted_RxNxK)
    orders = [rng.permutation(runs) for _ in range(DRAWS)]
    for members in np.unique(np.geomspace(1, runs, MOST_SIZES).round().astype(int)).tolist():
        for number, order in enumerate(orders if members < runs else orders[:1]):
            found = score(y_N, average(predicted_RxNxK[order[:members]]), class_names)
            yield Together(members, number, found)


def gains(y_N: np.ndarray, predicted_RxNxK: np.ndarray) -> dict[str, np.ndarray]:
    """By how much the ensemble of all runs is better about each row than they are alone, on
    average: name -> float64 [N], as `losses_by_row`; positive where it is better.

    Of a convex loss, as log loss, Brier score and squared error are, no row's is negative (Jensen).
    """
    alone = [losses_by_row(y_N, predicted_NxK) for predicted_NxK in predicted_RxNxK]
    together = losses_by_row(y_N, average(predicted_RxNxK))
    return {
        name: np.mean([one[name] for one in alone], axis=0) - loss_N
        for name, loss_N in together.items()
    }
