"""Two settings side by side: by how much one is better, how often, and how sure that is."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import mannwhitneyu, norm

from research.report.statistics import CONFIDENCE, Interval, interquartile_mean, resample

POWER = 0.8  # of the experiment that would tell two settings apart
MOST_SEEDS = 1_000_000
ENOUGH_SHARED = 0.8  # of all their seeds, for two settings to be paired


class Comparison(NamedTuple):
    """A setting against another, the reference.

    Attributes:
      difference: of their interquartile means, better being positive, with its interval.
      improvement: the probability that a run of the one is better than a run of the other, ties
        counting half, with its interval.
      pairs: how many seeds they were paired by; 0 where they were resampled apart.
      correlation: of the pairs' scores; NaN where there is none.
      seeds_needed: of each, to tell them apart four times in five if the difference is what it
        looks like; None if there is no difference, or it is known exactly.
    """

    difference: Interval
    improvement: Interval
    pairs: int
    correlation: float
    seeds_needed: int | None

    @property
    def verdict(self) -> str:
        """ "better" or "worse" where the interval of the difference leaves out 0."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "no difference"


def compare(
    one: pd.Series, reference: pd.Series, higher_is_better: bool, seed: int = 0
) -> Comparison:
    """Compares the scores of finite runs.

    A seed gives both settings the same initial params (where their shapes are the same), the same
    order of the data and the same randomness of the environment. So where the seeds are the same,
    they are resampled together, and what a seed does to both cancels; by how much, their
    correlation says. A few seeds that only one of them has, as when a run diverged, are left out
    then.

    Args:
      one, reference: seed -> score; at least one each.
      higher_is_better: whether good is high.
      seed: of the resampling.
    """
    sign = 1.0 if higher_is_better else -1.0
    shared = one.index.intersection(reference.index)
    either = len(one.index.union(reference.index))
    paired = len(shared) > 1 and len(shared) >= ENOUGH_SHARED * either
    if paired:
        one, reference = one.loc[shared], reference.loc[shared]
    a, b = sign * one.to_numpy(np.float64), sign * reference.to_numpy(np.float64)
    difference, error = difference_of_iqms(a, b, paired, seed)
    spread = paired and np.ptp(a) > 0 and np.ptp(b) > 0
    return Comparison(
        difference=difference,
        improvement=probability_of_improvement(a, b),
        pairs=len(shared) if paired else 0,
        correlation=float(np.corrcoef(a, b)[0, 1]) if spread else math.nan,
        seeds_needed=seeds_needed(float(difference.estimate), error, min(len(a), len(b))),
    )


def difference_of_iqms(
    a: np.ndarray, b: np.ndarray, paired: bool, seed: int = 0
) -> tuple[Interval, float]:
    """IQM(a) - IQM(b) with a bootstrap interval, and its standard error.

    Args:
      a, b: scores [S].
      paired: whether a[i] and b[i] are of one seed.
      seed: of the resampling.
    """

    def statistic(a, b, axis):
        return interquartile_mean(a, axis) - interquartile_mean(b, axis)

    estimate = statistic(a, b, 0)
    alike = np.all(a - b == (a - b)[0]) if paired else False
    if alike or max(len(a), len(b)) < 2 or np.ptp(a) == np.ptp(b) == 0:
        return Interval(estimate, estimate, estimate), 0.0
    result = resample(statistic, (a, b), CONFIDENCE, seed, paired=paired)
    n = min(len(one) for one in (a, b) if len(one) > 1)
    error = float(result.standard_error) * math.sqrt(n / (n - 1))
    return Interval(estimate, *map(np.asarray, result.confidence_interval)), error


def probability_of_improvement(a: np.ndarray, b: np.ndarray) -> Interval:
    """P(A > B) + P(A = B) / 2 with a 95% score interval.

    Agarwal et al. (2021), section 4.3. Resampling knows no doubt where all of a lie above all of b;
    the interval is Newcombe's (2006, Statistics in Medicine 25, method 5), which does.

    Args:
      a, b: scores [S], in any numbers.
    """
    m, n = len(a), len(b)
    wins: Any = mannwhitneyu(a, b)
    estimate = float(wins.statistic) / (m * n)
    z = float(norm.ppf((1 + CONFIDENCE) / 2))

    def off(p: float) -> float:
        """How far p is from the estimate, by its own standard error."""
        pairs = (m + n) / 2 - 1
        variance = p * (1 - p) * (1 + pairs * ((1 - p) / (2 - p) + p / (1 + p))) / (m * n)
        return (p - estimate) ** 2 - z**2 * variance

    inside = float(np.clip(estimate, 1e-9, 1 - 1e-9))  # at 0 and 1 itself there is a second root
    low = brentq(off, 0.0, inside) if estimate > 0 else 0.0
    high = brentq(off, inside, 1.0) if estimate < 1 else 1.0
    return Interval(np.asarray(estimate), np.asarray(low), np.asarray(high))


def seeds_needed(difference: float, error: float, seeds: int) -> int | None:
    """How many seeds a difference asks for, from its standard error with `seeds` of them, at a
    level of 5% and a power of 80%: the error shrinks with the root of the seeds."""
    if not difference or not error:
        return None
    ratio = (norm.ppf((1 + CONFIDENCE) / 2) + norm.ppf(POWER)) * error / abs(difference)
    return min(MOST_SEEDS, max(2, math.ceil(seeds * ratio**2)))
