"""Tests of quantile regression against hand-computed values and rlax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from research.dqn.values import quantile
from tests.dqn.oracles import lenient, rlax

huber = jax.jit(quantile.quantile_huber, static_argnums=3)


def quantile_huber(quantiles, target, kappa=1.0):
    """The loss of quantiles at the midpoints."""
    return huber(quantiles, target, quantile.quantile_midpoints(len(quantiles)), kappa)


def test_quantile_midpoints():
    np.testing.assert_allclose(quantile.quantile_midpoints(4), [0.125, 0.375, 0.625, 0.875])


def test_quantile_loss_by_hand():
    """Two quantiles at 0 and a target at 2 have a Huber loss of 1.5, weighted by 1/4 and 3/4."""
    zeros = np.zeros(2, np.float32)
    loss = quantile_huber(zeros, np.float32([2]))
    assert float(loss) == pytest.approx(1.5 * 0.25 + 1.5 * 0.75)
    loss = quantile_huber(zeros, np.float32([-2]))
    assert float(loss) == pytest.approx(1.5 * 0.75 + 1.5 * 0.25)
    assert float(quantile_huber(zeros[:1], np.float32([2]), 0)) == 1.0


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_quantile_loss_equals_rlax(kappa):
    rng = np.random.default_rng(1)
    quantiles, target = np.float32(rng.normal(size=(2, 16)) * 2)
    midpoints = (np.arange(16, dtype=np.float32) + np.float32(0.5)) / np.float32(16)
    with lenient():
        theirs = jax.jit(rlax.quantile_regression_loss, static_argnums=3)
        expected = theirs(quantiles, midpoints, target, kappa)
    np.testing.assert_allclose(quantile_huber(quantiles, target, kappa), expected, rtol=1e-5)


def test_the_gradient_of_the_quantile_loss():
    rng = np.random.default_rng(2)
    quantiles, target = np.float32(rng.normal(size=(2, 8)))
    loss = jax.jit(lambda quantiles: quantile_huber(quantiles, target))
    check_grads(loss, (quantiles,), order=1, modes=["rev"], eps=1e-3, rtol=2e-2, atol=2e-2)


def test_quantile_regression_finds_the_quantiles():
    """The four midpoint quantiles of 0, 1, ..., 99 are 12, 37, 62, 87, to within 1."""
    samples = jnp.arange(100.0)

    def descend(quantiles, _):
        gradient = jax.grad(quantile_huber)(quantiles, samples)
        return quantiles - 20 * gradient, None

    quantiles, _ = jax.lax.scan(descend, jnp.full(4, 50.0), length=2000)
    np.testing.assert_allclose(quantiles, [12, 37, 62, 87], atol=1)
