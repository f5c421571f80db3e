"""How long a sweep takes to a quality that it is asked for, the form of MLPerf: what is fast in
units per second and learns nothing has no time."""

import statistics
import time
from typing import NamedTuple

import jax
import numpy as np

from research.engine import Cadence, compile_program, make_runs, plan_chunks, start_blocks, train
from research.engine.chunk import NEVER
from research.engine.metrics import Record, value
from research.task import HParams, Problem


class Target(NamedTuple):
    """What to reach.

    Attributes:
      name: as it is shown.
      problem: task and data.
      hparams: of every run.
      runs: one a seed.
      steps: after which it has failed.
      cadence: when to look.
      goal: of the median of the runs' key metric.
    """

    name: str
    problem: Problem
    hparams: HParams
    runs: int
    steps: int
    cadence: Cadence
    goal: float


class Reached(NamedTuple):
    """How it went.

    Attributes:
      name: of the target.
      metric, goal: what the median of the runs was to be.
      runs: how many.
      compile_seconds: tracing and compiling.
      seconds: of training, evaluations included; None if the goal was not reached.
      units: of work of one run by then.
      unit: of work.
      median: of the last evaluation.
    """

    name: str
    metric: str
    goal: float
    runs: int
    compile_seconds: float
    seconds: float | None
    units: int
    unit: str
    median: float


class _Ended(Exception):
    """The goal is reached."""


def time_to_target(target: Target) -> Reached:
    """Trains until the median of the runs reaches the goal."""
    task = target.problem.task
    all_runs = make_runs(target.hparams, {}, range(target.runs))
    chunks = plan_chunks(target.steps, target.cadence)
    began = time.perf_counter()
    program = compile_program(target.problem, all_runs, chunks)
    blocks = jax.block_until_ready(start_blocks(program, all_runs))
    compile_seconds = time.perf_counter() - began
    seen: list[tuple[float, int, float]] = []

    def look(record: Record) -> None:
        if not record.evaluated:
            return
        scores = value(record.evaluated[task.key_metric])
        scores[record.diverged < NEVER] = -np.inf if task.higher_is_better else np.inf
        median = statistics.median(scores.tolist())
        seen.append((record.seconds, record.chunk.end, median))
        if median >= target.goal if task.higher_is_better else median <= target.goal:
            raise _Ended

    reached = False
    try:
        train(program, blocks, chunks, look)
    except _Ended:
        reached = True
    seconds, step, median = seen[-1]
    return Reached(
        name=target.name,
        metric=task.key_metric,
        goal=target.goal,
        runs=target.runs,
        compile_seconds=compile_seconds,
        seconds=seconds if reached else None,
        units=task.work_after(step),
        unit=task.work_unit,
        median=float(np.float32(median)),
    )
