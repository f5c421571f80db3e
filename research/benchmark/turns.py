"""Times baselines in turn with a case, so that both meet the same state of the machine."""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial

import jax

from research.benchmark.baselines import (
    LOOPS,
    Baseline,
    baselines_of,
    describe_work,
    flax_case,
    has_package,
    run_baseline,
    run_ours,
    write_examples,
)
from research.benchmark.growth import Growth
from research.benchmark.record import BaselineResult
from research.benchmark.timing import Case, Ready
from research.runs.session import usable_cores

TURNS = 3  # of the case and a baseline each
APART = "one process a core"


def measure_baselines(
    case: Case,
    growth: Growth,
    python: str | None,
    purejaxrl: str | None,
    seconds: float,
    say: Callable[[str], None],
) -> Iterator[BaselineResult]:
    """Yields what baselines do beside the case at its best number of runs: flax's LSTM in the same
    engine, this project with one process a core, and every other library that is installed.

    Args:
      case: what all of them train.
      growth: the case with more and more runs, which knows the best number.
      python: an interpreter for baselines that are not installed beside this project.
      purejaxrl: a checkout of purejaxrl.
      seconds: how long a baseline is timed in each turn.
      say: is told which baselines are left out.
    """
    if not LOOPS.is_dir():
        say(f"{case.name}: no baselines without the repository's scripts/compare")
        return
    runs, steps, cores = growth.best.runs, growth.best.steps, usable_cores()
    ready = Ready(case, runs, steps, cold=False)

    def turns(name: str, how: str, their_runs: int, checked: str, rate: Callable[[], float]):
        pairs = [(median_rate(ready), rate()) for _ in range(TURNS)]
        ours, theirs = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
        words = case.name, case.precision, name, how
        return BaselineResult(*words, their_runs, theirs, checked, ours, runs)

    if (same_in_flax := flax_case(case)) is not None:
        flax = Ready(same_in_flax, runs, steps, cold=False)
        checked = "embedding, sizes, optimizer and windows are ours"
        yield turns("flax", "same engine", runs, checked, partial(median_rate, flax))
        del flax
    if jax.default_backend() == "cpu" and runs >= cores > 1:
        each = runs // cores
        rate = partial(run_ours, case, each, cores, seconds)
        yield turns("Seedbed", APART, cores * each, "the same program", rate)
    with tempfile.TemporaryDirectory() as folder:
        data = write_examples(case, folder)
        for processes, how in ((cores, APART), (1, "all threads")):
            each = max(1, runs // processes)
            for one in baselines_of(case, cores // processes, data, purejaxrl, each):
                theirs = interpreter_of(one, python)
                if theirs is None:
                    say(f"{case.name}: {one.name} is not installed and left out")
                    continue
                rate = partial(run_baseline, theirs, one, case, processes, seconds)
                count = processes * one.runs
                yield turns(one.name, how, count, describe_work(one, case), rate)


def interpreter_of(baseline: Baseline, python: str | None) -> str | None:
    """Returns an interpreter with the baseline's package, this one if it can; None if there is
    none."""
    given = [sys.executable if python is None else python]
    candidates = given if baseline.apart else [sys.executable, *given]
    return next((one for one in candidates if has_package(one, baseline.package)), None)


def median_rate(ready: Ready) -> float:
    """Returns units of work per second, the median of three repeats."""
    return statistics.median(ready.units(ready.repeat()) for _ in range(3))
