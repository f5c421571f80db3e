"""Tests of the random order of examples as a function of the position."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from research.shuffle import ORDER, at_positions, draw_order
from tests.contract import slow


@partial(jax.jit, static_argnums=(0, 1))
def _orders(n, keys, key):
    drawn = jax.vmap(draw_order)(jax.random.split(key, keys))
    return jax.vmap(lambda order: at_positions(order, jnp.arange(n), n))(drawn)


def orders(n, keys, seed=0):
    """Whole orders of n examples, int32 [keys, n]."""
    return np.asarray(_orders(n, keys, jax.random.key(seed)))


@pytest.mark.parametrize("n", [1, 24, 25, 26, 65_537, *map(slow, (2, 3, 4, 5, 16, 150, 1437))])
def test_every_order_is_a_permutation(n):
    given = orders(n, 3)
    assert given.dtype == np.int32
    np.testing.assert_array_equal(np.sort(given, axis=1), np.tile(np.arange(n), (3, 1)))


def test_orders_of_the_largest_n_stay_in_range():
    n = 2**31 - 1
    positions = jnp.asarray([0, 1, 12345, n - 2, n - 1])
    rows = jax.jit(lambda key: at_positions(draw_order(key), positions, n))(jax.random.key(0))
    assert len(set(rows.tolist())) == 5
    assert min(rows.tolist()) >= 0


def test_a_subset_of_positions_gives_that_part_of_the_order():
    @jax.jit
    def both(key):
        order = draw_order(key)
        part = jnp.arange(30, 40)
        return at_positions(order, jnp.arange(100), 100), at_positions(order, part, 100)

    whole, part = both(jax.random.key(0))
    chex.assert_trees_all_equal(part, whole[30:40])


def test_other_keys_give_other_orders():
    assert len(np.unique(orders(100, 50), axis=0)) == 50


def test_small_sets_can_have_every_order():
    given = np.unique(orders(4, 2000), axis=0)
    assert len(given) == 24
    assert (np.sort(given, axis=1) == np.arange(4)).all()


@pytest.mark.parametrize("n", [7, slow(50)])
def test_each_example_is_uniform_over_positions(n):
    given = orders(n, 20_000)
    for position in (0, n // 2, n - 1):
        assert chisquare(np.bincount(given[:, position], minlength=n)).pvalue > 1e-4


@pytest.mark.parametrize("n", [12, 29, 30])  # walked; 4 left out of a grid of 25; none left out
def test_neighbouring_examples_are_uniform_over_pairs(n):
    given = orders(n, 100 * n * (n - 1))
    for first, second in ((3, 4), (n - 2, n - 1)):
        pairs = np.bincount(given[:, first] * n + given[:, second], minlength=n * n)
        pairs = pairs.reshape(n, n)
        assert not np.diag(pairs).any()
        assert chisquare(pairs[~np.eye(n, dtype=bool)]).pvalue > 1e-4


def test_only_small_sets_use_cycle_walking():
    """Its loop ends at a computed number, for which a GPU waits for the host every iteration."""
    for n, loops in ((24, 1), (25, 0), (29, 0)):
        order = jax.ShapeDtypeStruct((ORDER,), jnp.uint32)
        exported = jax.export.export(
            jax.jit(lambda order, n=n: at_positions(order, jnp.arange(n), n)), platforms=["cuda"]
        )(order)
        assert exported.mlir_module().count("stablehlo.while") == loops
