"""A random order of n examples as a function of the position, without storing or sorting one.

Each run of a sweep needs an order of its own in every epoch. To draw it by sorting costs
n log n a run and n integers of state; under `vmap` on a CPU that is most of a small net's step.
A keyed bijection costs O(batch) a step and a few words of state.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

# Over 200,000 keys, which pair of n examples stands at two neighbouring positions cannot be told
# from uniform by a chi-square test for n of 5 to 60; with sides of 4 it can at n = 16.
ROUNDS = 8
SHORTEST, LONGEST = 5, 2**16 - 1  # sides of the grid


def draw_order(key: jax.Array) -> jax.Array:
    """uint32 [ROUNDS]: an order, to be read with `at_positions`."""
    return jax.random.bits(key, (ROUNDS,))


def at_positions(order: jax.Array, positions: jax.Array, n: int) -> jax.Array:
    """Which of n examples stand at the given positions of a random order.

    A Feistel network on a grid of n cells, or of a few more, applied again where it leaves the
    first n (cycle walking): a bijection for any round function. Luby and Rackoff (1988) for the
    network, here with halves of nearly the same size; Black and Rogaway (2002), methods 2 and 3,
    for n of any size.

    Args:
      order: uint32 [ROUNDS] from `draw_order`.
      positions: integers [B], each in [0, n).
      n: how many examples, 1 to 2**31 - 1.

    Returns:
      int32 [B], each in [0, n); over all n positions every example stands exactly once.
    """
    rows, columns = _grid(n)

    def network(left, right):
        for index, round_key in enumerate(order):
            if index % 2:
                right = _moved(right, left ^ round_key, columns)
            else:
                left = _moved(left, right ^ round_key, rows)
        return left, right

    def walk(word):
        cell = _unpack(word)
        return jnp.where(outside(word), _pack(*network(*cell)), word)

    def outside(word):
        left, right = _unpack(word)
        return left * columns + right >= n

    start = positions.astype(jnp.uint32)
    # In one word, so that the compiler makes one loop of it instead of two that do the same.
    word = _pack(*network(start // columns, start % columns))
    # Also where no cell is outside: without a loop between them, the compiler makes the gather that
    # reads this compute it anew for every number of a row.
    word = lax.while_loop(lambda word: jnp.any(outside(word)), walk, word)
    left, right = _unpack(word)
    return (left * columns + right).astype(jnp.int32)


def _grid(n: int) -> tuple[int, int]:
    """Rows and columns, at least half as many of one as of the other: n cells, or as few more as
    can be, since the more there are, the oftener it has to be walked on from one."""
    root = max(math.isqrt(n - 1) + 1, SHORTEST)
    fewest = max(root // 2, SHORTEST, math.ceil(n / LONGEST))
    columns = lambda rows: max(math.ceil(n / rows), SHORTEST)
    rows = min(range(root, fewest - 1, -1), key=lambda rows: rows * columns(rows))
    return rows, columns(rows)


def _moved(half: jax.Array, word: jax.Array, side: int) -> jax.Array:
    """Shifted around a side by the hash of a word."""
    # The upper half of the hash, scaled to [0, side): a division would cost more than all the rest.
    moved = half + (((mix(word) >> 16) * jnp.uint32(side)) >> 16)
    return jnp.where(moved < side, moved, moved - side)


def _pack(left: jax.Array, right: jax.Array) -> jax.Array:
    return (left << 16) | right


def _unpack(word: jax.Array) -> tuple[jax.Array, jax.Array]:
    return word >> 16, word & 0xFFFF


def mix(word: jax.Array) -> jax.Array:
    """An integer hash in which each bit of the input moves half of the bits of the output:
    multiply and xor-shift, constants found by search (Wellons, 2018, lowbias32)."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)
