"""Replay of one run, made for `vmap` over runs.

Shape letters: S slots, K rows a step, N environments, B batch, n steps of a return.

A ring of S transitions: slot = row * N + environment. Where a step writes follows from the engine's
step counter, which all runs share, so the write is one contiguous slice for all of them. Sampling
reads B x n slots, whatever S is. Observations lie there once, in their smallest exact type: bits if
they are bool. The successor of a slot is the slot N further on (see `acting`).
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax, vmap

from research.dqn.acting import HELD, Row
from research.dqn.environments import Environment
from research.dqn.targets import n_step_return


class Replay(NamedTuple):
    """A ring of transitions.

    Attributes:
      observations: uint8 [S, bytes] if they are bool, else [S, ...] in their own type.
      actions: uint8 [S], or int32 where there are more than 256 actions.
      rewards: float32 [S].
      ends: uint8 [S], how the step ended (see `acting`).
    """

    observations: jax.Array
    actions: jax.Array
    rewards: jax.Array
    ends: jax.Array


class Batch(NamedTuple):
    """B transitions over n steps, or fewer where an episode ends.

    Attributes:
      observation_tm1: [B, ...].
      a_tm1: int32 [B].
      r_t: float32 [B], the return of the steps.
      discount_t: float32 [B], what the successor's value is multiplied with; 0 at a termination.
      observation_t: [B, ...].
      valid: float32 [B], 0 where the environment was held and there is no transition, else 1.
    """

    observation_tm1: jax.Array
    a_tm1: jax.Array
    r_t: jax.Array
    discount_t: jax.Array
    observation_t: jax.Array
    valid: jax.Array


def empty_replay(env: Environment, slots: int) -> Replay:
    """A ring of zeros."""
    like = pack(jax.ShapeDtypeStruct((1, *env.observation_shape), env.observation_dtype))
    return Replay(
        observations=jnp.zeros((slots, *like.shape[1:]), like.dtype),
        actions=jnp.zeros(slots, jnp.uint8 if env.num_actions <= 256 else jnp.int32),
        rewards=jnp.zeros(slots, jnp.float32),
        ends=jnp.zeros(slots, jnp.uint8),
    )


def write(replay: Replay, rows: Row, at: jax.Array) -> Replay:
    """Puts rows [K, N, ...] into the K * N slots from `at` on, which must not wrap around."""
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rows)
    new = Replay(
        pack(flat.observation), flat.action.astype(replay.actions.dtype), flat.reward, flat.end
    )
    put = lambda old, part: lax.dynamic_update_slice_in_dim(old, part, at, axis=0)
    return jax.tree.map(put, replay, new)


def uniform_slots(
    key: jax.Array, batch: int, slots: int, n_envs: int, written: Any, n: int
) -> jax.Array:
    """B slots, each equally likely, that hold a transition of n steps: int32 [B].

    The newest n rows do not: their successor is not there yet.

    Args:
      key: typed.
      batch: B.
      slots: S, a multiple of N.
      n_envs: N.
      written: int32 [], the rows written since the beginning, more than n.
      n: steps.
    """
    rows = slots // n_envs
    kept = jnp.minimum(written, rows)
    oldest = (written - kept) % rows
    # The remainder favours some slots by S / 2**32 at most; `randint` takes three such draws.
    draw = jax.random.bits(key, (batch,), jnp.uint32) % ((kept - n) * n_envs).astype(jnp.uint32)
    return (oldest * n_envs + draw.astype(jnp.int32)) % slots


def read(
    env: Environment, replay: Replay, slots_B: jax.Array, n_envs: int, n: int, gamma: Any
) -> Batch:
    """The transitions of n steps that begin at these slots."""
    slots = len(replay.rewards)
    ahead_Bxn = (slots_B[:, None] + n_envs * jnp.arange(n, dtype=jnp.int32)[None, :]) % slots
    end_Bxn = _take(replay.ends, ahead_Bxn)
    returns = vmap(n_step_return, (0, 0, None))(_take(replay.rewards, ahead_Bxn), end_Bxn, gamma)
    successor_B = (slots_B + n_envs * returns.steps) % slots
    look = lambda slot: unpack(_take(replay.observations, slot), env)
    return Batch(
        observation_tm1=look(slots_B),
        a_tm1=_take(replay.actions, slots_B).astype(jnp.int32),
        r_t=returns.r_t,
        discount_t=returns.discount_t,
        observation_t=look(successor_B),
        valid=(end_Bxn[:, 0] != HELD).astype(jnp.float32),
    )


def pack(observation: Any) -> Any:
    """bool [B, ...] to uint8 [B, bytes], eight to a byte; other types as they are.

    A `jax.ShapeDtypeStruct` gives that of the result.
    """
    if observation.dtype != jnp.bool_:
        return observation
    if isinstance(observation, jax.ShapeDtypeStruct):
        return jax.eval_shape(pack, observation)
    return jnp.packbits(observation.reshape(len(observation), -1), axis=-1)


def unpack(packed: jax.Array, env: Environment) -> jax.Array:
    """Undoes `pack` of this environment's observations."""
    if env.observation_dtype != jnp.bool_:
        return packed
    bits = jnp.unpackbits(packed, axis=-1, count=math.prod(env.observation_shape))
    return bits.astype(bool).reshape(len(packed), *env.observation_shape)


def _take(leaf: jax.Array, slots: jax.Array) -> jax.Array:
    # Numbers as rows of one. A gather of numbers, XLA fuses with the write before it, and has to
    # copy the whole ring at every step of a lone run.
    rows = leaf.reshape(len(leaf), -1).at[slots].get(mode="promise_in_bounds")
    return rows.reshape(*slots.shape, *leaf.shape[1:])
