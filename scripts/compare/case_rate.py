"""Units of work a second of a case of `scripts/bench`, for `variants.py` to call.

    python case_rate.py ROOT CASE PRECISION RUNS

ROOT is the checkout whose code is timed. Prints the median of the repeats.
"""

import statistics
import sys

REPEATS = 7


def main(root: str, name: str, precision: str, runs: int) -> float:
    """Compiles, warms up, times."""
    sys.path[:0] = [root, f"{root}/experiments"]
    from research.benchmark.growth import LEAST_STEPS
    from research.benchmark.timing import SECONDS, Ready
    from research.sweep.machine import configure_jax

    configure_jax()
    from bench_cases import CASES  # pyright: ignore[reportMissingImports]

    case = CASES[name](precision)
    probe = Ready(case, runs, LEAST_STEPS, cold=False)
    steps = max(LEAST_STEPS, round(SECONDS * probe.steps / probe.repeat()))
    ready = Ready(case, runs, steps, cold=False)
    return statistics.median(ready.units(ready.repeat()) for _ in range(REPEATS))


if __name__ == "__main__":
    root, name, precision, runs = sys.argv[1:]
    print(main(root, name, precision, int(runs)))
