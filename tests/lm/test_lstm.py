"""The recurrence and its gradient by hand, against what JAX derives from the equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from research.lm.lstm import Carry, lstm

T, B, H = 7, 3, 5


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def plain(coupled, z, kernel, bias, carry, mask=None):
    """The equations, a step at a time."""
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
    keys = jax.random.split(jax.random.key(0), 6)
    gates = (3 if coupled else 4) * H
    draw = lambda key, *shape: jax.random.normal(key, shape, jnp.float64)
    carry = Carry(draw(keys[2], B, H), draw(keys[3], B, H))
    dropped = jax.random.bernoulli(keys[4], 0.5, (B, H))
    mask = jnp.where(dropped, 0.0, 2.0) if masked else None
    return draw(keys[0], T, B, gates), draw(keys[1], H, gates), draw(keys[5], gates), carry, mask


def weighed(function, coupled, mask):
    """A scalar to which every output and the last state matter differently."""
    weights = jax.random.normal(jax.random.key(9), (T + 2, B, H), jnp.float64)

    def scalar(z, kernel, bias, carry):
        outputs, last = function(coupled, z, kernel, bias, carry, mask)
        every = jnp.concatenate([outputs, last.h[None], last.c[None]])
        return jnp.sum(weights * every)

    return scalar


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_and_gradients_are_those_of_the_equations(coupled, masked):
    *args, mask = given(coupled, masked)
    for ours, theirs in zip(
        jax.tree.leaves(lstm(coupled, *args, mask)),
        jax.tree.leaves(plain(coupled, *args, mask)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    gradient = lambda function: jax.grad(weighed(function, coupled, mask), (0, 1, 2, 3))
    ours, theirs = gradient(lstm)(*args), gradient(plain)(*args)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_the_gradient_is_the_slope():
    *args, mask = given(False, True)
    check_grads(weighed(lstm, False, mask), args, order=1, modes=["rev"])


def test_many_at_once_are_each_alone():
    *args, _ = given(False, False)
    scale = jnp.array([0.5, 1.0, 2.0])
    args = jax.tree.map(lambda leaf: scale.reshape(3, *[1] * leaf.ndim) * leaf[None], args)
    gradient = jax.grad(weighed(lstm, False, None), (0, 1, 2, 3))
    together = jax.vmap(gradient)(*args)
    for index in range(3):
        alone = gradient(*jax.tree.map(lambda leaf: leaf[index], args))  # noqa: B023
        for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(one[index], other, atol=1e-12)


def test_a_window_cut_in_two_gives_the_same():
    z, kernel, bias, carry, _ = given(False, False)
    whole, last = lstm(False, z, kernel, bias, carry)
    first, between = lstm(False, z[:3], kernel, bias, carry)
    second, end = lstm(False, z[3:], kernel, bias, between)
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, atol=1e-14)
    np.testing.assert_allclose(end.c, last.c, atol=1e-14)


@pytest.mark.parametrize("coupled", [False, True])
def test_low_precision_multiplies_only(coupled):
    """Outputs are of the products' type; what is added up, and gradients of params, float32."""
    *args, _ = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), given(coupled, False))
    z, kernel, bias, carry = args
    low = z, kernel, bias, carry._replace(h=carry.h.astype(jnp.bfloat16))
    outputs, last = lstm(coupled, *low)
    assert (outputs.dtype, last.h.dtype, last.c.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)
    exact, _ = lstm(coupled, *args)
    np.testing.assert_allclose(outputs.astype(jnp.float32), exact, atol=0.05)

    def squares(*args):
        return jnp.sum(jnp.square(lstm(coupled, *args)[0].astype(jnp.float32)))

    grads, exact_grads = (jax.grad(squares, (0, 1, 2))(*some) for some in (low, args))
    assert [grad.dtype for grad in grads] == 3 * [jnp.float32]
    for grad, exact in zip(grads, exact_grads, strict=True):
        error = jnp.linalg.norm((grad.astype(jnp.float32) - exact).ravel())
        assert error < 0.03 * jnp.linalg.norm(exact.ravel())
