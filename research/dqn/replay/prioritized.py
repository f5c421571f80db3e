"""Proportional prioritized replay (Schaul et al., 2016).

Shape letters: B batch, K rows a step, N environments.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from research.dqn.replay import sum_tree
from research.dqn.replay.ring import Replay, end_of
from research.dqn.replay.sum_tree import SumTree
from research.dqn.replay.uniform import ReplaySampler
from research.dqn.rollout import PADDING, linear_schedule

PRIORITY_FLOOR = 1e-6  # epsilon of Schaul et al.: every transition keeps a chance


class Priorities(NamedTuple):
    """The priority of every slot of the ring.

    Attributes:
      tree: over priority**alpha of every slot; 0 where no transition can begin.
      largest: float32 [], the largest so far, which new transitions get.
    """

    tree: SumTree
    largest: jax.Array


def init(config: Any, replay: Replay) -> Priorities:
    """Equal priorities for all transitions of the warm-up."""
    rows = config.buffer_size // config.num_envs
    row = jnp.arange(config.buffer_size, dtype=jnp.int32) // config.num_envs
    age = (config.warmup_rows - 1 - row) % rows  # 0 is the newest
    begins = (age >= config.n_step) & (age < config.warmup_rows) & (end_of(replay.moves) != PADDING)
    return Priorities(sum_tree.build(begins.astype(jnp.float32)), jnp.float32(1))


def write(config: Any, replay: Replay, priorities: Priorities, row: jax.Array) -> Priorities:
    """Priorities after the rows from `row` on were written.

    The transitions of these rows are complete only n rows later; those of n rows ago now are.
    """
    n, rows = config.n_step, config.buffer_size // config.num_envs
    ages = jnp.arange(-n, config.rows_per_step, dtype=jnp.int32)
    slots = _slots_of_rows(config, (row + ages) % rows)
    complete = jnp.repeat(ages < config.rows_per_step - n, config.num_envs)
    begins = complete & (end_of(replay.moves[slots]) != PADDING)
    new = jnp.where(begins, priorities.largest, 0)
    return priorities._replace(tree=sum_tree.put(priorities.tree, slots, new))


def draw(config: Any, key: jax.Array, written: jax.Array) -> jax.Array:
    """Random numbers in [0, 1), float32 [B]."""
    del written
    return jax.random.uniform(key, (config.batch_size,), jnp.float32)


def sample(
    config: Any, hparams: Any, priorities: Priorities, uniform_B: jax.Array, written: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """B slots with probability proportional to priority**alpha, and their importance weights."""
    size, n_envs, tree = config.buffer_size, config.num_envs, priorities.tree
    slots_B = sum_tree.draw(tree, uniform_B)
    count = (jnp.minimum(written, size // n_envs) - config.n_step) * n_envs
    weight_B = importance_weights(
        sum_tree.get(tree, slots_B),
        tree.total,
        count.astype(jnp.float32),
        importance_exponent_at(config, hparams, written),
    )
    return slots_B, weight_B


def update(
    hparams: Any, priorities: Priorities, slots_B: jax.Array, priority_B: jax.Array
) -> Priorities:
    """Priorities after an update, new for the transitions that it saw."""
    powered_B = jnp.power(priority_B + PRIORITY_FLOOR, hparams.priority_exponent)
    # A slot where none begins is drawn only if all are 0, and must stay 0.
    powered_B = jnp.where(sum_tree.get(priorities.tree, slots_B) > 0, powered_B, 0)
    tree = sum_tree.put(priorities.tree, slots_B, powered_B)
    return Priorities(tree, jnp.maximum(priorities.largest, jnp.max(powered_B)))


PRIORITIZED = ReplaySampler(init, write, draw, sample, update)


def importance_exponent_at(config: Any, hparams: Any, rows: Any) -> jax.Array:
    """beta after so many rows: it reaches 1 with the last (Schaul et al., 2016, section 3.4)."""
    env_step = jnp.float32(rows) * config.num_envs
    return linear_schedule(hparams.importance_exponent, 1.0, config.env_steps, env_step)


def importance_weights(priority_B: jax.Array, total: Any, count: Any, beta: Any) -> jax.Array:
    """`(1 / (N P(i)))**beta` over the largest of them (Schaul et al., 2016, section 3.4).

    Args:
      priority_B: float32 [B], the numbers of the slots drawn.
      total: float32 [], of the tree.
      count: N, how many slots could have been drawn.
      beta: float32 [].
    """
    probability_B = priority_B / jnp.maximum(total, jnp.finfo(jnp.float32).tiny)
    weight_B = jnp.power(jnp.maximum(count * probability_B, 1e-12), -beta)
    return weight_B / jnp.max(weight_B)


def _slots_of_rows(config: Any, rows_K: jax.Array) -> jax.Array:
    """All slots of these rows of the ring, int32 [K * N]."""
    envs_1xN = jnp.arange(config.num_envs, dtype=jnp.int32)[None, :]
    slots_KxN = rows_K[:, None] * config.num_envs + envs_1xN
    return slots_KxN.reshape(-1)
