"""How often the intervals of the report hold the truth: thousands of experiments of so many seeds,
whose scores are drawn from known distributions.

    scripts/run scripts/compare/coverage.py

Beside the intervals that are used, those read at the plain percentiles of the same resamples.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import trim_mean

from research.report import statistics
from research.report.statistics import Interval, iqm_interval, mean_interval

EXPERIMENTS, SEEDS = 2_000, (5, 10, 64)
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
    """Prints a Markdown table."""
    print("| scores | seeds | IQM | at plain percentiles | mean | at plain percentiles |")
    print("|---|---|---|---|---|---|")
    for name, draw in DISTRIBUTIONS.items():
        many = draw((1_000, 10_000))
        truths = trim_mean(many, 0.25, axis=1).mean(), many.mean()
        for seeds in SEEDS:
            values = draw((seeds, EXPERIMENTS))
            cells = []
            for make, truth in zip((iqm_interval, mean_interval), truths, strict=True):
                cells += [_covered(make(values), truth), _covered(_plainly(make, values), truth)]
            print(
                f"| {name} | {seeds} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True
            )


def _plainly(make: Callable[[np.ndarray], Interval], values: np.ndarray) -> Interval:
    expanded, statistics.expanded_confidence = (
        statistics.expanded_confidence,
        lambda level, _: level,
    )
    try:
        return make(values)
    finally:
        statistics.expanded_confidence = expanded


def _covered(interval: Interval, truth: float) -> float:
    return float(np.mean((interval.low <= truth) & (truth <= interval.high)))


if __name__ == "__main__":
    main()
