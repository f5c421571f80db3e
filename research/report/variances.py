"""Variances of many settings of few seeds each, moderated: each is estimated with all the others.

With 5 seeds a variance is known to within a factor of three, and among the differences of many
settings some are sure to look significant only because theirs came out too small. How much the
true variances differ is estimated from all settings together: the more alike they are, the more
each is shrunk towards what is typical.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import digamma, polygamma

FEWEST = 3  # variances that say anything of how variances differ
MOST_FREEDOM = 1e6  # of the prior: as good as known


class Moderated(NamedTuple):
    """Moderated variances.

    Attributes:
      variances: float64 [V].
      freedom: degrees of freedom of each, float64 [V].
    """

    variances: np.ndarray
    freedom: np.ndarray


def prior_freedom(variances: np.ndarray, freedom: np.ndarray) -> float:
    """The prior degrees of freedom of variances: the more, the more alike the true ones are; 0
    where that is not known.

    Smyth (2004), "Linear models and empirical Bayes methods for assessing differential expression",
    section 6.2: the logarithms of estimated variances spread by the trigamma function of half their
    degrees of freedom, and by more where the true ones differ.

    Args:
      variances: estimates, float64 [V]; those that are 0 are left out.
      freedom: degrees of freedom of each, [V].
    """
    from scipy.optimize import brentq  # a third of a second, which help does not need

    known = (variances > 0) & (freedom > 0)
    if np.sum(known) < FEWEST:
        return 0.0
    half = freedom[known] / 2
    centred = np.log(variances[known]) - digamma(half) + np.log(half)
    excess = float(np.var(centred, ddof=1) - np.mean(polygamma(1, half)))
    if excess <= polygamma(1, MOST_FREEDOM / 2):
        return MOST_FREEDOM
    if excess >= polygamma(1, 1e-3):
        return 0.0
    root: Any = brentq(lambda x: polygamma(1, x) - excess, 1e-3, MOST_FREEDOM / 2)
    return 2 * float(root)


def moderate(variances: np.ndarray, freedom: np.ndarray, prior: float) -> Moderated:
    """Shrinks variances towards what is typical of them (Smyth, 2004, equation 4), but none that is
    larger: a setting that varies more than the others keeps its own.

    Args:
      variances: estimates, float64 [V].
      freedom: degrees of freedom of each, [V]; 0 where there is no estimate.
      prior: what `prior_freedom` says.
    """
    known = (variances > 0) & (freedom > 0)
    if not prior or not np.any(known):
        return Moderated(variances, freedom)
    half = freedom[known] / 2
    typical = np.exp(
        np.mean(np.log(variances[known]) - digamma(half) + np.log(half))
        + digamma(prior / 2) - np.log(prior / 2)
    )  # fmt: skip
    drawn = (prior * typical + freedom * variances) / (prior + freedom)
    most = float(np.sum(freedom[known]))  # what all of them together know
    return Moderated(np.maximum(variances, drawn), np.minimum(freedom + prior, most))
