"""What runs that differ in the seed alone agree on.

Shape letters: R runs, F features.
"""

import numpy as np
from scipy.stats import rankdata


def in_top(importance_RxF: np.ndarray, top: int) -> np.ndarray:
    """int [F]: how many runs have a feature among their `top` most important, and above 0."""
    ranks_RxF = rankdata(-importance_RxF, axis=1, method="ordinal")
    return np.sum((ranks_RxF <= top) & (importance_RxF > 0), axis=0)


def rank_correlation(importance_RxF: np.ndarray) -> float:
    """The mean of Spearman's rank correlation over all pairs of runs: 1 where all order the
    features alike, about 0 where they agree by chance; NaN for a single run or feature."""
    runs = len(importance_RxF)
    if runs < 2 or importance_RxF.shape[1] < 2:
        return float("nan")
    ranks_RxF = rankdata(importance_RxF, axis=1)
    centred = ranks_RxF - ranks_RxF.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    units = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    total = np.sum(np.sum(units, axis=0) ** 2) - np.sum(units**2)  # of all pairs, twice
    return float(total / (runs * (runs - 1)))
