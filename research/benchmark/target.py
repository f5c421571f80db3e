"""Measures how long a sweep takes to reach a score, as MLPerf does: code that is fast in units of
work per second and learns nothing never gets there."""

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
    """A sweep, and the score that it must reach.

    Attributes:
      name: what it is called in tables.
      problem: task and data.
      hparams: the hyper-parameters of every run.
      runs: how many runs, each with a seed of its own.
      steps: the most steps that it may take.
      cadence: when to evaluate.
      goal: what the median of the runs' key metric must reach.
    """

    name: str
    problem: Problem
    hparams: HParams
    runs: int
    steps: int
    cadence: Cadence
    goal: float


class Reached(NamedTuple):
    """Whether, and after how long, a sweep reached its goal.

    Attributes:
      name: the target's name.
      metric, goal: the key metric, and what its median had to reach.
      runs: how many runs.
      compile_seconds: how long tracing and compiling took.
      seconds: how long training took, evaluations included; None if the goal was not reached.
      units: units of work that one run had done by then.
      unit: the unit of work.
      median: the median at the last evaluation.
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
    """Raised when the goal is reached."""


def time_to_target(target: Target) -> Reached:
    """Trains until the median of the runs reaches the goal, and returns how long that took."""
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
