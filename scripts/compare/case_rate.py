"""Measures the units of work per second of one case of `scripts/bench`, which calls this, as does
`variants.py`.

    python case_rate.py ROOT CASE PRECISION RUNS SECONDS

ROOT is the checkout whose code is timed. Prints the median of as many repeats as take SECONDS.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

LEAST = 3  # repeats


def main(root: str, name: str, precision: str, runs: int, seconds: float) -> float:
    """Compiles and warms up a case, then returns its median units of work per second."""
    sys.path.insert(0, root)
    from research.benchmark.growth import LEAST_STEPS
    from research.benchmark.timing import SECONDS, Ready
    from research.cli.machine import configure_jax

    configure_jax()
    case = cases_of(root)[name](precision)
    probe = Ready(case, runs, LEAST_STEPS, cold=False)
    steps = max(LEAST_STEPS, round(SECONDS * probe.steps / probe.repeat()))
    ready = Ready(case, runs, steps, cold=False)
    return statistics.median(map(ready.units, repeats(ready, seconds)))


def cases_of(root: str) -> Any:
    """The cases of a checkout; older checkouts keep them in `experiments/`."""
    try:
        from research.benchmark.cases import CASES
    except ImportError:
        sys.path.insert(1, f"{root}/experiments")
        from bench_cases import CASES  # pyright: ignore[reportMissingImports]
    return CASES


def repeats(ready: Any, seconds: float) -> Iterator[float]:
    """Yields the seconds of each repeat, until `seconds` are spent."""
    count, began = 0, time.perf_counter()
    while count < LEAST or time.perf_counter() - began < seconds:
        yield ready.repeat()
        count += 1


if __name__ == "__main__":
    root, name, precision, runs, seconds = sys.argv[1:]
    print(main(root, name, precision, int(runs), float(seconds)))
