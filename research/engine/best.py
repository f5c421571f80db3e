"""Keeps the params of each run's best evaluation, on the devices, beside those it trains.

R below is the number of runs that one device advances in lockstep.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from research.engine.chunk import NEVER
from research.task import Mean, State, Task


class Best(NamedTuple):
    """The best evaluation of each run so far.

    Attributes:
      params: the params that were evaluated, every leaf [R, ...]; before the first evaluation,
        those that training began with.
      score: float32 [R], the key metric there, negated where lower is better; -inf before.
      step: int32 [R], the steps that had been taken; 0 before.
    """

    params: Any
    score: jax.Array
    step: jax.Array


class Kept(NamedTuple):
    """States of runs, and the best evaluations of them: what a checkpoint then holds."""

    states: State
    best: Best


def start_best(states: State, diverged: jax.Array) -> Best:
    """Returns what is kept of R runs before their first evaluation."""
    params = jax.tree.map(jnp.copy, states.params)  # the states are overwritten, these are not
    score = jnp.full(diverged.shape, -jnp.inf, jnp.float32)
    return Best(params, score, jnp.zeros(diverged.shape, jnp.int32))


def keep_best(
    task: Task, best: Best, params: Any, key_metric: Mean, diverged: jax.Array, t: jax.Array
) -> Best:
    """Returns what is kept of R runs after an evaluation at step `t`: of equal ones the first, and
    nothing of a run that has diverged.

    Args:
      task: of the runs.
      best: before.
      params: that were evaluated.
      key_metric: of the evaluation, with fields [R].
      diverged: int32 [R], the status of the runs.
      t: int32 [].
    """
    sign = 1.0 if task.higher_is_better else -1.0
    weight = key_metric.weight
    score = sign * key_metric.total / jnp.where(weight == 0, 1.0, weight)
    better = (weight != 0) & (diverged == NEVER) & (score > best.score)

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(better.reshape(better.shape + (1,) * (new.ndim - 1)), new, old)

    chosen = jax.tree.map(choose, params, best.params)
    return Best(chosen, choose(score, best.score), choose(jnp.full_like(best.step, t), best.step))
