"""The order of settings, in which halving keeps them and reports list them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Rank(NamedTuple):
    """The sort key of a setting: the smallest is the best. All fields are of the middle
    half of its runs, in the order diverged, undefined, then from the worst to the best score.

    Attributes:
      diverged: how many of them have diverged.
      undefined: how many have no score.
      mean: of the scores, negated where higher is better; 0 if some run has none.
    """

    diverged: int
    undefined: int
    mean: float


def rank(scores: Sequence[float | None], diverged: int, higher_is_better: bool) -> Rank:
    """The rank of a setting by the interquartile mean over its runs, of which one that has diverged
    is worse than any other.

    So up to a quarter of the runs may have diverged before the setting comes after all of which
    fewer have.

    Args:
      scores: of the runs that have not diverged; None where the metric is not defined.
      diverged: how many runs have.
      higher_is_better: of the scores.
    """
    sign = -1.0 if higher_is_better else 1.0
    runs = [(0, 0, sign * score) for score in scores if score is not None]
    runs += [(0, 1, 0.0)] * (len(scores) - len(runs)) + [(1, 0, 0.0)] * diverged
    quarter = len(runs) // 4
    middle = sorted(runs)[quarter : len(runs) - quarter]
    if not middle:
        return Rank(0, 1, 0.0)
    lost, undefined, values = zip(*middle, strict=True)
    complete = not any((*lost, *undefined))
    return Rank(sum(lost), sum(undefined), float(np.mean(values)) if complete else 0.0)


def problem_name(facts: Mapping[str, Any]) -> str:
    """The name of what runs are trained on, such as an environment: all text among the recorded
    facts but checksums, and the algorithm, since two algorithms are compared on one environment.
    Scores on different problems are never ranked together."""
    return " ".join(
        text
        for name, text in facts.items()
        if isinstance(text, str) and "sha" not in name and name != "algorithm"
    )
