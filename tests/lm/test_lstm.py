"""Tests of the LSTM and its hand-written gradient against JAX's gradient of the equations."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from research.lm.lstm import Carry, _lstm_packed, lstm

T, B, H = 11, 3, 5  # as many steps as no whole number of turns of a GPU's loop has


def packed(coupled, z, kernel, bias, carry, mask=None):
    """The LSTM as programs for GPUs have it; on a CPU, `lstm` is the other form."""
    return _lstm_packed(coupled, z, kernel, bias, carry, mask)


FORMS = pytest.mark.parametrize("lstm", [lstm, packed], ids=["cpu", "gpu"])


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def plain(coupled, z, kernel, bias, carry, mask=None):
    """The LSTM equations, one step at a time."""
    z = z + bias[None, None, :]

    def one_step(carry, z):
        h = carry.h if mask is None else carry.h * mask
        gates = jnp.split(z + h @ kernel, 3 if coupled else 4, axis=-1)
        *i, f, g, o = gates
        f, o = jax.nn.sigmoid(f), jax.nn.sigmoid(o)
        i = 1 - f if coupled else jax.nn.sigmoid(i[0])
        c = f * carry.c + i * jnp.tanh(g)
        h = o * jnp.tanh(c)
        return Carry(h, c), h

    last, outputs = lax.scan(one_step, carry, z)
    return outputs, last


def given(coupled, masked):
    random = np.random.default_rng(0)
    gates = (3 if coupled else 4) * H
    draw = lambda *shape: random.normal(size=shape)
    carry = Carry(draw(B, H), draw(B, H))
    mask = np.where(random.random((B, H)) < 0.5, 0.0, 2.0) if masked else None
    return draw(T, B, gates), draw(H, gates), draw(gates), carry, mask


def weighed(function, coupled):
    """A weighted sum of all outputs and the last state, and these outputs and state."""
    weights = np.random.default_rng(9).normal(size=(T + 2, B, H))

    def scalar(z, kernel, bias, carry, mask=None):
        outputs, last = function(coupled, z, kernel, bias, carry, mask)
        every = jnp.concatenate([outputs, last.h[None], last.c[None]])
        return jnp.sum(weights * every), (outputs, last)

    return scalar


@cache
def gradient(function, coupled):
    """(z, kernel, bias, carry, mask) -> ((scalar, (outputs, last)), gradients)."""
    return jax.jit(jax.value_and_grad(weighed(function, coupled), (0, 1, 2, 3), has_aux=True))


@FORMS
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_and_gradients_equal_those_of_the_equations(lstm, coupled, masked):
    args = given(coupled, masked)
    ours, theirs = gradient(lstm, coupled)(*args), gradient(plain, coupled)(*args)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@FORMS
def test_the_lstm_without_gradient_gives_the_same_outputs(lstm):
    args = given(False, True)
    alone = jax.jit(lambda *args: lstm(False, *args))(*args)
    (_, beside), _ = gradient(lstm, False)(*args)
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(beside), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@FORMS
def test_the_gradient_matches_finite_differences(lstm):
    *args, mask = given(False, True)
    scalar = jax.jit(lambda *args: weighed(lstm, False)(*args, mask)[0])
    check_grads(scalar, args, order=1, modes=["rev"])


@FORMS
def test_the_lstm_under_vmap_equals_single_calls(lstm):
    *args, _ = given(False, False)
    scale = np.array([0.5, 1.0, 2.0])
    args = jax.tree.map(lambda leaf: scale.reshape(3, *[1] * leaf.ndim) * leaf[None], args)
    together = jax.jit(jax.vmap(gradient(lstm, False)))(*args)
    for index in range(3):
        alone = gradient(lstm, False)(*jax.tree.map(lambda leaf: leaf[index], args))  # noqa: B023
        for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(one[index], other, atol=1e-12)


def test_two_half_windows_equal_one_window():
    z, kernel, bias, carry, _ = given(False, False)

    @jax.jit
    def both(z, kernel, bias, carry):
        first, between = lstm(False, z[:3], kernel, bias, carry)
        return lstm(False, z, kernel, bias, carry), first, lstm(False, z[3:], kernel, bias, between)

    (whole, last), first, (second, end) = both(z, kernel, bias, carry)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-14)
    np.testing.assert_allclose(end.c, last.c, atol=1e-14)


@FORMS
@pytest.mark.parametrize("coupled", [False, True])
def test_bfloat16_is_used_for_products_only(lstm, coupled):
    """Outputs are bfloat16; sums and gradients of params are float32."""
    *args, _ = jax.tree.map(lambda leaf: leaf.astype(np.float32), given(coupled, False))
    z, kernel, bias, carry = args
    low = z, kernel, bias, carry._replace(h=carry.h.astype(jnp.bfloat16))

    def squares(*args):
        outputs, last = lstm(coupled, *args)
        return jnp.sum(jnp.square(outputs.astype(jnp.float32))), (outputs, last)

    run = jax.jit(jax.grad(squares, (0, 1, 2), has_aux=True))
    grads, (outputs, last) = run(*low)
    exact_grads, (exact, _) = run(*args)
    assert (outputs.dtype, last.h.dtype, last.c.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(np.asarray(outputs, np.float32), exact, atol=0.05)
    assert [grad.dtype for grad in grads] == 3 * [jnp.float32]
    for grad, exact in zip(grads, exact_grads, strict=True):
        grad, exact = np.asarray(grad), np.asarray(exact)
        assert np.linalg.norm(grad - exact) < 0.03 * np.linalg.norm(exact)
