"""The loop over steps as an accelerator wants it, where every small kernel costs microseconds.

What steps draw at random is drawn for many of them at once. On a GPU, small arrays of the carry are
kept in one array besides, whose update is one kernel; a TPU would re-lay it in every step.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from research.task import SplitStep

AHEAD_BYTES = 2**23  # that may be drawn ahead
LEAST_ON_TPUS = 50  # steps ahead: a TPU that needs more bytes for them is quicker one by one
_WORDS = (jnp.bool_, jnp.uint8, jnp.int32, jnp.uint32, jnp.float32)  # types that fit uint32


class Ahead(NamedTuple):
    """How a platform draws ahead.

    Attributes:
      packed: the fields of the states that are kept in one array, with all single numbers; None if
        nothing is.
      least: for how many steps at once, or it is not worth it.
    """

    packed: Sequence[str] | None
    least: int


def ahead_on(platform: str, step: Any) -> Ahead | None:
    """How the steps of a task are drawn ahead on a platform; None if one by one."""
    if platform == "cpu" or not isinstance(step, SplitStep):
        return None
    return Ahead(None, LEAST_ON_TPUS) if platform == "tpu" else Ahead(step.packed, 1)


def in_few_kernels(
    one_step: Callable[..., Any],
    draw_all: Callable[..., Any],
    fields: Sequence[str] | None,
    first: int,
    carry: tuple[Any, ...],
    ts: jax.Array,
    at_once: int,
) -> tuple[Any, ...]:
    """The carry after steps `ts`.

    Args:
      one_step: `(carry, t, drawn) -> carry`.
      draw_all: `steps int32 [K] -> drawn`, leaves [K, ...].
      fields: of the states, the arrays of which are kept in one, as in `Packing`.
      first: the first axis of these arrays that is not of runs: 1, or 0 in a lone run.
      carry: begins with the states.
      ts: int32 [T].
      at_once: for how many steps to draw at once, from `steps_ahead`.
    """
    packing = Packing(carry, fields, first)

    def step(packed, now):
        return packing.pack(one_step(packing.unpack(packed), *now)), None

    def block(packed, ts):
        return lax.scan(step, packed, (ts, draw_all(ts)))

    blocks = ts.reshape(-1, at_once)
    return packing.unpack(lax.scan(block, packing.pack(carry), blocks)[0])


def steps_ahead(draw_all: Callable[..., Any], steps: int) -> int:
    """For how many of so many steps to draw at once: a divisor of them."""
    drawn = jax.eval_shape(draw_all, jax.ShapeDtypeStruct((1,), np.int32))
    each = sum(_bytes(leaf) for leaf in jax.tree.leaves(drawn))
    most = max(1, min(steps, AHEAD_BYTES // max(1, each)))
    return max(some for some in range(1, most + 1) if steps % some == 0)


def _bytes(leaf: Any) -> int:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return leaf.size * (8 if is_key else leaf.dtype.itemsize)


class Packed(NamedTuple):
    """A tree of which some leaves are joined in one array.

    Attributes:
      words: uint32 [R, W], the bits of the packed leaves; None if there are none.
      rest: the other leaves.
    """

    words: Any
    rest: list[jax.Array]


class Packing:
    """How a carry is packed: the leaves of some fields of the states, and all single numbers.

    Args:
      like: the carry, or its shapes: leaves [R, ...], or without the axis R.
      fields: of `like[0]`, the states; None if nothing is packed.
      first: the axis after R: 1 or 0.
    """

    def __init__(self, like: Any, fields: Sequence[str] | None, first: int):
        with_paths, self._treedef = jax.tree.flatten_with_path(like)
        self._shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for _, leaf in with_paths]
        self._first = first
        names = {f"[0].{name}" for name in fields or ()}
        self._packed = [
            fields is not None
            and leaf.dtype in _WORDS
            and (leaf.ndim == first or jax.tree_util.keystr(path[:2]) in names)
            for path, leaf in with_paths
        ]

    def pack(self, tree: Any) -> Packed:
        """The packed form of a tree like the first."""
        small, rest = [], []
        for leaf, packed in zip(jax.tree.leaves(tree), self._packed, strict=True):
            (small if packed else rest).append(leaf)
        words = [_as_words(leaf).reshape(*leaf.shape[: self._first], -1) for leaf in small]
        return Packed(jnp.concatenate(words, axis=self._first) if words else None, rest)

    def unpack(self, tree: Packed) -> Any:
        """The tree that `pack` was given."""
        leaves, rest, at = [], iter(tree.rest), 0
        for leaf, packed in zip(self._shapes, self._packed, strict=True):
            if packed:
                begin, at = at, at + math.prod(leaf.shape[self._first :])
                words = lax.slice_in_dim(tree.words, begin, at, axis=self._first)
                leaves.append(_from_words(words, leaf.dtype).reshape(leaf.shape))
            else:
                leaves.append(next(rest))
        return jax.tree.unflatten(self._treedef, leaves)


def _as_words(leaf: jax.Array) -> jax.Array:
    if leaf.dtype in (jnp.bool_, jnp.uint8):
        return leaf.astype(jnp.uint32)
    return lax.bitcast_convert_type(leaf, jnp.uint32)


def _from_words(words: jax.Array, dtype: Any) -> jax.Array:
    if dtype in (jnp.bool_, jnp.uint8):
        return words.astype(dtype)
    return lax.bitcast_convert_type(words, dtype)
