"""The ring of transitions of one run, made for `vmap` over runs.

Shape letters: S slots, K rows a step, N environments, B batch.

A ring of S transitions: slot = row * N + environment. Where a step writes follows from the engine's
step counter, which all runs share, so the write is one contiguous slice for all of them. Sampling
reads B x n slots, whatever S is. Observations are stored once, in their smallest exact type: bits
if they are bool. The successor of a slot is the slot N further on (see `rollout`).
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax, vmap
from jax.custom_batching import custom_vmap

from research.by_platform import by_platform
from research.dqn.environments import Environment
from research.dqn.rollout import Row


class Replay(NamedTuple):
    """A ring of transitions.

    Attributes:
      observations: uint8 [S, bytes] if they are bool, else [S, ...] in their own type.
      moves: uint8 [S], or int32 where there are more than 64 actions: four times the action and
        how the step ended (see `rollout`), in one array that is written and read as one.
      rewards: float32 [S].
    """

    observations: jax.Array
    moves: jax.Array
    rewards: jax.Array


def empty_replay(env: Environment, slots: int) -> Replay:
    """A ring of zeros."""
    like = pack(jax.ShapeDtypeStruct((1, *env.observation_shape), env.observation_dtype))
    return Replay(
        observations=jnp.zeros((slots, *like.shape[1:]), like.dtype),
        moves=jnp.zeros(slots, jnp.uint8 if env.num_actions <= 64 else jnp.int32),
        rewards=jnp.zeros(slots, jnp.float32),
    )


def write(replay: Replay, rows: Row, at: jax.Array) -> Replay:
    """Puts rows [K, N, ...] into the K * N slots from `at` on, which must not wrap around."""
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rows)
    return write_moves(write_seen(replay, flat.observation, at), flat, at)


def write_seen(replay: Replay, observation: jax.Array, at: jax.Array) -> Replay:
    """Puts the observations [N, ...] of a row into the slots from `at` on."""
    return replay._replace(observations=_put(replay.observations, pack(observation), at))


def write_moves(replay: Replay, row: Row, at: jax.Array) -> Replay:
    """Puts all but the observations of a row, [N], into the slots from `at` on."""
    moves = (4 * row.action + row.end.astype(jnp.int32)).astype(replay.moves.dtype)
    return replay._replace(
        moves=_put(replay.moves, moves, at), rewards=_put(replay.rewards, row.reward, at)
    )


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


def action_of(moves: Any) -> Any:
    """The actions in `moves` of a replay."""
    return moves >> 2


def end_of(moves: Any) -> Any:
    """How the steps ended, from `moves` of a replay."""
    return moves & 3


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
    bits_BxF = observation.reshape(len(observation), -1)
    by_bytes = lambda bits: jnp.packbits(bits, axis=-1)
    return by_platform(bits_BxF, gpu=_packed_by_shifts, other=by_bytes)


def _packed_by_shifts(bits_BxF):
    """`jnp.packbits` without a reduction, which on a GPU is a kernel of its own."""
    padded = jnp.pad(bits_BxF, ((0, 0), (0, -bits_BxF.shape[1] % 8))).astype(jnp.uint8)
    shifted = [padded[:, place::8] << (7 - place) for place in range(8)]
    return functools.reduce(jnp.bitwise_or, shifted)


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
    rows = _rows_at(leaf.reshape(len(leaf), -1), slots)
    return rows.reshape(*slots.shape, *leaf.shape[1:])


@custom_vmap
def _rows_at(rows: jax.Array, slots: jax.Array) -> jax.Array:
    """The rows of [S, W] at slots [...].

    Under `vmap` a GPU takes them from one array [R * S, W]: JAX's own way makes an array of pairs
    (run, slot) first, a kernel more.
    """
    return rows.at[slots].get(mode="promise_in_bounds")


@_rows_at.def_vmap
def _rows_at_in_runs(runs, batched, rows, slots):
    of_each = vmap(_rows_at.fun, [0 if one else None for one in batched])
    if batched != [True, True] or rows.shape[0] * rows.shape[1] > jnp.iinfo(jnp.int32).max:
        return of_each(rows, slots), True

    def of_all(rows_RxSxW, slots):
        slots_of_run = rows_RxSxW.shape[1]
        first_R = slots_of_run * jnp.arange(runs, dtype=jnp.int32)
        at = first_R.reshape(-1, *[1] * (slots.ndim - 1)) + slots
        return _rows_at.fun(rows_RxSxW.reshape(runs * slots_of_run, -1), at)

    return by_platform(rows, slots, gpu=of_all, other=of_each), True
