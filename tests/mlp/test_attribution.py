"""Integrated gradients by hand and against a long sum; shuffling of planted columns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.inspection import permutation_importance as sklearns
from sklearn.linear_model import LinearRegression

from research.mlp import Config, HParams, make_problem
from research.mlp.attribution import (
    explain,
    integrated_gradients,
    make_output,
    permutation_importance,
)
from research.mlp.dataset import Split
from research.mlp.task import fit_to
from research.sweep import sweep

X = jax.random.normal(jax.random.key(0), (7, 4))
BASE = jnp.asarray([0.5, -0.2, 0.0, 1.0])


def test_of_a_linear_output_they_are_weight_times_way():
    weights = jnp.asarray([1.0, -2.0, 3.0, 0.0])
    found = integrated_gradients(lambda x: x @ weights, X, BASE, 3)
    np.testing.assert_allclose(found, weights[None] * (X - BASE[None]), rtol=1e-5)


def test_of_a_product_they_are_shared():
    """x y from (0, 0): the integral of a y da is half of it for either factor."""
    found = integrated_gradients(lambda x: x[:, 0] * x[:, 1], X, jnp.zeros(4), 8)
    half = X[:, 0] * X[:, 1] / 2
    np.testing.assert_allclose(found[:, :2], jnp.stack([half, half], axis=1), rtol=1e-4)
    np.testing.assert_allclose(found[:, 2:], 0, atol=1e-7)


def test_a_single_bend_is_exact_wherever_it_lies():
    """max(0, x0 + x1 - 1) on the way from 0 to (2, 1): it bends at a third; two thirds of the slope
    count."""
    output = lambda x: jnp.maximum(0, x[:, 0] + x[:, 1] - 1)
    found = integrated_gradients(output, jnp.asarray([[2.0, 1.0]]), jnp.zeros(2), 4)
    np.testing.assert_allclose(found, [[2 * 2 / 3, 1 * 2 / 3]], rtol=1e-5)


@pytest.fixture(scope="module")
def trained():
    """Three nets on breast cancer, their config and data."""
    config = Config(data="breast_cancer", hidden=(16, 16))
    problem = make_problem(config)
    hparams = HParams(learning_rate=1e-2)
    states = sweep(problem.task, problem.shared, hparams, 3, 100).states
    return fit_to(config, problem.shared), problem.shared, states.params


def rows_of(shared, count=50):
    return Split(shared.test.x[:count], shared.test.y[:count])


def one_of(params, run):
    return jax.tree.map(lambda leaf: leaf[run], params)


def test_they_are_complete_and_what_a_long_sum_gives(trained):
    config, shared, params = trained
    rows = rows_of(shared)
    found, gap = jax.jit(lambda p: explain(config, shared, p, rows, 512))(one_of(params, 0))
    assert gap.max() < 1e-3
    output = make_output(config, shared, one_of(params, 0), jnp.asarray(rows.y))
    slope = jax.grad(lambda x: jnp.sum(output(x)))
    x = jnp.asarray(rows.x)
    middle = jax.jit(lambda: jax.lax.map(lambda a: slope(a * x), (jnp.arange(2000.0) + 0.5) / 2000))
    np.testing.assert_allclose(found, x * middle().mean(axis=0), atol=5e-3)


def test_few_steps_miss_completeness_and_it_is_told(trained):
    """The gap is measured, not assumed: a net of many bends in two steps."""
    config, shared, params = trained
    explained = jax.jit(lambda p: explain(config, shared, p, rows_of(shared), 1))
    assert explained(one_of(params, 0))[1].max() > 1e-2


def test_of_several_classes_the_true_ones_logit_is_explained():
    config = Config(data="wine", hidden=())
    problem = make_problem(config)
    state = problem.task.init(problem.shared, HParams(), jax.random.key(0))
    rows = rows_of(problem.shared, 10)
    found, _ = explain(fit_to(config, problem.shared), problem.shared, state.params, rows, 2)
    kernel = state.params["Dense_0"]["kernel"]
    expected = rows.x * kernel[:, rows.y].T
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_shuffling_tells_the_column_that_matters():
    """A linear net that reads its first column alone."""
    config = dataclasses.replace(Config(data="diabetes", hidden=()), loss="squared_error")
    shared = make_problem(config).shared
    rows = Split(shared.test.x, 2 * shared.test.x[:, 0])
    params = {"Dense_0": {"kernel": jnp.zeros((10, 1)).at[0].set(2.0), "bias": jnp.zeros(1)}}
    found = permutation_importance(
        config, shared, params, rows, jnp.eye(10, dtype=bool), 20, jax.random.key(0)
    )

    same = LinearRegression().fit(rows.x, rows.y)
    expected = sklearns(same, np.asarray(rows.x), rows.y, scoring="r2", n_repeats=20)
    np.testing.assert_allclose(found[0], expected.importances_mean[0], rtol=0.15)
    np.testing.assert_allclose(found[1:], 0, atol=1e-6)


def test_features_of_one_column_are_shuffled_together():
    """Two features that are the same one: shuffled apart, one makes up for half of the other."""
    config = dataclasses.replace(Config(data="diabetes", hidden=()), loss="squared_error")
    shared = make_problem(config).shared
    x = np.array(shared.test.x)
    x[:, 1] = -x[:, 0]
    rows = Split(x, x[:, 0] + x[:, 1])
    params = {"Dense_0": {"kernel": jnp.ones((10, 1)), "bias": jnp.zeros(1)}}
    together = jnp.zeros((1, 10), bool).at[0, :2].set(True)
    rows = rows._replace(y=x.sum(axis=1))
    found = permutation_importance(config, shared, params, rows, together, 3, jax.random.key(0))
    np.testing.assert_allclose(found, 0, atol=1e-5)  # their sum is 0 wherever they come from
