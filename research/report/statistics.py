"""Statistics over the seeds of one setting."""

from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap, trim_mean

RESAMPLES = 2_000


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
    """The interquartile mean over seeds with a percentile-bootstrap interval.

    Args:
      values: finite [S, ...], S seeds; resampled along the first axis, all columns together.
      confidence: of the interval.
      seed: of the resampling; the same seed gives the same interval.

    Returns:
      Estimates [...]. With a single seed the interval is that value alone, not a confidence.
    """
    values = np.asarray(values, np.float64)
    estimate = interquartile_mean(values)
    if len(values) < 2:
        return Interval(estimate, estimate, estimate)
    result = bootstrap(
        (values,),
        lambda sample, axis: trim_mean(sample, 0.25, axis=axis),
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=confidence,
        method="percentile",
        axis=0,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return Interval(estimate, *map(np.asarray, result.confidence_interval))


def mean_interval(values: np.ndarray, confidence: float = 0.95, seed: int = 0) -> Interval:
    """The mean of finite [N] with a percentile-bootstrap interval; else as `iqm_interval`."""
    values = np.asarray(values, np.float64)
    estimate = values.mean()
    if np.ptp(values) == 0:
        return Interval(estimate, estimate, estimate)
    result = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=confidence,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return Interval(estimate, *map(np.asarray, result.confidence_interval))
