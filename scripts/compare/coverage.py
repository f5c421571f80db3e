"""Measures how often the report's confidence intervals cover the truth, in thousands of simulated
experiments whose scores are drawn from known distributions.

    scripts/run scripts/compare/coverage.py
    scripts/run scripts/compare/coverage.py --best     # only comparisons with the best

For one setting: the coverage of each statistic, and of the interquartile mean at plain percentiles
for comparison. For two settings: the coverage of their difference. For the best of many equal
settings: the score that it seems to have, and the score that the report says. For all settings
against the best: how often an equal one is called worse, and how often a real difference is found.
"""

import argparse
import math
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from scipy.stats import norm, trim_mean

from research.report import statistics
from research.report.best import differences_from_best
from research.report.comparison import compare, difference_of_iqms, probability_of_improvement
from research.report.ranking import merit
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
MANY, BEST_SEEDS = (2, 8, 20, 100), (5, 10, 32)
SWEEPS, MOST_COMPARISONS, ONE_BY_ONE = 400, 12_000, 400  # of a line: settings x sweeps
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--best", action="store_true", help="only comparisons with the best")
    if not parser.parse_args().best:
        _intervals()
    _table("equal settings", "scores", "seeds", "sweeps", "one by one", "of settings",
           "in sweeps", "all others")  # fmt: skip
    for settings in MANY:
        for name in BEST_OF:
            for seeds in BEST_SEEDS:
                _line(settings, name, seeds, *_equal(BEST_OF[name], settings, seeds))
    _table("settings", "what differs", "seeds", "sweeps", "found", "all others", "false, in sweeps")
    for settings in MANY:
        for name, shift in PLANTED.items():
            for seeds in BEST_SEEDS:
                _line(settings, name, seeds, *_planted(shift, settings, seeds))


def _intervals() -> None:
    _table("scores", "seeds", "IQM", "IQM at plain percentiles", "median", "mean", "optimality gap")
    for name, draw in DISTRIBUTIONS.items():
        for seeds in SEEDS:
            _row(name, seeds, *_one_setting(draw, seeds))
    _table("difference", "seeds", "paired, r = 0", "paired, r = 0.7", "not paired", "P(better)")
    for difference in (0.0, 0.5, 1.5):
        for seeds in SEEDS:
            _row(f"{difference} standard deviations", seeds, *_two_settings(difference, seeds))
    _table("choosing", "seeds", "seems", "reported", "covers 0")
    for seeds in SEEDS:
        _row(f"best of {SETTINGS} that are all 0", seeds, *_chosen(seeds))


def _one_setting(draw: Callable[[tuple[int, ...]], np.ndarray], seeds: int) -> Iterator[float]:
    """The coverage of each statistic of one setting."""
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
    """The coverage of each comparison of two normal settings that differ by `difference`."""
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
    """The score that the best of many equal settings seems to have, the reported score, and how
    often the reported interval covers the truth, which is 0."""
    found = []
    for _ in range(CHOSEN):
        scores = [pd.Series(one) for one in RNG.normal(size=(SETTINGS, seeds))]
        selection = select(scores, scores, True)
        assert selection is not None
        found.append((selection.apparent.estimate, selection.held_out.estimate,
                      _covered(selection.held_out, 0.0)))  # fmt: skip
    yield from np.mean(found, axis=0)


BEST_OF: dict[str, Callable[[int, int], np.ndarray]] = {
    "normal": lambda settings, seeds: RNG.normal(size=(settings, seeds)),
    "normal, spread 0.3 to 3": lambda settings, seeds: (
        RNG.normal(size=(settings, seeds)) * np.geomspace(0.3, 3, settings)[:, None]
    ),
    "correct of 36 rows (0.93)": lambda settings, seeds: (
        RNG.binomial(36, 0.93, (settings, seeds)) / 36
    ),
}
PLANTED: dict[str, Callable[[int], np.ndarray]] = {
    "one is better by 1": lambda settings: np.arange(settings) == 0,
    "one is better by 3": lambda settings: 3.0 * (np.arange(settings) == 0),
    "half are worse by 3": lambda settings: -3.0 * (np.arange(settings) >= settings / 2),
}


def _equal(
    draw: Callable[[int, int], np.ndarray], settings: int, seeds: int
) -> tuple[int, list[float]]:
    """The number of sweeps of equal settings, and four shares: of settings called worse than the
    best if each is compared by itself at 95%, and as the report compares; of sweeps in which any
    setting is called worse, and in which all others are."""
    sweeps, found = _sweeps(settings), []
    for sweep in range(sweeps):
        scores, best = _drawn(draw(settings, seeds))
        worse = _called_worse(scores, best)
        alone = [] if sweep * settings >= ONE_BY_ONE else [
            compare(one, scores[best], True).verdict == "worse" for one in scores
        ]  # fmt: skip
        alone = np.mean(alone) if alone else math.nan
        found.append((alone, worse.mean(), worse.any(), worse.sum() == settings - 1))
    return sweeps, np.nanmean(found, axis=0).tolist()


def _planted(
    shift: Callable[[int], np.ndarray], settings: int, seeds: int
) -> tuple[int, list[float]]:
    """The number of sweeps with normal scores, and three shares: of worse settings that are called
    worse; of sweeps in which all others are called worse, and in which one of the best is."""
    sweeps, found, by = _sweeps(settings) // 2, [], shift(settings).astype(float)
    for _ in range(sweeps):
        scores, best = _drawn(RNG.normal(size=(settings, seeds)) + by[:, None])
        worse, truth = _called_worse(scores, best), by < by.max()
        found.append((worse[truth].mean(), worse.sum() == settings - 1, worse[~truth].any()))
    return sweeps, np.mean(found, axis=0).tolist()


def _sweeps(settings: int) -> int:
    return min(SWEEPS, MOST_COMPARISONS // settings)


def _drawn(values: np.ndarray) -> tuple[list[pd.Series], int]:
    """The scores of settings, and the index of the best as the report ranks them."""
    scores = [pd.Series(one) for one in values]
    return scores, max(range(len(scores)), key=lambda place: merit(values[place], True))


def _called_worse(scores: list[pd.Series], best: int) -> np.ndarray:
    return np.array([float(one.high) < 0 for one in differences_from_best(scores, best, True)])


def _line(settings: int, name: str, seeds: int, sweeps: int, cells: list[float]) -> None:
    numbers = " | ".join(f"{cell:.3f}" for cell in cells)
    print(f"| {settings} | {name} | {seeds} | {sweeps} | {numbers} |", flush=True)


def _covered(interval: Interval, truth: float) -> float:
    return float(np.mean((interval.low <= truth) & (truth <= interval.high)))


def _table(*names: str) -> None:
    print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}")


def _row(name: str, seeds: int, *cells: float) -> None:
    print(f"| {name} | {seeds} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
