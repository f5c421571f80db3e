"""Tests of importance weights: hand-computed values, and that they undo the bias of sampling."""

import jax
import numpy as np
import pytest

from research.dqn import Config, HParams
from research.dqn.replay.prioritized import importance_exponent_at, importance_weights
from tests.dqn.replay.test_sum_tree import build_tree, draws

weigh = jax.jit(importance_weights)


def test_importance_weights_by_hand():
    """With priorities 1, 1, 2, 4 of N = 4 slots, N P is 1/2, 1/2, 1, 2."""
    values = np.float32([1, 1, 2, 4])
    weights = weigh(values, 8.0, 4.0, 1.0)
    np.testing.assert_allclose(weights, [1, 1, 0.5, 0.25], rtol=1e-6)
    weights = weigh(values, 8.0, 4.0, 0.5)
    np.testing.assert_allclose(weights, [1, 1, 0.5**0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(weigh(values, 8.0, 4.0, 0.0), 1)


def test_importance_weights_undo_the_bias_of_sampling():
    """With beta 1 the weighted mean over samples is the plain mean over slots."""
    rng = np.random.default_rng(4)
    values = np.float32(rng.random(50) + 0.05)
    payload = np.float32(rng.normal(size=50))
    tree = build_tree(values)
    drawn = np.asarray(draws(tree, 5, 20_000, 8)).ravel()
    weights = np.asarray(weigh(values[drawn], values.sum(), 50.0, 1.0))
    estimate = float(np.sum(weights * payload[drawn]) / np.sum(weights))
    assert estimate == pytest.approx(float(payload.mean()), abs=0.01)
    assert abs(float(payload[drawn].mean()) - float(payload.mean())) > 0.03


def test_beta_reaches_1_with_the_last_row():
    hparams = HParams(importance_exponent=0.4)
    at = importance_exponent_at(
        Config(num_envs=4, env_steps=4_000), hparams, np.array([0, 500, 1000])
    )
    np.testing.assert_allclose(at, [0.4, 0.7, 1.0], rtol=1e-6)
