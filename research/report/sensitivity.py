"""How much each hyper-parameter matters, and which values do well."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from research.report.settings import show
from research.report.statistics import Interval, interquartile_mean, iqm_interval

MOST_LEVELS = 8  # of a hyper-parameter; values that were drawn are put into so many bins at most
BINS = 4


class Level(NamedTuple):
    """A value of a hyper-parameter, or a range of those that were drawn.

    Attributes:
      name: for people.
      runs: finite ones that have it.
      iqm: over all of them, whatever else they have; resampled within settings.
      best: the interquartile mean of the best setting that has it.
    """

    name: str
    runs: int
    iqm: Interval
    best: float


class Sensitivity(NamedTuple):
    """What a hyper-parameter does.

    Attributes:
      name: of the field.
      share: of the spread of the runs' ranks, that its value explains: 0 to 1.
      levels: in their order.
    """

    name: str
    share: float
    levels: list[Level]


def sensitivities(
    values: Sequence[Mapping[str, Any]], scores: Sequence[pd.Series], higher_is_better: bool
) -> tuple[list[Sensitivity], float]:
    """Every swept field, the one that matters most first; and the share that settings explain in
    all, together with how fields act upon each other. The rest is what seeds do.

    Args:
      values: of each setting, field -> value.
      scores: of each setting, those of its finite runs; settings without one are left out.
      higher_is_better: whether good is high.
    """
    with_runs = [place for place, some in enumerate(scores) if len(some)]
    values = [values[place] for place in with_runs]
    arrays = [scores[place].to_numpy(np.float64) for place in with_runs]
    if len(arrays) < 2:
        return [], 0.0
    sizes = list(map(len, arrays))
    everything = explained_share(np.repeat(np.arange(len(arrays)), sizes), np.concatenate(arrays))
    found = [_one_field(name, values, arrays, higher_is_better) for name in values[0]]
    found = [one for one in found if len(one.levels) > 1]
    return sorted(found, key=lambda one: -one.share), everything


def explained_share(groups: np.ndarray, scores: np.ndarray) -> float:
    """The share of the variance of ranks that groups explain, less what chance would: epsilon
    squared, Kruskal-Wallis's H being (n - 1) eta squared.

    Of ranks, since a few runs that failed would make up nearly all the variance of the scores.

    Args:
      groups: int [N], the group of each score.
      scores: float [N].
    """
    ranks = rankdata(scores)
    n, every = len(ranks), np.unique(groups)
    total = float(np.sum((ranks - ranks.mean()) ** 2))
    if total == 0 or n <= len(every):
        return 0.0
    within = sum(float(np.sum((some - some.mean()) ** 2)) for some in (
        ranks[groups == group] for group in every
    ))  # fmt: skip
    noise = within / (n - len(every))
    return float(np.clip((total - within - (len(every) - 1) * noise) / total, 0, 1))


def levels_of(values: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """Which level each setting is of, and what the levels are called, in order.

    Numbers of more than `MOST_LEVELS` kinds, as a search draws them, are put into bins of about as
    many settings each.
    """
    number = all(isinstance(value, int | float) for value in values)
    kinds = sorted(set(values)) if number else list(dict.fromkeys(values))
    if not number or len(kinds) <= MOST_LEVELS:
        places = {kind: place for place, kind in enumerate(kinds)}
        return np.array([places[value] for value in values]), [show(kind) for kind in kinds]
    edges = np.quantile(np.asarray(values, np.float64), np.linspace(0, 1, BINS + 1))
    groups = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    ends = itertools.pairwise(show(float(edge)) for edge in edges)
    return groups, [f"{low} to {high}" for low, high in ends]


def _one_field(
    name: str, values: Sequence[Mapping[str, Any]], arrays: list[np.ndarray], higher: bool
) -> Sensitivity:
    groups, names = levels_of([setting[name] for setting in values])
    levels = []
    for group, label in enumerate(names):
        members = [arrays[place] for place in np.flatnonzero(groups == group)]
        best = (max if higher else min)(float(interquartile_mean(one)) for one in members)
        levels.append(Level(label, sum(map(len, members)), iqm_interval(*members), best))
    by_run = np.repeat(groups, [len(one) for one in arrays])
    return Sensitivity(name, explained_share(by_run, np.concatenate(arrays)), levels)
