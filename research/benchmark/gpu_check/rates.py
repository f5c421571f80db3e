"""Times training and evaluation of cases at given numbers of runs: a worker of several parts."""

import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from research.accelerators.launches import Launches, count_launches
from research.benchmark.cases import CASES
from research.benchmark.gpu_check import rejax
from research.benchmark.gpu_check.plan import Point
from research.benchmark.gpu_check.processes import Found, failure
from research.benchmark.timing import Case, Ready, time_ready
from research.engine import make_runs
from research.engine.memory import byte_count, is_out_of_memory
from research.engine.one_run import trace_one_run
from research.plain_text import count_of, human
from research.runs.memory_limit import device_limit

LEAST_STEPS = 4  # in a call


def work(points: Sequence[Point], repeats: int, seconds: float) -> Iterator[Found]:
    """Yields the timing of each point, or why it is left out.

    Args:
      points: what to time, in this order.
      repeats: how often each is repeated.
      seconds: for all; a point is begun while as much is left as the last of its case took.
    """
    end, took, memory = time.monotonic() + seconds, {}, {}
    for name, precision, runs, what in points:
        label = f"{name}, {precision}, {count_of(runs, 'run')}, {what}"
        began = time.monotonic()
        expected = took.get(name, statistics.median(took.values()) if took else 0.0)
        if began + expected > end:
            yield {"skipped": f"{label}: it takes {expected:.0f} s, and {end - began:.0f} are left"}
            continue
        case = case_of(name, precision)
        if full := _too_large(case, runs, memory.get(name, 0)):
            yield {"skipped": f"{label}: {full}"}
            continue
        found = time_point(case, runs, what, repeats, label)
        memory[name] = found.get("peak_bytes", 0) / runs or memory.get(name, 0)
        took[name] = time.monotonic() - began
        yield found | {"took": took[name]}


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
    steps = max(LEAST_STEPS, case.first_steps)
    ready = Ready(without_evaluation(case), runs, steps, cold=False)
    timing = time_ready(ready, repeats)
    launches = _launches(next(iter(ready.program.train.values())))
    work, blocks = case.problem.task.work_per_step, timing.blocks
    return {
        "unit": case.problem.task.work_unit,
        "units_per_second": timing.units_per_second,
        "low": timing.low,
        "high": timing.high,
        "seconds_per_step": runs * work / timing.units_per_second,
        "compile_seconds": ready.program.cost.compile_seconds,
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
    ready = Ready(case, runs, max(LEAST_STEPS, case.first_steps), cold=False, one_call=True)
    launches = _launches(ready.program.evaluate)
    return {
        "first_call_seconds": ready.evaluate(),
        "evaluation_seconds": statistics.median(ready.evaluate() for _ in range(repeats)),
        "compile_seconds": ready.program.cost.compile_seconds,
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
