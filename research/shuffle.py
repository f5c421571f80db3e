"""A random order of n examples as a function of the position, without storing or sorting one.

Each run of a sweep needs its own order in every epoch. `jax.random.permutation` sorts, which costs
O(n log n) time and n integers of state per run: under `vmap` on a CPU, most of a small net's step.
A keyed bijection costs O(batch) per step and a few words of state.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

ROUNDS = 10  # with a rotation before every other round
UNROTATED = 8  # rounds where the grid has exactly n cells and nothing is rotated
SHORTEST, LONGEST = 5, 2**16 - 1  # sides of the grid
GOLDEN = 0x9E3779B9  # 2**32 over the golden ratio: its multiples lie far apart
ORDER = ROUNDS + ROUNDS // 2  # words of an order: a key per round, and the rotations


def draw_order(key: jax.Array) -> jax.Array:
    """A random order, uint32 [ORDER], which `at_positions` reads; for one order only."""
    return _expanded(*draw_orders(key))


def draw_orders(key: jax.Array) -> jax.Array:
    """Two words of the generator, uint32 [2], from which `order_of` makes an order for each epoch.

    A task that keeps them draws nothing at its steps: on an accelerator, each call of the generator
    is a kernel to launch.
    """
    return jax.random.bits(key, (2,), jnp.uint32)


def order_of(orders: jax.Array, epoch: jax.Array) -> jax.Array:
    """The random order of an epoch, uint32 [ORDER], which `at_positions` reads.

    Args:
      orders: uint32 [2] from `draw_orders`.
      epoch: integer scalar; the orders of different epochs are independent.
    """
    epoch = epoch.astype(jnp.uint32)
    first, second = orders[0] ^ mix(epoch), orders[1] ^ mix(epoch ^ jnp.uint32(GOLDEN))
    return _expanded(mix(first), mix(second))


def _expanded(first: jax.Array, second: jax.Array) -> jax.Array:
    """The words of an order: drawing all of them by the generator would dominate the cost."""
    words = first + jnp.uint32(GOLDEN) * jnp.arange(ORDER, dtype=jnp.uint32)
    return mix(mix(words) ^ second)


def at_positions(order: jax.Array, positions: jax.Array, n: int) -> jax.Array:
    """The examples at the given positions of a random order of n examples.

    A Feistel network (Luby and Rackoff, 1988) on a grid of nearly equal sides (Black and Rogaway,
    2002, method 3), which is a bijection for any round function. The largest grid within n leaves a
    few examples in place; rotating all examples between rounds makes these different ones each
    time. For small n the grid is larger than n, and the network is applied again to what falls
    outside n (cycle walking, their method 2).

    The pairs of examples at two neighbouring positions, over 300,000 keys, pass a chi-square test
    for uniformity at every n from 5 to 60.

    Args:
      order: uint32 [ORDER] from `draw_order` or `order_of`.
      positions: integers [B], each in [0, n).
      n: how many examples, 1 to 2**31 - 1.

    Returns:
      int32 [B], each in [0, n); over all n positions every example occurs exactly once.
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
    """The network on the largest grid within n, with rotations between rounds."""
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
    """`place`, unchanged, behind a loop that is never entered.

    Without it, XLA for CPUs fuses this computation into the gather that reads the rows, and repeats
    it for every feature of a row.
    """
    return lax.while_loop(lambda place: jnp.any(place >= n), lambda place: place - n, place)


def _walked(order: jax.Array, place: jax.Array, n: int) -> jax.Array:
    """The network on a grid of at least n cells, applied until the result is within n."""
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
    """The rows and columns of the largest grid of at most n cells.

    Neither side is less than half of the other, where n allows it.
    """
    root = math.isqrt(n)
    fewest = max(root // 2, SHORTEST, math.ceil(n / LONGEST))
    rows = max(range(root, fewest - 1, -1), key=lambda rows: rows * (n // rows))
    return rows, n // rows


def _round(
    index: int, left: jax.Array, right: jax.Array, key: jax.Array, rows: int, columns: int
) -> tuple[jax.Array, jax.Array]:
    """One round: shifts one half by the hash of the other."""
    if index % 2:
        return left, _moved(right, left ^ key, columns)
    return _moved(left, right ^ key, rows), right


def _moved(half: jax.Array, word: jax.Array, side: int) -> jax.Array:
    """`half` shifted by the hash of a word, modulo `side`."""
    # The upper half of the hash, scaled to [0, side): a modulo would dominate the cost.
    moved = half + (((mix(word) >> 16) * jnp.uint32(side)) >> 16)
    return jnp.where(moved < side, moved, moved - side)


def mix(word: jax.Array) -> jax.Array:
    """A hash of uint32: flipping one input bit flips half of the output bits on average.

    Multiply and xor-shift, with constants found by search (Wellons, 2018, lowbias32).
    """
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)
