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
# from uniform by a chi-square test for n of 12 and more; with 6 rounds it can at n = 12.
ROUNDS = 8


def draw_order(key: jax.Array) -> jax.Array:
    """uint32 [ROUNDS]: an order, to be read with `at_positions`."""
    return jax.random.bits(key, (ROUNDS,))


def at_positions(order: jax.Array, positions: jax.Array, n: int) -> jax.Array:
    """Which of n examples stand at the given positions of a random order.

    A balanced Feistel network on the grid of side ceil(sqrt(n)), applied again where it leaves
    the first n cells (cycle walking): a bijection for any round function. Luby and Rackoff
    (1988) for the network, Black and Rogaway (2002), methods 2 and 3, for n of any size.

    Args:
      order: uint32 [ROUNDS] from `draw_order`.
      positions: integers [B], each in [0, n).
      n: how many examples, 1 to 2**31 - 1.

    Returns:
      int32 [B], each in [0, n); over all n positions every example stands exactly once.
    """
    side = jnp.uint32(math.isqrt(n - 1) + 1)  # below 2**16

    def network(left, right):
        for round_key in order:
            # The upper half of the hash, scaled to [0, side): a division would cost more than
            # all the rest.
            shift = ((mix(right ^ round_key) >> 16) * side) >> 16
            moved = left + shift
            left, right = right, jnp.where(moved < side, moved, moved - side)
        return left, right

    def outside(cell):
        left, right = cell
        return left * side + right >= n

    def walk(cell):
        return tuple(map(lambda new, old: jnp.where(outside(cell), new, old), network(*cell), cell))

    start = positions.astype(jnp.uint32)
    cell = network(start // side, start % side)
    left, right = lax.while_loop(lambda cell: jnp.any(outside(cell)), walk, cell)
    return (left * side + right).astype(jnp.int32)


def mix(word: jax.Array) -> jax.Array:
    """An integer hash in which each bit of the input moves half of the bits of the output:
    multiply and xor-shift, constants found by search (Wellons, 2018, lowbias32)."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    return word ^ (word >> 16)
