"""Comparison of every setting with the best, where the same scores have picked the best.

The best of many equal settings looks better than the others: it was picked because it does. If the
others are compared with it one by one, at 95% each, many of them seem to be worse. Here all
comparisons hold together: in about 5% of sweeps at most is any setting called worse that is as good
as the best.

These are multiple comparisons with the best (Hsu, 1981). Any setting may turn out to be the best,
so that intervals are as wide as the largest difference between any two asks for (Tukey's range).
Those that differ significantly from it cannot be the best, and the others are compared anew without
that possibility (Romano and Wolf, 2005). What is left is a confidence set of all the best (Hansen,
Lunde and Nason, 2011). How often it errs, and what it finds, is measured in
experiments/results/statistics.md.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

from research.report.comparison import (
    Aligned,
    Comparison,
    align,
    chance_of_order,
    probability_of_improvement,
    seeds_needed,
)
from research.report.statistics import CONFIDENCE, Interval, interquartile_mean
from research.report.variances import Moderated, moderate, prior_freedom

RESAMPLES = 2_000  # for standard errors
DRAWS = 20_000  # for the largest of many differences
MOST_NUMBERS = 20_000_000  # of those draws; of very many settings there are fewer


class _Errors(NamedTuple):
    """Differences from the best, [V]: estimates, variances and their degrees of freedom."""

    estimates: np.ndarray
    variances: np.ndarray
    freedom: np.ndarray


def against_best(
    scores: Sequence[pd.Series],
    best: int,
    higher_is_better: bool,
    widest: float = math.inf,
    seed: int = 0,
) -> list[Comparison]:
    """Compares every setting with the one that has the best interquartile mean of them all.

    Standard errors are those of a bootstrap that resamples the seeds of both settings together
    where they are the same. Variances are moderated by those of all settings, as few seeds say
    little of one (`research.report.variances`). The intervals of all differences hold together.

    Args:
      scores: of each setting, seed -> finite score; at least one each.
      best: the place of the best.
      higher_is_better: whether good is high.
      widest: how far two interquartile means can be apart.
      seed: of the resampling.

    Returns:
      A comparison of each, in the same order; of the best with itself, too.
    """
    pairs = [align(one, scores[best], higher_is_better) for one in scores]
    differences, errors, level = _differences(scores, pairs, best, widest, seed)
    return [
        Comparison(
            difference=difference,
            improvement=probability_of_improvement(pair.a, pair.b, 1 - level),
            pairs=len(pair.a) if pair.paired else 0,
            correlation=pair.correlation,
            seeds_needed=seeds_needed(
                float(difference.estimate), error, min(len(pair.a), len(pair.b)), level
            ),
        )
        for pair, difference, error in zip(pairs, differences, errors, strict=True)
    ]


def differences_from_best(
    scores: Sequence[pd.Series], best: int, higher_is_better: bool, seed: int = 0
) -> list[Interval]:
    """The differences of `against_best` alone."""
    pairs = [align(one, scores[best], higher_is_better) for one in scores]
    return _differences(scores, pairs, best, math.inf, seed)[0]


def _differences(
    scores: Sequence[pd.Series], pairs: Sequence[Aligned], best: int, widest: float, seed: int
) -> tuple[list[Interval], list[float], float]:
    """Differences from the best, their standard errors, and the level of one comparison."""
    errors = _errors(scores, pairs, best, seed)
    level = _level(errors, pairs, best)
    found = []
    for pair, estimate, variance, freedom in zip(pairs, *errors, strict=True):
        reach = _reach(level, variance, freedom, pair)
        ends = np.clip([estimate - reach, estimate + reach], -widest, widest)
        found.append(Interval(estimate, *map(np.asarray, ends)))
    return found, np.sqrt(errors.variances).tolist(), level


def _errors(scores: Sequence[pd.Series], pairs: Sequence[Aligned], best: int, seed: int) -> _Errors:
    """The differences with moderated variances. How alike the true ones are is estimated from the
    settings, as all differences have the variance of the best in common."""
    resampled = [_resampled(one.to_numpy(np.float64), seed) for one in scores]
    alone = np.array([_variance(*both) for both in zip(resampled, map(len, scores), strict=True)])
    freedom = np.array([len(one) - 1.0 for one in scores])
    prior = prior_freedom(alone, freedom)
    variances, degrees = _apart(moderate(alone, freedom, prior), best)
    places = [place for place, one in enumerate(pairs) if one.paired and not one.same]
    if places:
        own = [
            _variance(resampled[place] - resampled[best], len(scores[best]))
            if scores[place].index.equals(scores[best].index)
            else _paired_variance(pairs[place], seed)
            for place in places
        ]
        sizes = np.array([len(pairs[place].a) - 1.0 for place in places])
        variances[places], degrees[places] = moderate(np.array(own), sizes, prior)
    estimates = [float(interquartile_mean(one.a) - interquartile_mean(one.b)) for one in pairs]
    return _Errors(np.array(estimates), variances, degrees)


def _paired_variance(pair: Aligned, seed: int) -> float:
    return _variance(_resampled(pair.a, seed) - _resampled(pair.b, seed), len(pair.a))


def _apart(each: Moderated, best: int) -> Moderated:
    """Variances of unpaired differences from the best, with Welch's degrees of freedom: 0 where
    either setting has a single seed."""
    together = each.variances + each.variances[best]
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = each.variances**2 / each.freedom
        freedom = together**2 / (parts + parts[best])
    known = (each.freedom > 0) & (each.freedom[best] > 0) & np.isfinite(freedom)
    return Moderated(together, np.where(known, freedom, 0.0))


def _level(errors: _Errors, pairs: Sequence[Aligned], best: int) -> float:
    """The two-sided level of one comparison at which all of them hold together.

    It begins with all settings as possible bests. Those that differ significantly can be none, and
    the others are compared anew, until no more differ.
    """
    possible = np.ones(len(pairs), bool)
    while True:
        level = comparison_level(len(pairs), int(np.sum(possible)))
        reach = [
            _reach(level, variance, freedom, pair)
            for variance, freedom, pair in zip(*errors[1:], pairs, strict=True)
        ]
        left = ~(errors.estimates + np.array(reach) < 0)  # what is not known is possible
        left[best] = True
        if np.sum(left & possible) == np.sum(possible):
            return level
        possible &= left


def _reach(level: float, variance: float, freedom: float, pair: Aligned) -> float:
    """Half the width of the interval of a difference; NaN where there are too few seeds for any."""
    if pair.same:
        return 0.0
    if freedom > 0 and variance > 0:
        return -float(stdtrit(freedom, level / 2)) * math.sqrt(variance)
    sure = chance_of_order(len(pair.a), len(pair.b), pair.paired) < level
    return 0.0 if sure and min(len(pair.a), len(pair.b)) > 1 else math.nan


@functools.lru_cache(maxsize=1024)
def comparison_level(settings: int, possible: int) -> float:
    """The two-sided level of one comparison, such that the largest of all differences between a
    setting that may be the best and any other exceeds it in 5% of cases.

    Args:
      settings: how many there are.
      possible: how many of them may be the best.
    """
    if settings < 2:
        return 1 - CONFIDENCE
    return float(2 * ndtr(-np.quantile(_largest(settings, possible), CONFIDENCE)))


def _largest(settings: int, possible: int) -> np.ndarray:
    """The largest of those differences in standard errors, float32 [draws], where settings are
    equal and scores normal."""
    draws = max(1_000, min(DRAWS, MOST_NUMBERS // settings))
    rng = np.random.default_rng(0)
    low, high = np.full(draws, np.inf, np.float32), np.full(draws, -np.inf, np.float32)
    best_low, best_high = low.copy(), high.copy()
    for place in range(settings):
        one = rng.standard_normal(draws, np.float32)
        low, high = np.minimum(low, one), np.maximum(high, one)
        if place + 1 == possible:
            best_low, best_high = low, high
    return np.maximum(high - best_low, best_high - low) / np.float32(math.sqrt(2))


def _resampled(values: np.ndarray, seed: int) -> np.ndarray:
    """Bootstrapped interquartile means [RESAMPLES] of values [S]; the draws depend on S alone."""
    return interquartile_mean(values[_draws(len(values), seed)], axis=-1)


@functools.lru_cache(maxsize=8)
def _draws(seeds: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, seeds, (RESAMPLES, seeds))


def _variance(resampled: np.ndarray, seeds: int) -> float:
    """The variance of a bootstrapped estimate, corrected by n / (n - 1); 0 of a single seed."""
    return float(np.var(resampled)) * seeds / (seeds - 1) if seeds > 1 else 0.0
