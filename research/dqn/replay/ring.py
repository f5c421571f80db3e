"""The ring of transitions of one run, made for `vmap` over runs.

Shape letters: S slots, K rows a step, N environments, B batch.

A ring of S transitions: slot = row * N + environment. Where a step writes follows from the engine's
step counter, which all runs share, so the write is one contiguous slice for all of them. Sampling
reads B x n slots, whatever S is. Observations are stored once, in their smallest exact type: bits
if they are bool. The successor of a slot is the slot N further on (see `rollout`).
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax, vmap
from jax.custom_batching import custom_vmap

from research.dqn.environments import Environment
from research.dqn.rollout import Row


class Replay(NamedTuple):
    """A ring of transitions.

    Attributes:
      observations: uint8 [S, bytes] if they are bool, else [S, ...] in their own type.
      actions: uint8 [S], or int32 where there are more than 256 actions.
      rewards: float32 [S].
      ends: uint8 [S], how the step ended (see `rollout`).
    """

    observations: jax.Array
    actions: jax.Array
    rewards: jax.Array
    ends: jax.Array


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
    return jax.tree.map(lambda old, part: _put(old, part, at), replay, new)


@custom_vmap
def _put(old: jax.Array, part: jax.Array, at: jax.Array) -> jax.Array:
    """`old` [S, ...] with `part` [K, ...] from place `at` on.

    Under `vmap` it remains one slice, at a place that all runs share; JAX would make it a scatter.
    """
    return lax.dynamic_update_slice_in_dim(old, part, at, axis=0)


@_put.def_vmap
def _put_in_runs(runs, batched, old_RxS, part_RxK, at):
    if batched != [True, True, False]:
        put = lambda *args: lax.dynamic_update_slice_in_dim(*args, axis=0)
        axes = [0 if one else None for one in batched]
        return vmap(put, axes)(old_RxS, part_RxK, at), True
    return lax.dynamic_update_slice_in_dim(old_RxS, part_RxK, at, axis=1), True


def slot_of(row: Any, slots: int, n_envs: int) -> Any:
    """The slot where a row begins, rows being counted from the beginning of the run."""
    return row % (slots // n_envs) * n_envs


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


def take(leaf: jax.Array, slots: jax.Array) -> jax.Array:
    """The entries [..., *rest] of a leaf [S, *rest] at slots int32 [...]."""
    # Numbers as rows of one. A gather of numbers, XLA fuses with the write before it, and has to
    # copy the whole ring at every step of a lone run.
    rows = leaf.reshape(len(leaf), -1).at[slots].get(mode="promise_in_bounds")
    return rows.reshape(*slots.shape, *leaf.shape[1:])
