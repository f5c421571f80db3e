"""Tests of matrix products in bfloat16, and their gradients, against float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.matmul import as_bits, dense, einsum, from_bits, scan, summed_outer

N, F, G = 90, 7, 5


def given(dtype=jnp.float32, rows=N):
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(rows, F)), 1 + random.normal(size=(F, G))
    return x.astype(np.float32).astype(dtype), kernel.astype(np.float32)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("rows", [1, 7, N, 256])  # 45 and 64 of which are transposed at a time
def test_summed_outer_products(dtype, rows):
    a, kernel = given(dtype, rows)
    b = (a.astype(np.float32) @ kernel).astype(dtype)
    expected = np.asarray(a, np.float64).T @ np.asarray(b, np.float64)

    @jax.jit
    def alone_and_among_many(a, b):
        return summed_outer(a, b), jax.vmap(summed_outer)(a[None], b[None])[0]

    for ours in alone_and_among_many(a, b):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_dense_equals_a_matrix_product_and_its_gradient():
    x, kernel = given()
    weight = np.random.default_rng(2).normal(size=(N, G)).astype(np.float32)
    grads = jax.jit(jax.grad(lambda *args: jnp.sum(weight * dense(*args)), (0, 1)))(x, kernel)
    np.testing.assert_allclose(grads[0], weight @ kernel.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(grads[1], x.T @ weight, rtol=1e-5, atol=1e-5)


def test_dense_in_bfloat16_keeps_kernel_gradients_in_float32():
    x, kernel = given(jnp.bfloat16)
    assert jax.eval_shape(dense, x, kernel).dtype == jnp.float32
    dx, dkernel = jax.jit(jax.grad(lambda *args: jnp.sum(dense(*args)), (0, 1)))(x, kernel)
    assert (dx.dtype, dkernel.dtype) == (jnp.bfloat16, jnp.float32)
    expected = np.broadcast_to(np.sum(x.astype(np.float32), axis=0)[:, None], (F, G))
    np.testing.assert_allclose(dkernel, expected, rtol=1e-5, atol=1e-5)


def test_sums_of_many_small_products_are_not_rounded():
    ones = jnp.ones((1, 4096), jnp.bfloat16)
    total = einsum("ab,cb->ac", ones, ones)
    assert total.dtype == jnp.float32
    assert float(total[0, 0]) == 4096  # in bfloat16, sums of ones end at 256


def test_as_bits_and_from_bits_are_inverse():
    tree = {"low": jnp.array([1.5, -2.0], jnp.bfloat16), "high": jnp.ones(2), "none": None}
    bits = as_bits(tree)
    assert (bits["low"].dtype, bits["high"].dtype) == (jnp.uint16, jnp.float32)
    for one, other in zip(*map(jax.tree.leaves, (from_bits(bits), tree)), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_bfloat16_scan_equals_lax_scan(reverse):
    def add_up(total, x):
        low, high = x
        return total + low.astype(jnp.float32) * high, (total.astype(jnp.bfloat16), total)

    xs = jnp.arange(5, dtype=jnp.bfloat16), jnp.ones(5)
    ours, theirs = jax.jit(
        lambda xs: [one(add_up, 0.0, xs, reverse=reverse) for one in (scan, jax.lax.scan)]
    )(xs)
    for one, other in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
