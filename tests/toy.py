"""The toy task, small enough to compute by hand, for tests of the engine.

Each step adds `rate` and, on even steps, reports the step as an "event". The key's first draw is
kept, to see which keys a run was given.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from research.task import Mean, Problem, Task, field


@struct.dataclass
class ToyHParams:
    rate: float = field(1.0, "added every step", low=0)
    fail_at: int = field(-1, "the step at which the loss is not a number")


class ToyState(NamedTuple):
    params: Any  # {"w": float32 []}
    draw: jax.Array  # float32 [], from the last step's key


def init(shared, hparams, key):
    del hparams
    return ToyState({"w": shared["start"]}, jax.random.uniform(key))


def step(shared, hparams, state, key, t):
    del shared
    w = state.params["w"] + hparams.rate
    loss = jnp.where(t == hparams.fail_at, jnp.nan, w)
    even = (t % 2 == 0).astype(jnp.float32)
    metrics = {"loss": loss, "event": Mean(even * t.astype(jnp.float32), even)}
    return ToyState({"w": w}, jax.random.uniform(key)), metrics


def evaluate(shared, hparams, state, key):
    del shared, hparams
    return {"score": state.params["w"], "noise": jax.random.uniform(key)}


TASK = Task(init, step, evaluate, key_metric="score", work_unit="sums", work_per_step=3)


def problem(start: float = 0.0) -> Problem:
    """The problem of the toy task, whose params begin at `start`."""
    return Problem(TASK, {"start": jnp.float32(start)}, {"start": start})
