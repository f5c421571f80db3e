"""Measures throughput with more and more runs, until more runs bring no gain."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from research.benchmark.timing import SECONDS, Case, Timing, time_case
from research.runs.memory_limit import device_limit

GAIN = 1.05  # what a doubling must bring: with less, throughput is saturated
LEAST_STEPS = 4  # in a call: with fewer, the cost of the call itself is a large part
BEYOND = 2  # doublings that must bring nothing before the search ends
SATURATED = 0.9  # of the best throughput


class Limits(NamedTuple):
    """When to stop adding runs.

    Attributes:
      runs: the most runs R.
      seconds: the most that one call may take.
      factor: how many times more runs the next measurement has.
      repeats: how often each measurement is repeated.
      cached: whether making the programs is timed with a cache, too.
      first: the number of runs to begin with.
    """

    runs: int = 2**16
    seconds: float = 5.0
    factor: int = 2
    repeats: int = 10
    cached: bool = True
    first: int = 1


class Growth(NamedTuple):
    """The timings of a case with R = 1, 2, 4... runs.

    Attributes:
      case: its name.
      precision: the type of its matrix products.
      unit: the unit of work, such as env steps.
      timings: one for each R.
      stopped_by: why there are no more: "saturation", "time", "memory" or "runs".
    """

    case: str
    precision: str
    unit: str
    timings: list[Timing]
    stopped_by: str

    @property
    def best(self) -> Timing:
        """The timing with the highest throughput."""
        return max(self.timings, key=lambda timing: timing.units_per_second)

    @property
    def saturation(self) -> Timing:
        """The timing with the fewest runs that has nearly the best throughput."""
        enough = SATURATED * self.best.units_per_second
        return next(one for one in self.timings if one.units_per_second >= enough)


def measure_growth(
    case: Case, limits: Limits, say: Callable[[Timing], None] = lambda timing: None
) -> Growth:
    """Times a case with more and more runs.

    Args:
      case: what to time.
      limits: when to stop.
      say: is told of each timing.
    """
    timings: list[Timing] = []
    steps, reason = max(LEAST_STEPS, case.first_steps // limits.first), "runs"
    for runs in _numbers(limits):
        if timings:
            seconds = limits.factor * _step_seconds(timings[-1])  # that a step of the next R takes
            steps = max(LEAST_STEPS, round(SECONDS / seconds))
            if full := _why_not(timings, seconds * steps, limits):
                reason = full
                break
        timings.append(time_case(case, runs, steps, limits.repeats, limits.cached))
        say(timings[-1])
    unit = case.problem.task.work_unit
    return Growth(case.name, case.precision, unit, timings, reason)


def _why_not(timings: Sequence[Timing], call_seconds: float, limits: Limits) -> str | None:
    """Returns the reason not to try more runs, whose calls would take `call_seconds`, or None."""
    if _is_flat(timings):
        return "saturation"
    if limits.factor * timings[-1].peak_bytes > device_limit(jax.local_devices()[0]):
        return "memory"
    return "time" if call_seconds > limits.seconds else None


def _numbers(limits: Limits) -> Iterator[int]:
    numbers = (limits.first * limits.factor**power for power in itertools.count())
    return itertools.takewhile(lambda runs: runs <= limits.runs, numbers)


def _step_seconds(timing: Timing) -> float:
    return sorted(timing.repeats)[len(timing.repeats) // 2] / timing.steps


def _is_flat(timings: Sequence[Timing]) -> bool:
    """Returns whether the last doublings of the number of runs brought no gain."""
    rates = [timing.units_per_second for timing in timings]
    return len(rates) > BEYOND and max(rates[-BEYOND:]) < GAIN * max(rates[:-BEYOND])


def log_log_slopes(timings: Sequence[Timing]) -> list[float]:
    """Returns the log-log slopes of time against the number of runs, for one unit of work of each
    run: below 1, runs together are cheaper than one after the other; at 1 they cost the same."""
    runs = np.log([timing.runs for timing in timings])
    seconds = np.log([timing.runs / timing.units_per_second for timing in timings])
    return (np.diff(seconds) / np.diff(runs)).tolist()
