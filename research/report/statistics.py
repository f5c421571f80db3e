"""Statistics over the seeds of one setting."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import bootstrap, norm, t, trim_mean

RESAMPLES = 4_000


class Interval(NamedTuple):
    """An estimate, float64 [...], with the ends of its confidence interval."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray


def interquartile_mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean of the middle half: the quarter of the values at either end is left out.

    Agarwal et al. (2021), section 4.3: as robust as the median, and nearly as efficient as the
    mean.
    """
    return np.asarray(trim_mean(values, 0.25, axis=axis))


def iqm_interval(values: np.ndarray, confidence: float = 0.95, seed: int = 0) -> Interval:
    """The interquartile mean over seeds with an expanded percentile-bootstrap interval.

    Args:
      values: finite [S, ...], S seeds; resampled along the first axis, all columns together.
      confidence: of the interval.
      seed: of the resampling; the same seed gives the same interval.

    Returns:
      Estimates [...]. With a single seed the interval is that value alone, not a confidence.
    """
    return _interval(interquartile_mean, values, confidence, seed)


def mean_interval(values: np.ndarray, confidence: float = 0.95, seed: int = 0) -> Interval:
    """The mean of [S, ...] along the first axis; else as `iqm_interval`."""
    return _interval(np.mean, values, confidence, seed)


def expanded_confidence(confidence: float, n: int) -> float:
    """At which confidence to read the percentiles of bootstrapped estimates from n values.

    Resamples vary less than samples do, by n - 1 to n, and by how much is itself estimated: so the
    percentiles that are read are those between which a t interval of that confidence would lie
    (Hesterberg, 2015, "expanded percentile"). Read at 0.95, intervals of the IQM of 5 seeds hold
    the truth in 89 to 91% of all cases instead of 93 to 94%: experiments/results/statistics.md.
    """
    wide = np.sqrt(n / (n - 1)) * t.ppf((1 + confidence) / 2, n - 1)
    return float(2 * norm.cdf(wide) - 1)


def _interval(
    statistic: Callable[..., Any], values: np.ndarray, confidence: float, seed: int
) -> Interval:
    values = np.asarray(values, np.float64)
    estimate = np.asarray(statistic(values, axis=0))
    if len(values) < 2 or np.all(values == values[:1]):
        return Interval(estimate, estimate, estimate)
    result = bootstrap(
        (values,),
        statistic,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=expanded_confidence(confidence, len(values)),
        method="percentile",
        axis=0,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return Interval(estimate, *map(np.asarray, result.confidence_interval))
