"""Compares training on the device with training on the CPU, and on several devices with one.

The CPU is what the tests hold to hand-computed values and to PyTorch, so what agrees with it is
right. Float32 products of a GPU are rounded to TF32 unless the highest precision is asked for, so
both are compared: the first tells whether the programs are right, the second what is lost.

The difference is relative to how far training has moved the params. A few runs may part for good:
where two actions are worth the same, the last bit decides.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np

from research.benchmark.cases import CASES
from research.benchmark.gpu_check.processes import Found, attempt
from research.benchmark.gpu_check.rates import without_evaluation
from research.benchmark.timing import Case
from research.engine import Cadence, compile_program, make_runs, plan_chunks, start_blocks, train
from research.engine.blocks import gather_states
from research.engine.metrics import Record, value

STEPS, RUNS = 10, 4  # fewer steps of what takes long: a CPU takes part
# Precision of products -> of the way trained. With bfloat16 instead of float32, on a CPU, the quick
# cases and dqn-breakout end 0.09 apart at most; TF32 has three bits more.
TOLERANCE = {"highest": 0.01, "default": 0.2}
MOST_PARTED = 0.25  # share of the runs that may lie beyond it


class ShortTraining(NamedTuple):
    """Runs after some steps on some devices.

    Attributes:
      before, after: the params of each run, flattened to [R, P].
      loss: the first metric of each step: [steps, R].
    """

    before: np.ndarray
    after: np.ndarray
    loss: np.ndarray


def work(cases: Sequence[str], precision: str, seconds: float) -> Iterator[Found]:
    """Yields how far the device is from the CPU in each case, then several devices from one."""
    end, longest = time.monotonic() + seconds, 0.0
    for what, find in _comparisons(cases, precision):
        began = time.monotonic()
        if began + longest > end:
            yield {"skipped": f"{what}: the time is nearly over"}
            continue
        yield attempt(what, find)
        longest = max(longest, time.monotonic() - began)


def _comparisons(cases: Sequence[str], precision: str) -> Iterator[tuple[str, Callable[[], Found]]]:
    """Yields what is compared, and a function that does. Highest precision comes first: it is what
    tells right from wrong. Each training is done once."""
    trained = cache(lambda name, *on: train_on(CASES[name](precision), *on))
    devices = tuple(jax.local_devices())
    cpu = tuple(jax.local_devices(backend="cpu")[:1])

    def find(what, name, these, those, products):
        reference = trained(name, those, "highest")  # a CPU rounds to nothing lower
        return compare(what, trained(name, these, products), reference, products)

    for products in TOLERANCE:
        for name in cases:
            what = f"{name}, the device and the CPU"
            yield what, partial(find, what, name, devices[:1], cpu, products)
    for name in cases:
        what = f"{name}, {len(devices)} devices and one"
        if len(devices) == 1:
            what = f"{name}, sharded and unsharded: there is one device"
            yield what, lambda what=what: {"skipped": what}
        else:
            yield what, partial(find, what, name, devices, devices[:1], "highest")


def train_on(case: Case, devices: Sequence[Any], products: str) -> ShortTraining:
    """Trains a few runs for a few steps, with matrix products in a precision of JAX."""
    case, runs = without_evaluation(case), make_runs(case.hparams, {}, range(RUNS))
    steps = min(STEPS, case.first_steps)
    chunks = plan_chunks(steps, Cadence(1, steps, steps))
    records: list[Record] = []
    with jax.default_matmul_precision(products):
        program = compile_program(case.problem, runs, chunks, devices=devices)
        blocks = start_blocks(program, runs)
        before = _flat(gather_states(program, blocks).params)
        blocks = train(program, blocks, chunks, records.append)
    after = _flat(gather_states(program, blocks).params)
    first = next(iter(records[0].logged))
    return ShortTraining(
        before, after, np.concatenate([value(one.logged[first]) for one in records])
    )


def compare(what: str, these: ShortTraining, those: ShortTraining, products: str) -> Found:
    """Returns whether two trainings agree, and how far they are apart."""
    way = np.linalg.norm(those.after - those.before, axis=1)
    apart = np.linalg.norm(these.after - those.after, axis=1) / way
    tolerance = TOLERANCE[products]
    parted = np.mean(~(apart <= tolerance))  # also true of NaN
    known = np.isfinite(these.loss) & np.isfinite(those.loss)
    losses = np.abs(these.loss - those.loss)[known] / (1e-6 + np.abs(those.loss[known]))
    return {
        "what": what,
        "products": products,
        "right": bool(parted <= MOST_PARTED and np.isfinite(these.after).all()),
        "median_difference": _number(np.median(apart)),
        "largest_difference": _number(np.max(apart)),
        "parted_runs": float(parted),
        "tolerance": tolerance,
        "median_difference_of_losses": _number(np.median(losses)) if losses.size else None,
        "params_before_are_equal": bool(np.allclose(these.before, those.before, atol=1e-5)),
    }


def _flat(params: Any) -> np.ndarray:
    leaves = [
        np.asarray(leaf, np.float32).reshape(len(leaf), -1) for leaf in jax.tree.leaves(params)
    ]
    return np.concatenate(leaves, axis=1)


def _number(x: Any) -> float | None:
    """A number that JSON can hold; None for another."""
    return float(x) if np.isfinite(x) else None
