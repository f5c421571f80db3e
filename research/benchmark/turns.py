"""Others, and this project otherwise, in turns with what `scripts/bench` has timed of a case."""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial

import jax
from bench_peers import (
    Peer,
    describe_work,
    flax_case,
    has_package,
    peers_of,
    run_ours,
    run_peer,
    write_examples,
)

from research.benchmark.growth import Growth
from research.benchmark.record import PeerResult
from research.benchmark.timing import Case, Ready
from research.runs.session import usable_cores

TURNS = 3  # of ours and of another
APART = "one process a core"


def measure_peers(
    case: Case,
    growth: Growth,
    python: str | None,
    purejaxrl: str | None,
    seconds: float,
    say: Callable[[str], None],
) -> Iterator[PeerResult]:
    """Flax's LSTM in the same engine, this project as a process a core, and what else trains the
    same and is installed, all beside ours at its best number of runs.

    Args:
      growth: of the case.
      python: an interpreter for what is not installed beside this project.
      purejaxrl: a checkout of it.
      seconds: that each is timed for, each turn.
      say: told who is left out.
    """
    runs, steps, cores = growth.best.runs, growth.best.steps, usable_cores()
    ready = Ready(case, runs, steps, cold=False)

    def turns(name: str, how: str, their_runs: int, checked: str, rate: Callable[[], float]):
        pairs = [(median_rate(ready), rate()) for _ in range(TURNS)]
        ours, theirs = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
        words = case.name, case.precision, name, how
        return PeerResult(*words, their_runs, theirs, checked, ours, runs)

    if (other := flax_case(case)) is not None:
        flax = Ready(other, runs, steps, cold=False)
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
            for peer in peers_of(case, cores // processes, data, purejaxrl, each):
                theirs = interpreter_of(peer, python)
                if theirs is None:
                    say(f"{case.name}: {peer.name} is not installed and left out")
                    continue
                rate = partial(run_peer, theirs, peer, case, processes, seconds)
                count = processes * peer.runs
                yield turns(peer.name, how, count, describe_work(peer, case), rate)


def interpreter_of(peer: Peer, python: str | None) -> str | None:
    """One that has what it needs: this one if it can."""
    others = [sys.executable if python is None else python]
    candidates = others if peer.apart else [sys.executable, *others]
    return next((one for one in candidates if has_package(one, peer.package)), None)


def median_rate(ready: Ready) -> float:
    """Units per second, the median of three repeats."""
    return statistics.median(ready.units(ready.repeat()) for _ in range(3))
