"""How much each hyper-parameter matters, and which values do well."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.report.settings import show
from research.report.statistics import Interval, interquartile_mean, iqm_interval

MOST_LEVELS = 8  # of a hyper-parameter; values that were drawn are put into so many bins at most
BINS = 4


class Level(NamedTuple):
    """A value of a hyper-parameter, or a range of those that were drawn.

    Attributes:
      name: as it is shown.
      runs: finite ones that have it.
      iqm: over all of them, whatever else they have; resampled within settings.
      best: the interquartile mean of the best setting that has it.
    """

    name: str
    runs: int
    iqm: Interval
    best: float


class Sensitivity(NamedTuple):
    """The effect of a hyper-parameter.

    Attributes:
      name: of the field.
      share: of the spread of the runs' ranks, that its value explains: 0 to 1.
      levels: in their order.
    """

    name: str
    share: float
    levels: list[Level]


class Shares(NamedTuple):
    """Shares of the spread of runs in whole percent, which add up to 100 unless fields overlap.

    Attributes:
      each: what each field explains by itself, in the order of the fields.
      interaction: what settings explain beyond that, as fields interact; None where the
        fields overlap, since settings that have one value in common have others, too, and their
        shares cannot be added up.
      seeds: the rest.
    """

    each: list[int]
    interaction: int | None
    seeds: int


def sensitivities(
    values: Sequence[Mapping[str, Any]],
    scores: Sequence[pd.Series],
    higher_is_better: bool,
    ranked: Sequence[pd.Series] | None = None,
) -> tuple[list[Sensitivity], float]:
    """The effect of every swept field, the largest first; and the share that settings explain in
    all, interactions of fields included. The rest is due to seeds.

    That share is at least what any one field explains and, in a grid, what they explain in all:
    each is estimated less what chance would explain, so estimates alone may contradict that.

    Args:
      values: of each setting, field -> value.
      scores: of each setting, those of its finite runs.
      higher_is_better: whether good is high.
      ranked: of each setting, the scores by which runs are ranked, those that diverged counting as
        worst; `scores` if not given. Settings without one are left out.
    """
    ranked = scores if ranked is None else ranked
    with_runs = [place for place, some in enumerate(ranked) if len(some)]
    values = [values[place] for place in with_runs]
    finite, every = (
        [some[place].to_numpy(np.float64) for place in with_runs] for some in (scores, ranked)
    )
    if len(every) < 2:
        return [], 0.0
    sizes = list(map(len, every))
    together = explained_share(np.repeat(np.arange(len(every)), sizes), np.concatenate(every))
    found = [_one_field(name, values, finite, every, higher_is_better) for name in values[0]]
    found = [one for one in found if one is not None]
    each = [one.share for one in found]
    kinds = [len({str(setting[name]) for setting in values}) for name in values[0]]
    least = sum(each) if len(values) == math.prod(kinds) else max(each, default=0.0)
    return sorted(found, key=lambda one: -one.share), min(1.0, max(together, least))


def in_percent(fields: Sequence[Sensitivity], together: float) -> Shares:
    """Shares of the spread as they are shown: rounded such that they add up."""
    each = [field.share for field in fields]
    interaction = together - sum(each)
    if interaction < -1e-9:
        return Shares([round(100 * one) for one in each], None, 100 - round(100 * together))
    parts = 100 * np.array([*each, max(0.0, interaction), 1 - together])
    whole = np.floor(parts)
    missing = 100 - int(np.sum(whole))
    whole[np.argsort(whole - parts, kind="stable")[:missing]] += 1  # the largest remainders
    *percent, acting, seeds = map(int, whole)
    return Shares(percent, acting, seeds)


def explained_share(groups: np.ndarray, scores: np.ndarray) -> float:
    """The share of the variance of ranks that groups explain, less what chance would: epsilon
    squared, Kruskal-Wallis's H being (n - 1) eta squared.

    Of ranks, since a few runs that failed would make up nearly all the variance of the scores.

    Args:
      groups: int [N], the group of each score.
      scores: float [N].
    """
    from scipy.stats import rankdata  # half a second, which help and errors do not need

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
    name: str,
    values: Sequence[Mapping[str, Any]],
    finite: list[np.ndarray],
    every: list[np.ndarray],
    higher: bool,
) -> Sensitivity | None:
    """None where all settings have one value of the field. A level without a finite run has no
    score to show."""
    groups, names = levels_of([setting[name] for setting in values])
    if len(names) < 2:
        return None
    levels = []
    for group, label in enumerate(names):
        members = [finite[place] for place in np.flatnonzero(groups == group) if len(finite[place])]
        if members:
            best = (max if higher else min)(float(interquartile_mean(one)) for one in members)
            levels.append(Level(label, sum(map(len, members)), iqm_interval(*members), best))
    by_run = np.repeat(groups, [len(one) for one in every])
    return Sensitivity(name, explained_share(by_run, np.concatenate(every)), levels)
