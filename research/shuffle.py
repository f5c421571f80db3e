"""A random order of n examples as a function of the position, without storing or sorting one.

Each run of a sweep needs an order of its own in every epoch. To draw it by sorting costs
n log n a run and n integers of state; under `vmap` on a CPU that is most of a small net's step.
A keyed bijection costs O(batch) a step and a few words of state.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

ROUNDS = 10  # where the examples are rotated before every other one; else the first
UNROTATED = 8  # are enough
SHORTEST, LONGEST = 5, 2**16 - 1  # sides of the grid
GOLDEN = 0x9E3779B9  # 2**32 over the golden ratio: multiples of it lie far apart
ORDER = ROUNDS + ROUNDS // 2  # words of an order: keys of rounds, and how far to rotate


def draw_order(key: jax.Array) -> jax.Array:
    """uint32 [ORDER]: an order, to be read with `at_positions`."""
    # More words of the generator would take longer than all the rest.
    first, second = jax.random.bits(key, (2,), jnp.uint32)
    words = first + jnp.uint32(GOLDEN) * jnp.arange(ORDER, dtype=jnp.uint32)
    return mix(mix(words) ^ second)


def at_positions(order: jax.Array, positions: jax.Array, n: int) -> jax.Array:
    """Which of n examples stand at the given positions of a random order.

    A Feistel network (Luby and Rackoff, 1988), here on a grid with halves of nearly the same size
    (Black and Rogaway, 2002, method 3). The largest grid within n leaves a few examples out, which
    stay where they are; so that they are others again and again, all are rotated in between. For
    small n the grid is larger than n and the network applied again where it leaves n (cycle
    walking, method 2 there). A bijection, for any round function.

    Over 300,000 keys, which pair of n examples stands at two neighbouring positions cannot be told
    from uniform by a chi-square test, for all n from 5 to 60.

    Args:
      order: uint32 [ORDER] from `draw_order`.
      positions: integers [B], each in [0, n).
      n: how many examples, 1 to 2**31 - 1.

    Returns:
      int32 [B], each in [0, n); over all n positions every example stands exactly once.
    """
    place = positions.astype(jnp.uint32)
    if n < SHORTEST**2:
        place = _walked(order, place, n)
    else:
        place = lax.platform_dependent(
            order, place,
            cpu=lambda order, place: _apart(_rotated(order, place, n), n),
            default=lambda order, place: _rotated(order, place, n),
        )  # fmt: skip
    return place.astype(jnp.int32)


def _rotated(order: jax.Array, place: jax.Array, n: int) -> jax.Array:
    """The network on the largest grid within n, rotated in between."""
    rows, columns = _grid_within(n)
    left_out = n - rows * columns
    keys, turns = order[:ROUNDS], order[ROUNDS:]
    left, right = place // columns, place % columns

    def joined():
        cell = left * columns + right
        return jnp.where(place < rows * columns, cell, place) if left_out else cell

    for index in range(ROUNDS if left_out else UNROTATED):
        if left_out and index % 2 == 0:
            place = _rotate(joined(), turns[index // 2] % jnp.uint32(n), n)
            left, right = place // columns, place % columns
        left, right = _round(index, left, right, keys[index], rows, columns)
    return joined()


def _rotate(place: jax.Array, turn: jax.Array, n: int) -> jax.Array:
    moved = place + turn
    return jnp.where(moved < n, moved, moved - n)


def _apart(place: jax.Array, n: int) -> jax.Array:
    """As it is. The loop, which is never entered, keeps XLA for CPUs from making the gather that
    reads this compute it anew for every number of a row."""
    return lax.while_loop(lambda place: jnp.any(place >= n), lambda place: place - n, place)


def _walked(order: jax.Array, place: jax.Array, n: int) -> jax.Array:
    """The network on a grid of n cells or of a few more, until it is within n."""
    rows = SHORTEST
    columns = max(math.ceil(n / rows), SHORTEST)

    def network(place):
        left, right = place // columns, place % columns
        for index in range(UNROTATED):
            left, right = _round(index, left, right, order[index], rows, columns)
        return left * columns + right

    walk = lambda place: jnp.where(place >= n, network(place), place)
    return lax.while_loop(lambda place: jnp.any(place >= n), walk, network(place))


def _grid_within(n: int) -> tuple[int, int]:
    """Rows and columns, at least half as many of one as of the other, if there can be: n cells, or
    as few less as can be."""
    root = math.isqrt(n)
    fewest = max(root // 2, SHORTEST, math.ceil(n / LONGEST))
    rows = max(range(root, fewest - 1, -1), key=lambda rows: rows * (n // rows))
    return rows, n // rows


def _round(
    index: int, left: jax.Array, right: jax.Array, key: jax.Array, rows: int, columns: int
) -> tuple[jax.Array, jax.Array]:
    """One half is moved by the hash of the other."""
    if index % 2:
        return left, _moved(right, left ^ key, columns)
    return _moved(left, right ^ key, rows), right


def _moved(half: jax.Array, word: jax.Array, side: int) -> jax.Array:
    """Shifted around a side by the hash of a word."""
    # The upper half of the hash, scaled to [0, side): a division would cost more than all the rest.
    moved = half + (((mix(word) >> 16) * jnp.uint32(side)) >> 16)
    return jnp.where(moved < side, moved, moved - side)


def mix(word: jax.Array) -> jax.Array:
    """An integer hash in which each bit of the input moves half of the bits of the output:
    multiply and xor-shift, constants found by search (Wellons, 2018, lowbias32)."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)
