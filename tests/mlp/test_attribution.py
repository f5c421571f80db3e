"""Tests of feature attribution: integrated gradients, permutation importance, and the agreement of
runs."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.inspection import permutation_importance as sklearns
from sklearn.linear_model import LinearRegression

from research.mlp import Config, make_problem
from research.mlp.attribution import (
    explain,
    in_top,
    integrated_gradients,
    make_output,
    permutation_importance,
    rank_correlation,
)
from research.mlp.dataset import Split
from research.mlp.task import fit_to
from tests.mlp import cases

X = np.float32(np.random.default_rng(0).normal(size=(7, 4)))
BASE = np.float32([0.5, -0.2, 0.0, 1.0])


@partial(jax.jit, static_argnums=(0, 3))
def gradients(output, x, baseline, steps):
    return integrated_gradients(output, x, baseline, steps)


importance = jax.jit(permutation_importance, static_argnums=(0, 5))


def test_attributions_of_a_linear_output_are_weight_times_difference():
    weights = np.float32([1.0, -2.0, 3.0, 0.0])
    found = gradients(lambda x: x @ weights, X, BASE, 3)
    np.testing.assert_allclose(found, weights[None] * (X - BASE[None]), rtol=1e-5)


def test_attributions_of_a_product_are_shared_equally():
    """For x y from (0, 0), each factor gets half: the integral of a y da."""
    found = gradients(lambda x: x[:, 0] * x[:, 1], X, np.zeros(4, np.float32), 8)
    half = X[:, 0] * X[:, 1] / 2
    found = np.asarray(found)
    np.testing.assert_allclose(found[:, :2], np.stack([half, half], axis=1), rtol=1e-4)
    np.testing.assert_allclose(found[:, 2:], 0, atol=1e-7)


def test_attributions_with_a_single_kink_are_exact():
    """max(0, x0 + x1 - 1) on the line from 0 to (2, 1) has its kink at a third of the way, so that
    two thirds of the gradient count."""
    output = lambda x: jnp.maximum(0, x[:, 0] + x[:, 1] - 1)
    found = gradients(output, np.float32([[2.0, 1.0]]), np.zeros(2, np.float32), 4)
    np.testing.assert_allclose(found, [[2 * 2 / 3, 1 * 2 / 3]], rtol=1e-5)


@pytest.fixture(scope="module")
def trained():
    """A trained net on breast cancer, with its config and data."""
    config = Config(data="breast_cancer", hidden=(16, 16))
    shared = make_problem(config).shared
    return fit_to(config, shared), shared, cases.trained(shared, config.hidden, epochs=20)


def rows_of(shared, count=50):
    return Split(shared.test.x[:count], shared.test.y[:count])


def test_attributions_are_complete_and_equal_a_long_riemann_sum(trained):
    config, shared, params = trained
    rows = rows_of(shared)
    places = np.float32((np.arange(2000) + 0.5) / 2000)

    @jax.jit
    def both():
        output = make_output(config, shared, params, rows.y)
        gradient = jax.grad(lambda x: jnp.sum(output(x)))
        middle = jax.lax.map(lambda place: gradient(place * rows.x), places)
        return explain(config, shared, params, rows, 512), middle

    (found, gap), middle = jax.device_get(both())
    assert gap.max() < 1e-3
    np.testing.assert_allclose(found, rows.x * middle.mean(axis=0), atol=5e-3)


def test_the_completeness_gap_of_few_steps_is_reported(trained):
    """The gap is measured for a net of many kinks and only two steps."""
    config, shared, params = trained
    _, gap = jax.jit(lambda: explain(config, shared, params, rows_of(shared), 1))()
    assert np.max(gap) > 1e-2


def test_the_logit_of_the_true_class_is_explained():
    config = Config(data="wine", hidden=())
    shared = make_problem(config).shared
    kernel = np.float32(np.random.default_rng(0).normal(size=(shared.train.x.shape[1], 3)))
    params = {"Dense_0": {"kernel": kernel, "bias": np.ones(3, np.float32)}}
    rows, config = rows_of(shared, 10), fit_to(config, shared)
    found, _ = jax.jit(lambda: explain(config, shared, params, rows, 2))()
    np.testing.assert_allclose(found, rows.x * kernel[:, rows.y].T, rtol=1e-4, atol=1e-5)


def linear(kernel):
    return {"Dense_0": {"kernel": kernel[:, None], "bias": np.zeros(1, np.float32)}}


def test_permutation_importance_finds_the_column_that_matters():
    """The net is linear and reads its first column alone."""
    config = dataclasses.replace(Config(data="diabetes", hidden=()), loss="squared_error")
    shared = make_problem(config).shared
    rows = Split(shared.test.x, 2 * shared.test.x[:, 0])
    params = linear(np.float32([2] + 9 * [0]))
    members = np.eye(10, dtype=bool)
    found = importance(config, shared, params, rows, members, 20, jax.random.key(0))

    same = LinearRegression().fit(rows.x, rows.y)
    expected = sklearns(same, np.asarray(rows.x), rows.y, scoring="r2", n_repeats=20)
    np.testing.assert_allclose(found[0], expected.importances_mean[0], rtol=0.15)
    np.testing.assert_allclose(found[1:], 0, atol=1e-6)


def test_importance_is_what_the_key_metric_loses():
    """Of RMSE, of which less is better: the error of a net that predicts by its one column."""
    config = dataclasses.replace(
        Config(data="diabetes", hidden=(), key_metric="rmse"), loss="squared_error"
    )
    shared = make_problem(config).shared
    rows = Split(shared.test.x, shared.test.x[:, 0])
    params = linear(np.float32([1] + 9 * [0]))
    found = importance(config, shared, params, rows, np.eye(10, dtype=bool), 20, jax.random.key(0))
    expected = np.sqrt(2) * np.std(rows.x[:, 0]) * float(shared.target_scale)
    np.testing.assert_allclose(found[0], expected, rtol=0.1)
    np.testing.assert_allclose(found[1:], 0, atol=1e-3)


def test_features_of_one_column_are_shuffled_together():
    """Two features are equal: shuffled separately, one would compensate for half of the other."""
    config = dataclasses.replace(Config(data="diabetes", hidden=()), loss="squared_error")
    shared = make_problem(config).shared
    x = np.array(shared.test.x)
    x[:, 1] = -x[:, 0]
    rows = Split(x, x[:, 0] + x[:, 1])
    params = linear(np.ones(10, np.float32))
    together = np.arange(10)[None] < 2
    rows = rows._replace(y=x.sum(axis=1))
    found = importance(config, shared, params, rows, together, 3, jax.random.key(0))
    np.testing.assert_allclose(found, 0, atol=1e-5)  # their sum is 0 wherever they come from


def test_in_top_counts_runs_that_have_a_feature_among_the_top():
    importance = np.array([[3.0, 2.0, 1.0, 0.0], [1.0, 3.0, 2.0, 0.0], [5.0, 4.0, 0.0, 0.0]])
    assert in_top(importance, 2).tolist() == [2, 3, 1, 0]


def test_features_of_importance_0_are_never_in_the_top():
    assert in_top(np.array([[2.0, 0.0, -1.0]]), 3).tolist() == [1, 0, 0]


def test_rank_correlation_is_the_mean_over_pairs_of_runs():
    importance = np.random.default_rng(0).normal(size=(5, 8)) + np.arange(8)
    pairs = itertools.combinations(importance, 2)
    expected = np.mean([spearmanr(*pair).statistic for pair in pairs])
    np.testing.assert_allclose(rank_correlation(importance), expected)


def test_equal_orders_correlate_by_1_and_opposite_ones_by_minus_1():
    order = np.arange(6.0)
    np.testing.assert_allclose(rank_correlation(np.stack([order, 2 * order, order**3])), 1)
    np.testing.assert_allclose(rank_correlation(np.stack([order, -order])), -1)
    assert np.isnan(rank_correlation(order[None]))
