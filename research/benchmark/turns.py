"""Times baselines in turn with a case, so that both meet the same state of the machine."""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

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
from research.errors import UserError
from research.runs.session import usable_cores

APART, TOGETHER = "one process a core", "all threads"


class Effort(NamedTuple):
    """How thoroughly baselines are timed.

    Attributes:
      turns: of the case and a baseline each.
      seconds: how long a baseline is timed in each turn.
      strongest: whether only the strongest baseline that is installed is timed, as one process with
        all threads beside one process of ours; otherwise all are, in every form.
    """

    turns: int = 3
    seconds: float = 4.0
    strongest: bool = False


QUICK_EFFORT = Effort(turns=1, seconds=1.0, strongest=True)


def measure_baselines(
    case: Case,
    growth: Growth,
    python: str | None,
    purejaxrl: str | None,
    effort: Effort,
    say: Callable[[str], None],
) -> Iterator[BaselineResult]:
    """Yields what baselines do beside the case at its best number of runs: flax's LSTM in the same
    engine, this project with one process a core, and every other library that is installed.

    Args:
      case: what all of them train.
      growth: the case with more and more runs, which knows the best number.
      python: an interpreter for baselines that are not installed beside this project.
      purejaxrl: a checkout of purejaxrl.
      effort: how many of them are timed, and how long.
      say: is told which baselines are left out.
    """
    if not LOOPS.is_dir():
        say(f"{case.name}: no baselines without the repository's scripts/compare")
        return
    runs, steps, cores = growth.best.runs, growth.best.steps, usable_cores()
    ready = Ready(case, runs, steps, cold=False)

    def turns(name: str, how: str, their_runs: int, checked: str, rate: Callable[[], float]):
        pairs = [(median_rate(ready), rate()) for _ in range(effort.turns)]
        ours, theirs = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
        words = case.name, case.precision, name, how
        return BaselineResult(*words, their_runs, theirs, checked, ours, runs)

    if not effort.strongest and (same_in_flax := flax_case(case)) is not None:
        flax = Ready(same_in_flax, runs, steps, cold=False)
        checked = "embedding, sizes, optimizer and windows are ours"
        yield turns("flax", "same engine", runs, checked, partial(median_rate, flax))
        del flax
    if not effort.strongest and jax.default_backend() == "cpu" and runs >= cores > 1:
        each = runs // cores
        rate = partial(run_ours, case, each, cores, effort.seconds)
        yield turns("Seedbed", APART, cores * each, "the same program", rate)
    with tempfile.TemporaryDirectory() as folder:
        data = write_examples(case, folder)
        for processes, how in forms(effort, cores):
            each = max(1, runs // processes)
            found = baselines_of(case, cores // processes, data, purejaxrl, each)
            tell = lambda text: say(f"{case.name}: {text}")
            for one, theirs in installed(found, python, processes, tell):
                rate = partial(run_baseline, theirs, one, case, processes, effort.seconds)
                count = processes * one.runs
                try:
                    result = turns(one.name, how, count, describe_work(one, case), rate)
                except UserError as error:  # an hour of other measurements is not thrown away
                    tell(f"{one.name} is left out: {error}")
                    continue
                yield result
                if effort.strongest:
                    break


def forms(effort: Effort, cores: int) -> list[tuple[int, str]]:
    """Returns in how many processes baselines are run, with a name for each."""
    return [(1, TOGETHER)] if effort.strongest else [(cores, APART), (1, TOGETHER)]


def installed(
    found: Iterable[Baseline], python: str | None, processes: int, say: Callable[[str], None]
) -> Iterator[tuple[Baseline, str]]:
    """Yields the baselines that can be run in so many processes, with an interpreter for each.

    A GPU is not shared by several processes: it is one process of ours that they are beside.
    """
    for one in found:
        if processes > 1 and one.on_gpu and jax.default_backend() != "cpu":
            continue
        interpreter = interpreter_of(one, python)
        if interpreter is None:
            say(f"{one.name} is not installed and left out")
            continue
        if one.compiler is not None and shutil.which(one.compiler) is None:
            say(f"{one.name} is slower than it could be: there is no {one.compiler}")
        yield one, interpreter


def interpreter_of(baseline: Baseline, python: str | None) -> str | None:
    """Returns an interpreter with the baseline's package, this one if it can; None if there is
    none."""
    given = [sys.executable if python is None else python]
    candidates = given if baseline.apart else [sys.executable, *given]
    return next((one for one in candidates if has_package(one, baseline.package)), None)


def median_rate(ready: Ready) -> float:
    """Returns units of work per second, the median of three repeats."""
    return statistics.median(ready.units(ready.repeat()) for _ in range(3))
