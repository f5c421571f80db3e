"""A sum tree of fan-out 16 over the slots of a replay, to sample them by priority.

Shape letters: S slots, B batch, F fan-out.

Sixteen neighbours share a cache line and a sum, so 100,000 slots are five levels deep, not
seventeen, and every level costs one short read for each sample. A sum is always taken anew from the
numbers below it, never corrected by a difference: it cannot drift.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

FAN_OUT = 16


class SumTree(NamedTuple):
    """Sums of non-negative numbers.

    Attributes:
      levels: float32 [nodes, F] each, the first holding the S numbers themselves, padded with
        zeros; entry [i, j] of a level is the sum of row 16 i + j of the level before. The last
        level has one row.
    """

    levels: tuple[jax.Array, ...]

    @property
    def total(self) -> jax.Array:
        """float32 [], the sum of all."""
        return jnp.sum(self.levels[-1])


def build(values: jax.Array) -> SumTree:
    """A tree over float32 [S]."""
    levels = []
    while True:
        padding = -len(values) % FAN_OUT
        levels.append(jnp.pad(values, (0, padding)).reshape(-1, FAN_OUT))
        if len(levels[-1]) == 1:
            return SumTree(tuple(levels))
        values = jnp.sum(levels[-1], axis=1)


def get(tree: SumTree, slots_B: jax.Array) -> jax.Array:
    """The numbers at these slots: float32 [B]."""
    node, place = jnp.divmod(slots_B, FAN_OUT)
    return tree.levels[0].at[node, place].get(mode="promise_in_bounds")


def put(tree: SumTree, slots_B: jax.Array, values_B: jax.Array) -> SumTree:
    """The tree with other numbers at these slots. A slot named twice must be given one number."""
    levels = []
    for level in tree.levels:
        node, place = jnp.divmod(slots_B, FAN_OUT)
        new = level.at[node, place].set(values_B, mode="promise_in_bounds")
        levels.append(new)
        slots_B = node
        values_B = jnp.sum(_rows(new, node), axis=1)
    return SumTree(tuple(levels))


def draw(tree: SumTree, uniform_B: jax.Array) -> jax.Array:
    """B slots with probability proportional to their numbers: int32 [B].

    Schaul et al. (2016), appendix B.2.1: one from each of B equal parts of the total, which lowers
    the variance and changes no probability. A slot whose number is 0 is never drawn, however sums
    may round, unless all are 0.

    Args:
      tree: over S slots.
      uniform_B: float32, random in [0, 1).
    """
    batch = len(uniform_B)
    part = (jnp.arange(batch, dtype=jnp.float32) + uniform_B) / batch
    rest_B = part * tree.total
    node_B = jnp.zeros(batch, jnp.int32)
    place_1xF = jnp.arange(FAN_OUT, dtype=jnp.int32)[None, :]
    for level in reversed(tree.levels):
        children_BxF = _rows(level, node_B)
        until_BxF = jnp.cumsum(children_BxF, axis=1)
        place = jnp.sum(until_BxF <= rest_B[:, None], axis=1, dtype=jnp.int32)
        last_positive = jnp.max(jnp.where(children_BxF > 0, place_1xF, 0), axis=1)
        place = jnp.minimum(place, last_positive)
        before = jnp.where(place_1xF < place[:, None], children_BxF, 0)
        rest_B = rest_B - jnp.sum(before, axis=1)
        node_B = node_B * FAN_OUT + place
    return node_B


def _rows(level: jax.Array, nodes_B: jax.Array) -> jax.Array:
    return level.at[nodes_B].get(mode="promise_in_bounds")
