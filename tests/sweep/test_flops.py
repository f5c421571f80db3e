"""Products in loops are counted as often as they happen."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from research.sweep.flops import count_flops

ONE = 2 * 8 * 8 * 8  # of a product of 8 x 8 matrices


def counted(function):
    return count_flops(jax.jit(function).trace(jnp.zeros((8, 8))).jaxpr)


def product(x, _=None):
    return x @ x, None


def scanned(turns, body=product):
    return lambda x, _=None: (lax.scan(body, x, None, length=turns)[0], None)


def test_a_product_is_two_operations_an_element():
    assert counted(product) == ONE


@pytest.mark.parametrize("turns", [1, 7])
def test_a_scan_counts_every_turn(turns):
    assert counted(scanned(turns)) == pytest.approx(turns * ONE, rel=0.02)


def test_a_scan_in_a_scan_counts_every_turn_of_both():
    assert counted(scanned(3, scanned(5))) == pytest.approx(15 * ONE, rel=0.02)


def test_a_scan_inside_another_function_is_found():
    assert counted(jax.jit(scanned(7))) == pytest.approx(7 * ONE, rel=0.02)


def test_random_numbers_may_be_drawn_in_a_loop():
    def body(x, key):
        return x @ x + jax.random.normal(key, x.shape), None

    def draws(x):
        return lax.scan(body, x, jax.random.split(jax.random.key(0), 4))[0]

    assert counted(draws) >= 4 * ONE
