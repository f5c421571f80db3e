"""Transitions of n steps, read from the ring.

Shape letters: B batch, N environments, n steps of a return.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import vmap

from research.dqn.environments import Environment
from research.dqn.replay.ring import Replay, action_of, end_of, take, unpack
from research.dqn.rollout import PADDING, TERMINATED, TRUNCATED


class Batch(NamedTuple):
    """B transitions over n steps, or fewer where an episode ends.

    Attributes:
      observation_tm1: [B, ...].
      a_tm1: int32 [B].
      r_t: float32 [B], the return of the steps.
      discount_t: float32 [B], what the successor's value is multiplied with; 0 at a termination.
      observation_t: [B, ...].
      valid: float32 [B], 0 for padding after a truncation, which the loss masks out, else 1.
    """

    observation_tm1: jax.Array
    a_tm1: jax.Array
    r_t: jax.Array
    discount_t: jax.Array
    observation_t: jax.Array
    valid: jax.Array


class NStep(NamedTuple):
    """A return over the steps that one episode has left, at most n.

    Attributes:
      r_t: float32 [], the discounted sum of rewards.
      discount_t: float32 [], what the value of the bootstrap observation is multiplied with.
      steps: int32 [], how many steps after the first that observation lies.
    """

    r_t: jax.Array
    discount_t: jax.Array
    steps: jax.Array


def n_step_return(reward_n: jax.Array, end_n: jax.Array, gamma: Any) -> NStep:
    """The return of n steps, or of fewer where the episode ends among them (Sutton, 1988).

    After a termination there is no value to bootstrap from; where a time limit cut the episode
    short there is, that of its last observation.

    Args:
      reward_n: float32 [n].
      end_n: uint8 [n], how each step ended (see `rollout`).
      gamma: float32 [], of one step.
    """
    chex.assert_equal_shape([reward_n, end_n])
    r_t, discount, continues = jnp.float32(0), jnp.float32(1), jnp.bool_(True)
    steps = jnp.int32(0)
    for reward, end in zip(reward_n, end_n, strict=True):
        r_t = r_t + jnp.where(continues, discount * reward, 0)
        steps = steps + continues.astype(jnp.int32)
        ends_here = jnp.where(end == TERMINATED, 0.0, gamma)
        discount = jnp.where(continues, discount * ends_here, discount)
        continues = continues & (end != TERMINATED) & (end != TRUNCATED)
    return NStep(r_t, discount, steps)


def read(
    env: Environment, replay: Replay, slots_B: jax.Array, n_envs: int, n: int, gamma: Any
) -> Batch:
    """The transitions of n steps that begin at these slots."""
    slots = len(replay.rewards)
    ahead_Bxn = (slots_B[:, None] + n_envs * jnp.arange(n, dtype=jnp.int32)[None, :]) % slots
    moves_Bxn = take(replay.moves, ahead_Bxn)
    end_Bxn = end_of(moves_Bxn)
    returns = vmap(n_step_return, (0, 0, None))(take(replay.rewards, ahead_Bxn), end_Bxn, gamma)
    successor_B = (slots_B + n_envs * returns.steps) % slots
    look = lambda slot: unpack(take(replay.observations, slot), env)
    return Batch(
        observation_tm1=look(slots_B),
        a_tm1=action_of(moves_Bxn[:, 0]).astype(jnp.int32),
        r_t=returns.r_t,
        discount_t=returns.discount_t,
        observation_t=look(successor_B),
        valid=(end_Bxn[:, 0] != PADDING).astype(jnp.float32),
    )
