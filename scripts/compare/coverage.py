"""How often the intervals of the report hold the truth: thousands of experiments of so many seeds,
whose scores are drawn from known distributions.

    scripts/run scripts/compare/coverage.py

Beside the interval of the interquartile mean that is used, the one read at plain percentiles of the
same resamples. Then two settings side by side, and the best of many equal settings, whose score is
known: what it seems to be, and what the report says of it.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from scipy.stats import norm, trim_mean

from research.report import statistics
from research.report.comparison import difference_of_iqms, probability_of_improvement
from research.report.selection import select
from research.report.statistics import (
    Interval,
    iqm_interval,
    mean_interval,
    median_interval,
    shortfall,
)

EXPERIMENTS, SEEDS = 2_000, (5, 10, 64)
COMPARED, CHOSEN, SETTINGS = 1_000, 500, 20
RNG = np.random.default_rng(0)
DISTRIBUTIONS: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
    "normal": lambda shape: RNG.normal(size=shape),
    "log-normal": lambda shape: RNG.lognormal(0, 0.7, shape),
    "Student's t, 3 degrees": lambda shape: RNG.standard_t(3, shape),
    "accuracy (beta 8, 1)": lambda shape: RNG.beta(8, 1, shape),
    "two peaks (3 : 7)": lambda shape: np.where(
        RNG.random(shape) < 0.3, RNG.normal(0, 0.3, shape), RNG.normal(2, 0.5, shape)
    ),
}


def main() -> None:
    """Prints Markdown tables."""
    _table("scores", "seeds", "IQM", "at plain percentiles", "median", "mean", "optimality gap")
    for name, draw in DISTRIBUTIONS.items():
        for seeds in SEEDS:
            _row(name, seeds, *_one_setting(draw, seeds))
    _table("difference", "seeds", "paired, r = 0", "paired, r = 0.7", "not paired", "P(better)")
    for difference in (0.0, 0.5, 1.5):
        for seeds in SEEDS:
            _row(f"{difference} standard deviations", seeds, *_two_settings(difference, seeds))
    _table("choosing", "seeds", "seems", "reported", "holds 0")
    for seeds in SEEDS:
        _row(f"best of {SETTINGS} that are all 0", seeds, *_chosen(seeds))


def _one_setting(draw: Callable[[tuple[int, ...]], np.ndarray], seeds: int) -> Iterator[float]:
    """Coverage of each statistic of one setting."""
    many = draw((1_000, 10_000))
    goal = float(np.quantile(many, 0.7))
    values = draw((seeds, EXPERIMENTS))
    iqm = float(trim_mean(many, 0.25, axis=1).mean())
    yield _covered(iqm_interval(values), iqm)
    yield _covered(_plainly(values), iqm)
    yield _covered(median_interval(values), float(np.median(many)))
    yield _covered(mean_interval(values), float(many.mean()))
    gap = float(shortfall(many, goal, True).mean())
    yield _covered(mean_interval(shortfall(values, goal, True)), gap)


def _plainly(values: np.ndarray) -> Interval:
    expanded = statistics.expanded_confidence
    statistics.expanded_confidence = lambda confidence, n, strata=1: confidence
    try:
        return iqm_interval(values)
    finally:
        statistics.expanded_confidence = expanded


def _two_settings(difference: float, seeds: int) -> Iterator[float]:
    """Coverage of what is said of two normal settings, one better by so much."""
    better = float(norm.cdf(difference / np.sqrt(2)))
    hits = np.zeros((COMPARED, 4))
    for experiment in range(COMPARED):
        a, b, common = RNG.normal(size=(3, seeds))
        together = np.sqrt(0.3) * np.stack([a, b]) + np.sqrt(0.7) * common  # r = 0.7
        hits[experiment] = (
            _covered(difference_of_iqms(a + difference, b, True)[0], difference),
            _covered(difference_of_iqms(together[0] + difference, together[1], True)[0],
                     difference),
            _covered(difference_of_iqms(a + difference, b, False)[0], difference),
            _covered(probability_of_improvement(a + difference, b), better),
        )  # fmt: skip
    yield from hits.mean(axis=0)


def _chosen(seeds: int) -> Iterator[float]:
    """What the best of many equal settings seems to score, what is reported of it, and how often
    that interval holds the truth, which is 0."""
    found = []
    for _ in range(CHOSEN):
        scores = [pd.Series(one) for one in RNG.normal(size=(SETTINGS, seeds))]
        selection = select(scores, scores, True)
        assert selection is not None
        found.append((selection.apparent.estimate, selection.honest.estimate,
                      _covered(selection.honest, 0.0)))  # fmt: skip
    yield from np.mean(found, axis=0)


def _covered(interval: Interval, truth: float) -> float:
    return float(np.mean((interval.low <= truth) & (truth <= interval.high)))


def _table(*names: str) -> None:
    print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}")


def _row(name: str, seeds: int, *cells: float) -> None:
    print(f"| {name} | {seeds} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
