"""Tests of cross-entropy in chunks: its value, its gradient and its memory."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from research.lm import softmax
from research.lm.softmax import token_nll, total_nll

N, E, V = 12, 5, 17


def given(dtype=np.float32):
    random = np.random.default_rng(0)
    draw = lambda *shape: random.normal(size=shape).astype(np.float32).astype(dtype)
    return draw(N, E), draw(V, E), draw(V), random.integers(0, V, N, np.int32)


each = jax.jit(token_nll)


@cache
def total(chunks):
    """(out, table, bias, target) -> value, gradients."""
    return jax.jit(jax.value_and_grad(partial(total_nll, chunks), (0, 1, 2)))


def by_definition(out, table, bias, target):
    logits = np.asarray(out, np.float64) @ np.asarray(table, np.float64).T + np.asarray(bias)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.log(probabilities[np.arange(N), target])


def test_the_loss_of_each_token_equals_its_definition():
    np.testing.assert_allclose(each(*given()), by_definition(*given()), rtol=1e-5)


def test_large_logits_do_not_overflow():
    out, table, bias, target = given()
    nll = np.asarray(each(1000 * out, table, bias, target))
    assert np.isfinite(nll).all()


@pytest.mark.parametrize("chunks", [1, 3, 12])
def test_the_loss_and_its_gradient_do_not_depend_on_chunks(chunks):
    args = given()

    @jax.jit
    def cut(out, table, bias, target):
        """The value with and without the gradient, from two functions."""
        scaled = lambda *args: 0.25 * total_nll(chunks, *args, target)
        plain = lambda *args: jnp.sum(token_nll(*args, target))
        ours, theirs = (
            jax.value_and_grad(loss, (0, 1, 2))(out, table, bias) for loss in (scaled, plain)
        )
        return scaled(out, table, bias), *ours, *theirs

    alone, value, grads, expected, plain_grads = jax.device_get(cut(*args))
    assert float(value) == pytest.approx(0.25 * by_definition(*args).sum(), rel=1e-6)
    assert float(alone) == pytest.approx(float(value), rel=1e-6)
    for ours, theirs in zip(grads, plain_grads, strict=True):
        np.testing.assert_allclose(ours, 0.25 * theirs, atol=2e-6)
    assert float(value) == pytest.approx(0.25 * float(expected), rel=1e-6)


@pytest.mark.parametrize("scale", [1, 300])  # the largest logits are beyond where exp overflows
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_of_accelerators_equals_that_of_cpus(dtype, scale):
    out, table, bias, target = given()
    out = jnp.asarray(scale * out, dtype)
    masked, scattered = (
        jax.device_get(jax.jit(form)(out, target, table, bias))
        for form in (softmax._by_mask, softmax._by_scatter)
    )
    tolerance = 1e-5 if dtype == "float32" else 2e-2
    for one, other in zip(masked, scattered, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)


def test_the_gradient_matches_finite_differences():
    out, table, bias, target = given()
    loss = jax.jit(lambda *args: total_nll(3, *args, target))
    check_grads(loss, (out, table, bias), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("chunks", [1, 3])
def test_bfloat16_products_are_accumulated_in_float32(chunks):
    args = given(jnp.bfloat16)
    value, grads = total(chunks)(*args)
    assert value.dtype == jnp.float32
    assert [grad.dtype for grad in grads] == 3 * [jnp.dtype(jnp.bfloat16)]
    assert float(value) == pytest.approx(by_definition(*args).sum(), rel=1e-2)


@pytest.mark.parametrize("chunks", [1, 3])
def test_bfloat16_outputs_leave_gradients_of_params_in_float32(chunks):
    """If only `out` is bfloat16, the gradients of float32 params are float32 and accurate."""
    out, table, bias, target = given()
    _, exact = total(chunks)(out, table, bias, target)
    _, grads = total(chunks)(out.astype(jnp.bfloat16), table, bias, target)
    assert [grad.dtype for grad in grads] == [jnp.bfloat16, jnp.float32, jnp.float32]
    for grad, other in zip(grads, exact, strict=True):
        grad, other = np.asarray(grad, np.float32), np.asarray(other)
        assert np.linalg.norm(grad - other) < 0.02 * np.linalg.norm(other)


def test_a_confident_prediction_keeps_a_small_gradient():
    """The gradient of a probability near 1 is not lost to rounding."""
    out, table, bias = np.ones((1, 1)), np.array([[9.0], [0.0], [0.0]]), np.zeros(3)
    args = *(leaf.astype(np.float32) for leaf in (out, table, bias)), np.zeros(1, np.int32)
    grad = total(1)(*args)[1][2]
    other = float(np.exp(-9) / (1 + 2 * np.exp(-9)))
    np.testing.assert_allclose(grad, [-2 * other, other, other], rtol=2e-3)


def test_chunks_keep_the_logits_small():
    """Counts the program's temporary arrays: all logits, 1000 tokens x 500 symbols, are 2 MB."""
    shapes = [(1000, 8), (500, 8), (500,)]
    args = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    target = jax.ShapeDtypeStruct((1000,), jnp.int32)

    def temporaries(chunks):
        loss = lambda out, table, bias, target: total_nll(chunks, out, table, bias, target)
        compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(*args, target).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(1) > 2_000_000
    assert temporaries(10) < 700_000
