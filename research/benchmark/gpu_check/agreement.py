"""Compares training on the device with training on the CPU, and on several devices with one.

The CPU is what the tests hold to hand-computed values and to PyTorch, so what agrees with it is
right. Float32 products of a GPU are rounded to TF32 unless the highest precision is asked for, so
both are compared: the first tells whether the programs are right, the second what is lost.

The difference is relative to how far training has moved the params. A few runs may part for good:
where two actions are worth the same, the last bit decides.
"""

import time
from collections.abc import Callable, Iterator, Sequence
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

STEPS, RUNS = 10, 8
TOLERANCE = {"highest": 0.02, "default": 0.5}  # precision of products -> of the way trained
MOST_PARTED = 0.25  # share of the runs that may lie beyond it


class Trained(NamedTuple):
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
    for what, compare in _comparisons(cases, precision):
        began = time.monotonic()
        if began + longest > end:
            yield {"skipped": f"{what}: it takes {longest:.0f} s"}
            continue
        yield attempt(what, compare)
        longest = max(longest, time.monotonic() - began)


def _comparisons(cases: Sequence[str], precision: str) -> Iterator[tuple[str, Callable[[], Found]]]:
    """The highest precision of every case comes first: it is what tells right from wrong."""
    for products in TOLERANCE:
        for name in cases:
            what = f"{name} on the device and on the CPU, products in {products} precision"
            yield what, lambda name=name, p=products: with_cpu(CASES[name](precision), p)
    for name in cases:
        yield (
            f"{name} on several devices and on one",
            lambda name=name: sharded(CASES[name](precision)),
        )


def with_cpu(case: Case, products: str) -> Found:
    """Returns how far the first device is from the CPU."""
    with jax.default_matmul_precision(products):
        device = train_on(case, jax.local_devices()[:1])
        cpu = train_on(case, jax.local_devices(backend="cpu")[:1])
    return compare(f"{case.name}: device and CPU", device, cpu, products)


def sharded(case: Case) -> Found:
    """Returns how far all devices are from the first one."""
    devices = jax.local_devices()
    if len(devices) == 1:
        return {"skipped": f"{case.name}, sharded and unsharded: there is one device"}
    with jax.default_matmul_precision("highest"):
        several, one = train_on(case, devices), train_on(case, devices[:1])
    return compare(f"{case.name}: {len(devices)} devices and one", several, one, "highest")


def train_on(case: Case, devices: Sequence[Any]) -> Trained:
    """Trains a few runs for a few steps."""
    case, runs = without_evaluation(case), make_runs(case.hparams, {}, range(RUNS))
    chunks = plan_chunks(STEPS, Cadence(1, STEPS, STEPS))
    program = compile_program(case.problem, runs, chunks, devices=devices)
    blocks = start_blocks(program, runs)
    before = _flat(gather_states(program, blocks).params)
    records: list[Record] = []
    blocks = train(program, blocks, chunks, records.append)
    after = _flat(gather_states(program, blocks).params)
    first = next(iter(records[0].logged))
    return Trained(before, after, np.concatenate([value(one.logged[first]) for one in records]))


def compare(what: str, these: Trained, those: Trained, products: str) -> Found:
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
    leaves = [np.float64(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(params)]
    return np.concatenate(leaves, axis=1)


def _number(x: Any) -> float | None:
    """A number that JSON can hold; None for another."""
    return float(x) if np.isfinite(x) else None
