"""Fixtures for the benchmark: a task that is one matrix product, and made-up timings."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import struct

from research.benchmark.ceilings import Ceilings
from research.benchmark.growth import Growth
from research.benchmark.record import BaselineResult, Benchmark
from research.benchmark.target import Reached
from research.benchmark.timing import Case, Making, Timing
from research.task import Problem, Task, field

SIZE = 32


@struct.dataclass
class HParams:
    rate: float = field(0.5, "of the step")


class State(NamedTuple):
    params: Any  # float32 [SIZE, SIZE]
    opt_state: Any  # float32 [SIZE]


def init(shared, hparams, key):
    return State(jax.random.normal(key, (SIZE, SIZE)), jnp.zeros(SIZE))


def step(shared, hparams, state, key, t):
    params = hparams.rate * jnp.matmul(state.params, shared)
    return State(params, state.opt_state), {"size": jnp.mean(params)}


def evaluate(shared, hparams, state, key):
    return {"score": 1 - jnp.mean(jnp.abs(state.params))}


TASK = Task(init, step, evaluate, key_metric="score", higher_is_better=True,
            work_unit="rows", work_per_step=SIZE)  # fmt: skip


@pytest.fixture
def case():
    return make_case()


def make_case():
    """Halves its params at each step, in a rotated basis."""
    problem = Problem(TASK, jnp.eye(SIZE)[::-1].copy())
    return Case("product", "float32", problem, HParams(), first_steps=5)


def timing(runs, rate, **changes):
    """The timing of some runs at `rate` units per second."""
    spread = {"units_per_second": rate, "low": 0.9 * rate, "high": 1.1 * rate}
    made = Timing(
        runs=runs, lanes=runs, blocks=1, making=Making(0.1, 0.2, 3.0, 1.0), first_call=0.5,
        steps=100, repeats=[0.1, 0.1, 0.1], flops_per_unit=1e6, bytes_per_unit=1e3,
        peak_bytes=1_000 * runs, **spread,
    )  # fmt: skip
    return made._replace(**changes)


@pytest.fixture
def benchmark():
    """A benchmark whose throughput doubles up to 4 runs, and stays there."""
    rates = {1: 1e3, 2: 2e3, 4: 4e3, 8: 4.1e3, 16: 4e3}
    timings = [timing(runs, rate) for runs, rate in rates.items()]
    machine = {
        "started": "2026-01-02T03:04:05+00:00",
        "device": {"platform": "cpu", "processor": "EPYC", "kind": "cpu", "count": 2, "cores": 2},
        "versions": {"jax": "0.10.2"},
    }
    return Benchmark(
        machine,
        Ceilings({"float32": 1e10, "bfloat16": 2e10}, 1e8),
        [Growth("product", "float32", "rows", timings, "saturation")],
        [Reached("toy", "score", 0.9, 4, 1.5, 2.0, 640, "rows", 0.95)],
        [BaselineResult("product", "float32", "other", "all threads", 1, 2e3, "same", 4.1e3, 8)],
    )
