"""Comparison of two settings: by how much one is better, how often, and with what confidence."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import comb, ndtri, stdtrit

from research.report.statistics import CONFIDENCE, Interval, interquartile_mean, resample

POWER = 0.8  # of the experiment that would resolve the difference
MOST_SEEDS = 1_000_000
ENOUGH_SHARED = 0.8  # of all their seeds, for two settings to be paired
NOT_RESOLVED = "not resolved"
SAME = "same scores"
VERDICTS = ("better", "worse", NOT_RESOLVED, SAME)


class Comparison(NamedTuple):
    """The comparison of a setting with another, the reference.

    Attributes:
      difference: of their interquartile means, better being positive, with its interval; the ends
        are NaN where there are too few seeds for any.
      improvement: the probability that a run of the one is better than a run of the other, ties
        counting half, with its interval.
      pairs: how many seeds they were paired by; 0 where they were resampled apart.
      correlation: of the pairs' scores; NaN where there is none.
      seeds_needed: of each, to resolve the difference that was observed with a power of 80%,
        `MOST_SEEDS` standing for that many or more; None if the interquartile means
        are the same, or the error is not known.
    """

    difference: Interval
    improvement: Interval
    pairs: int
    correlation: float
    seeds_needed: int | None

    @property
    def verdict(self) -> str:
        """ "better" or "worse" where the interval of the difference leaves out 0. Else it is
        not resolved; that the settings are equally good does not follow. "same scores" says that
        both score the same with every seed."""
        if self.difference.low == self.difference.high == 0:
            return SAME
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else NOT_RESOLVED


class Aligned(NamedTuple):
    """Scores of two settings, the larger the better.

    Attributes:
      a, b: float64 [S], of both.
      paired: whether a[i] and b[i] are of one seed.
    """

    a: np.ndarray
    b: np.ndarray
    paired: bool

    @property
    def same(self) -> bool:
        """Whether both settings score the same with every seed."""
        return self.paired and np.array_equal(self.a, self.b)

    @property
    def correlation(self) -> float:
        """The correlation of the pairs; NaN where there are none, or one side does not vary."""
        spread = self.paired and np.ptp(self.a) > 0 and np.ptp(self.b) > 0
        return float(np.corrcoef(self.a, self.b)[0, 1]) if spread else math.nan


def compare(
    one: pd.Series, reference: pd.Series, higher_is_better: bool, seed: int = 0
) -> Comparison:
    """Compares two settings that were chosen beforehand; of one that its scores have picked as the
    best, see `research.report.best`.

    Args:
      one, reference: seed -> finite score; at least one each.
      higher_is_better: whether good is high.
      seed: of the resampling.
    """
    both = align(one, reference, higher_is_better)
    difference, error = difference_of_iqms(*both, seed)
    seeds = min(len(both.a), len(both.b))
    return Comparison(
        difference=difference,
        improvement=probability_of_improvement(both.a, both.b),
        pairs=seeds if both.paired else 0,
        correlation=both.correlation,
        seeds_needed=seeds_needed(float(difference.estimate), error, seeds),
    )


def align(one: pd.Series, reference: pd.Series, higher_is_better: bool) -> Aligned:
    """The scores of both settings, paired by seed if they share enough seeds.

    A seed gives both settings the same initial params (where their shapes are the same), the same
    order of the data and the same randomness of the environment. So where the seeds are the same,
    they are resampled together, and what a seed does to both cancels; by how much, their
    correlation says. A few seeds that only one of them has are left out then.
    """
    sign = 1.0 if higher_is_better else -1.0
    shared = one.index.intersection(reference.index)
    either = len(one.index.union(reference.index))
    paired = len(shared) > 1 and len(shared) >= ENOUGH_SHARED * either
    if paired:
        one, reference = one.loc[shared], reference.loc[shared]
    return Aligned(sign * one.to_numpy(np.float64), sign * reference.to_numpy(np.float64), paired)


def difference_of_iqms(
    a: np.ndarray, b: np.ndarray, paired: bool, seed: int = 0
) -> tuple[Interval, float]:
    """IQM(a) - IQM(b) with a 95% bootstrap interval, and its standard error.

    Where nothing varies, the interval is that number if as many seeds would hardly agree so by
    chance, and else not known: its ends are NaN, as they are of a single seed.

    Args:
      a, b: scores [S].
      paired: whether a[i] and b[i] are of one seed.
      seed: of the resampling.
    """

    def statistic(a, b, axis):
        return interquartile_mean(a, axis) - interquartile_mean(b, axis)

    estimate = statistic(a, b, 0)
    alike = np.all(a - b == (a - b)[0]) if paired else np.ptp(a) == np.ptp(b) == 0
    if alike or min(len(a), len(b)) < 2:
        same = paired and not estimate
        sure = same or chance_of_order(len(a), len(b), paired) < 1 - CONFIDENCE
        end = estimate if alike and sure else np.full_like(estimate, np.nan)
        return Interval(estimate, end, end), 0.0
    result = resample(statistic, (a, b), CONFIDENCE, seed, paired=paired)
    n = min(len(one) for one in (a, b))
    error = float(result.standard_error) * math.sqrt(n / (n - 1))
    return Interval(estimate, *map(np.asarray, result.confidence_interval)), error


def chance_of_order(a: int, b: int, paired: bool) -> float:
    """The probability that all scores of one of two equal settings are on one side of those of the
    other: the smallest p-value that so many seeds can give."""
    return 2 / 2.0**a if paired else 2 / float(comb(a + b, a))


def probability_of_improvement(
    a: np.ndarray, b: np.ndarray, confidence: float = CONFIDENCE
) -> Interval:
    """P(A > B) + P(A = B) / 2 with a score interval.

    Agarwal et al. (2021), section 4.3. Resampling gives no interval where all of a lie above all of
    b; the interval is Newcombe's (2006, Statistics in Medicine 25, method 5), which does.

    Args:
      a, b: scores [S], in any numbers.
      confidence: of the interval.
    """
    from scipy.optimize import brentq  # a third of a second, which help does not need

    m, n = len(a), len(b)
    estimate = float(np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)))
    z = -float(ndtri((1 - confidence) / 2))

    def off(p: float) -> float:
        """The squared distance of p from the estimate, less that of z standard errors at p."""
        pairs = (m + n) / 2 - 1
        variance = p * (1 - p) * (1 + pairs * ((1 - p) / (2 - p) + p / (1 + p))) / (m * n)
        return (p - estimate) ** 2 - z**2 * variance

    inside = float(np.clip(estimate, 1e-9, 1 - 1e-9))  # at 0 and 1 itself there is a second root
    low = brentq(off, 0.0, inside) if estimate > 0 else 0.0
    high = brentq(off, inside, 1.0) if estimate < 1 else 1.0
    return Interval(np.asarray(estimate), np.asarray(low), np.asarray(high))


def seeds_needed(
    difference: float, error: float, seeds: int, level: float = 1 - CONFIDENCE
) -> int | None:
    """The number of seeds that resolves a difference with a power of 80%; at most `MOST_SEEDS`.

    Args:
      difference: as it looks.
      error: its standard error with `seeds` of them, which shrinks with the root of the seeds.
      seeds: of each setting.
      level: two-sided, of the comparison.

    Returns:
      None where there is no difference, or no error.
    """
    if not difference or not error:
        return None
    by_one = (seeds * (error / difference) ** 2) ** 0.5  # the error of a single seed's difference

    def enough(n: float) -> bool:
        asked = -stdtrit(n - 1, level / 2) + ndtri(POWER)
        return asked * by_one <= math.sqrt(n)

    low, high = 2, 2
    while not enough(high) and high < MOST_SEEDS:
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
