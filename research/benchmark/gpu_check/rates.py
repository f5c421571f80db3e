"""Times training and evaluation of cases at given numbers of runs: a worker of several parts."""

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from research.accelerators.launches import Launches, count_launches
from research.benchmark.cases import CASES
from research.benchmark.gpu_check import rejax
from research.benchmark.gpu_check.plan import Point
from research.benchmark.gpu_check.processes import Found, failure
from research.benchmark.timing import Case, Ready, make_program, time_ready
from research.engine import make_runs
from research.engine.memory import byte_count, is_out_of_memory
from research.engine.one_run import trace_one_run
from research.plain_text import count_of, human
from research.runs.memory_limit import device_limit
from research.runs.session import usable_cores

LEAST_STEPS = 4  # in a call
MOST_AT_ONCE, CORES_EACH = 4, 4  # programs that are compiled at once, and cores for each


class _Prepared(NamedTuple):
    """A point whose programs are being compiled."""

    label: str
    name: str
    case: Case
    runs: int
    what: str
    compiled: "Future[float]"


def work(points: Sequence[Point], repeats: int, seconds: float) -> Iterator[Found]:
    """Yields the timing of each point, or why it is left out.

    A few are compiled at once, which takes most of the time, and then timed one after the other.

    Args:
      points: what to time, in this order.
      repeats: how often each is repeated.
      seconds: for all; a point is begun while as much is left as the last of its case took.
    """
    timer = _Timer(repeats, time.monotonic() + seconds)
    at_once = max(1, min(MOST_AT_ONCE, usable_cores() // CORES_EACH))
    with ThreadPoolExecutor(at_once) as pool:
        for first in range(0, len(points), at_once):
            batch = []
            for point in points[first : first + at_once]:
                prepared = timer.prepare(point, pool)
                if isinstance(prepared, _Prepared):
                    batch.append(prepared)
                else:
                    yield prepared
            yield from timer.time(batch)


class _Timer:
    """Times points until a moment; knows how long cases took and how much memory they needed."""

    def __init__(self, repeats: int, end: float):
        self._repeats, self._end = repeats, end
        self._took: dict[str, float] = {}
        self._bytes: dict[str, float] = {}  # of a run

    def prepare(self, point: Point, pool: ThreadPoolExecutor) -> _Prepared | Found:
        """Begins to compile a point, or returns why it is left out."""
        name, precision, runs, what = point
        label = f"{name}, {precision}, {count_of(runs, 'run')}, {what}"
        usual = statistics.median(self._took.values()) if self._took else 0.0
        left, expected = self._end - time.monotonic(), self._took.get(name, usual)
        if expected > left:
            return {"skipped": f"{label}: it takes {expected:.0f} s, and {left:.0f} are left"}
        case = case_of(name, precision)
        if full := _too_large(case, runs, self._bytes.get(name, 0)):
            return {"skipped": f"{label}: {full}"}
        case = case if what == "evaluation" else without_evaluation(case)
        return _Prepared(label, name, case, runs, what, pool.submit(_compile, case, runs))

    def time(self, batch: Sequence[_Prepared]) -> Iterator[Found]:
        """Yields the timings of points, once all are compiled. Where one takes half of what is
        left, the others are timed meanwhile, and say beside how many."""
        wait([one.compiled for one in batch], max(0.0, self._end - time.monotonic()) / 2)
        for one in sorted(batch, key=lambda one: not one.compiled.done()):
            compiling = one.compiled.result()
            began = time.monotonic()
            beside = sum(not other.compiled.done() for other in batch)
            found = time_point(one.case, one.runs, one.what, self._repeats, one.label)
            if "peak_bytes" in found:
                self._bytes[one.name] = found["peak_bytes"] / one.runs
            self._took[one.name] = compiling + time.monotonic() - began
            yield found | {"compile_seconds": compiling, "compiled_beside": beside}


def _compile(case: Case, runs: int) -> float:
    """Compiles the programs of a point, which JAX keeps, and returns how long that took. Where it
    fails, it fails again when the point is timed."""
    began = time.monotonic()
    with contextlib.suppress(Exception):
        make_program(case, runs, steps_of(case))
    return time.monotonic() - began


def steps_of(case: Case) -> int:
    """Returns the steps of a call."""
    return max(LEAST_STEPS, case.first_steps)


def case_of(name: str, precision: str) -> Case:
    """Returns a case of the benchmark, or the DQN of rejax's chart."""
    return rejax.make_case(precision) if name == rejax.NAME else CASES[name](precision)


def without_evaluation(case: Case) -> Case:
    """Returns the case with an evaluation that computes nothing, so that it compiles sooner."""
    task = case.problem.task
    none = lambda shared, hparams, state, key: {task.key_metric: jnp.float32(0)}
    problem = case.problem._replace(task=task._replace(evaluate=none))
    return case._replace(problem=problem)


def time_point(case: Case, runs: int, what: str, repeats: int, label: str) -> Found:
    """Returns how fast so many runs train, or how long evaluating them takes; or the failure."""
    measure = _evaluation if what == "evaluation" else _training
    known = {"case": case.name, "precision": case.precision, "runs": runs, "what": what}
    try:
        return known | measure(case, runs, repeats)
    except Exception as error:
        if is_out_of_memory(error):
            return {"skipped": f"{label}: the device ran out of memory"}
        return failure(label, error)


def _training(case: Case, runs: int, repeats: int) -> Found:
    steps = steps_of(case)
    ready = Ready(case, runs, steps, cold=False)
    timing = time_ready(ready, repeats)
    launches = _launches(next(iter(ready.program.train.values())))
    work, blocks = case.problem.task.work_per_step, timing.blocks
    return {
        "unit": case.problem.task.work_unit,
        "units_per_second": timing.units_per_second,
        "low": timing.low,
        "high": timing.high,
        "seconds_per_step": runs * work / timing.units_per_second,
        "first_call_seconds": timing.first_call,
        "steps_in_a_call": steps,
        "kernels": launches and blocks * launches.kernels / steps,
        "copies": launches and blocks * launches.copies / steps,
        "waits": launches and launches.waits,
        "flops_per_step": runs * work * (timing.flops_per_unit or 0),
        "bytes_per_step": runs * work * timing.bytes_per_unit,
        "peak_bytes": timing.peak_bytes,
        "blocks": blocks,
    }


def _evaluation(case: Case, runs: int, repeats: int) -> Found:
    ready = Ready(case, runs, steps_of(case), cold=False, one_call=True)
    launches = _launches(ready.program.evaluate)
    return {
        "first_call_seconds": ready.evaluate(),
        "evaluation_seconds": statistics.median(ready.evaluate() for _ in range(repeats)),
        "waits": launches and launches.waits,
        "peak_bytes": ready.program.cost.peak_bytes,
    }


def _launches(program: Any) -> Launches | None:
    """What a program launches; None if its text is not known, as some backends do not keep it."""
    try:
        return count_launches(program.as_text())
    except Exception:
        return None


def _too_large(case: Case, runs: int, bytes_per_run: float) -> str:
    """Returns why so many runs do not fit the device, or nothing: by their states alone, and by
    what the program of another number of runs needed."""
    device = jax.local_devices()[0]
    one = trace_one_run(case.problem, make_runs(case.hparams, {}, range(1)))
    need = runs * max(byte_count(one.state), bytes_per_run)
    shares = jax.local_device_count()
    if need / shares <= (limit := device_limit(device)):
        return ""
    return f"it needs {human(need / shares)}B of a device, and {human(limit)}B can be used"
