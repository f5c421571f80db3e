"""Tests of losses and scores against hand-computed values, scikit-learn and finite differences."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from sklearn import metrics as sklearn_metrics

from research.mlp import loss as losses

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(30, 4)).astype(np.float32)
LABELS = RNG.integers(0, 4, 30).astype(np.int32)
OUTPUTS = RNG.normal(size=(30, 1)).astype(np.float32) * 2
TARGETS = RNG.normal(size=30).astype(np.float32)


def close(given, expected):
    np.testing.assert_allclose(given, expected, rtol=1e-5)


def test_cross_entropy_by_hand():
    """Uniform logits give log K; odds of 3 to 1 for the label give log(4 / 3)."""
    close(losses.cross_entropy(jnp.zeros((2, 5)), jnp.asarray([0, 3])), np.log(5))
    odds = jnp.log(jnp.asarray([[3.0, 1.0]]))
    close(losses.cross_entropy(odds, jnp.asarray([0])), np.log(4 / 3))
    close(losses.cross_entropy(odds, jnp.asarray([1])), np.log(4))


def test_cross_entropy_of_one_logit_is_that_of_a_sigmoid():
    logit = jnp.log(jnp.asarray([[3.0]]))
    close(losses.cross_entropy(logit, jnp.asarray([1])), np.log(4 / 3))
    close(losses.cross_entropy(logit, jnp.asarray([0])), np.log(4))


def test_cross_entropy_equals_scikit_learn():
    exp = np.exp(LOGITS.astype(np.float64))
    expected = sklearn_metrics.log_loss(LABELS, exp / exp.sum(1, keepdims=True))
    close(losses.cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS)), expected)


@pytest.mark.parametrize("scale", [1, 100])  # the largest logits are beyond where exp overflows
@pytest.mark.parametrize("classes", [2, 10, losses.MOST_COLUMNS])
def test_the_cross_entropy_of_gpus_equals_that_of_cpus(classes, scale, monkeypatch):
    """Losses, gradients and the second derivatives, with equal logits in one row, and in one a
    label of which the net is so sure that the loss is small beside the logits."""
    logits = scale * RNG.normal(size=(6, classes)).astype(np.float32)
    labels, weights = RNG.integers(0, classes, 6).astype(np.int32), np.float32([0, 1, 2, 3, 1, 1])
    logits[1], logits[2] = logits[1, 0], 1000
    logits[2, labels[2]] += 12
    loss = lambda logits: losses.cross_entropy(logits, labels, weights)

    def derivatives():
        return jax.jit(lambda: (jax.value_and_grad(loss)(logits), jax.hessian(loss)(logits)))()

    here = derivatives()
    monkeypatch.setattr(losses, "by_platform", lambda *args, gpu, other: gpu(*args))
    chex.assert_trees_all_close(derivatives(), here, rtol=1e-5, atol=1e-6)
    sure = jax.jit(lambda: losses.cross_entropy(logits[2:3], labels[2:3]))()
    np.testing.assert_allclose(sure, np.log1p((classes - 1) * np.exp(-12)), atol=5e-6)


def test_regression_losses_by_hand():
    outputs, targets = jnp.asarray([[0.5], [-3.0]]), jnp.asarray([0.0, 0.0])
    close(losses.squared_error(outputs, targets), (0.25 + 9) / 2)
    close(losses.absolute_error(outputs, targets), (0.5 + 3) / 2)
    close(losses.huber(outputs, targets), (0.125 + 2.5) / 2)


def test_scores_equal_scikit_learn():
    predicted = LOGITS.argmax(axis=1)
    expected = sklearn_metrics.accuracy_score(LABELS, predicted)
    close(losses.accuracy(jnp.asarray(LOGITS), jnp.asarray(LABELS)), expected)
    expected = sklearn_metrics.r2_score(TARGETS, OUTPUTS[:, 0])
    close(losses.r2(jnp.asarray(OUTPUTS), jnp.asarray(TARGETS)), expected)


def test_accuracy_of_one_logit_follows_its_sign():
    logits = jnp.asarray([[1.0], [-1.0], [2.0], [-2.0]])
    close(losses.accuracy(logits, jnp.asarray([1, 1, 1, 0])), 0.75)


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_the_gradient_matches_finite_differences(name):
    classifies = name in losses.CLASSIFICATION
    outputs, targets = (LOGITS, LABELS) if classifies else (OUTPUTS, TARGETS)

    def loss(x):
        return losses.LOSSES[name](x, jnp.asarray(targets))

    check_grads(loss, (jnp.asarray(outputs),), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("name", list(losses.REGRESSION))
def test_a_missing_axis_is_an_error_not_a_broadcast(name):
    with pytest.raises(AssertionError):
        losses.LOSSES[name](jnp.asarray(TARGETS), jnp.asarray(TARGETS))
