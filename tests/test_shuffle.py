"""Tests of the random order of examples as a function of the position."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from research.shuffle import ORDER, at_positions, draw_order, draw_orders, order_of
from tests.contract import slow


@partial(jax.jit, static_argnums=(0, 1, 3))
def _orders(n, many, key, of):
    if of == "keys":
        drawn = jax.vmap(draw_order)(jax.random.split(key, many))
    else:
        drawn = jax.vmap(order_of, (None, 0))(draw_orders(key), jnp.arange(many))
    return jax.vmap(lambda order: at_positions(order, jnp.arange(n), n))(drawn)


def orders(n, many, of="keys"):
    """Whole orders of n examples, int32 [many, n]: of as many keys, or epochs of one key."""
    return np.asarray(_orders(n, many, jax.random.key(0), of))


OF = pytest.mark.parametrize("of", ["keys", "epochs"])


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


@OF
def test_other_keys_and_epochs_give_other_orders(of):
    assert len(np.unique(orders(100, 50, of), axis=0)) == 50


def test_small_sets_can_have_every_order():
    given = np.unique(orders(4, 2000), axis=0)
    assert len(given) == 24
    assert (np.sort(given, axis=1) == np.arange(4)).all()


@OF
@pytest.mark.parametrize("n", [7, slow(50)])
def test_each_example_is_uniform_over_positions(n, of):
    given = orders(n, 20_000, of)
    for position in (0, n // 2, n - 1):
        assert chisquare(np.bincount(given[:, position], minlength=n)).pvalue > 1e-4


@pytest.mark.parametrize("n", [12, 29, 30])  # walked; 4 left out of a grid of 25; none left out
@OF
def test_neighbouring_examples_are_uniform_over_pairs(n, of):
    given = orders(n, 100 * n * (n - 1), of)
    for first, second in ((3, 4), (n - 2, n - 1)):
        pairs = np.bincount(given[:, first] * n + given[:, second], minlength=n * n)
        pairs = pairs.reshape(n, n)
        assert not np.diag(pairs).any()
        assert chisquare(pairs[~np.eye(n, dtype=bool)]).pvalue > 1e-4


@pytest.mark.parametrize("lag", [1, 2, 256])
def test_the_orders_of_two_epochs_of_a_run_are_independent(lag):
    """Where an example was in one epoch says nothing about where it is in another."""
    n = 12
    given = np.argsort(orders(n, 20_000, "epochs"), axis=1)  # example -> position
    pairs = given[:-lag, 0] * n + given[lag:, 0]
    assert chisquare(np.bincount(pairs, minlength=n * n)).pvalue > 1e-4


def test_only_small_sets_use_cycle_walking():
    """Its loop ends at a computed number, for which a GPU waits for the host every iteration."""
    for n, loops in ((24, 1), (25, 0), (29, 0)):
        order = jax.ShapeDtypeStruct((ORDER,), jnp.uint32)
        exported = jax.export.export(
            jax.jit(lambda order, n=n: at_positions(order, jnp.arange(n), n)), platforms=["cuda"]
        )(order)
        assert exported.mlir_module().count("stablehlo.while") == loops
