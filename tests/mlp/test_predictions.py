"""Tests of predictions: outputs, probabilities, and regression in the target's unit."""

import chex
import jax
import numpy as np
import pytest
from sklearn import datasets

from research.mlp import Config, HParams, make_problem
from research.mlp.task import State, in_batches, outputs, predictions

CONFIG = Config(data="wine", hidden=(8,), batch_size=8)


def net(config):
    """Data, and params of a net for it."""
    problem = make_problem(config)
    shapes = jax.eval_shape(problem.task.init, problem.shared, HParams(), jax.random.key(0)).params
    rng = np.random.default_rng(0)
    normal = lambda leaf: np.float32(rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[0]))
    return problem.shared, jax.tree.map(normal, shapes)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16, 17, 31, 64])
def test_in_batches_equals_all_rows_at_once(rows):
    seen = []

    def function(x, y):
        seen.append(len(x))
        return x * 2 + y[:, None]

    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    y = np.arange(rows, dtype=np.float32) ** 2
    found = jax.jit(lambda x, y: in_batches(function, x, y, most=8))(x, y)
    np.testing.assert_array_equal(found, x * 2 + y[:, None])
    assert max(seen) <= 8


def test_outputs_in_batches_equal_outputs_at_once(monkeypatch):
    shared, params = net(CONFIG)

    @jax.jit
    def both():
        whole = outputs(CONFIG, shared, params, shared.train.x)
        with monkeypatch.context() as patch:
            patch.setattr("research.mlp.task.ROWS_AT_ONCE", 10)
            return outputs(CONFIG, shared, params, shared.train.x), whole

    turns, whole = jax.device_get(both())
    chex.assert_trees_all_close(turns, whole, atol=1e-6)


@pytest.mark.parametrize(("data", "classes"), [("digits", 10), ("breast_cancer", 2)])
def test_predictions_are_the_probabilities_of_the_classes(data, classes):
    config = Config(data=data, hidden=(4,))
    shared, params = net(config)
    x = shared.test.x
    given = lambda: (predictions(config, shared, params, x), outputs(config, shared, params, x))
    found, logits = jax.device_get(jax.jit(given)())
    assert found.shape == (len(x), classes)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    expected = logits[:, 0] > 0 if classes == 2 else logits.argmax(axis=1)
    np.testing.assert_array_equal(found.argmax(axis=1), expected)
    odds = np.log(found[:, -1] / found[:, 0])
    expected = logits[:, 0] if classes == 2 else logits[:, -1] - logits[:, 0]
    np.testing.assert_allclose(odds, expected, rtol=1e-3, atol=1e-5)


def predicted_and_scored(config, params):
    """The predictions of a net on the test part, and their scores."""
    problem = make_problem(config)
    shared, state = problem.shared, State(params, None, None, None)

    @jax.jit
    def both():
        scores = problem.task.evaluate(shared, HParams(), state, jax.random.key(1))
        return predictions(config, shared, params, shared.test.x), scores

    return problem, *jax.device_get(both())


def test_regression_predictions_are_in_the_unit_of_the_target():
    config = Config(data="diabetes", hidden=(4,))
    problem, found, metrics = predicted_and_scored(config, net(config)[1])
    assert found.shape == (len(problem.shared.test.y), 1)
    targets = datasets.load_diabetes().target[problem.facts["rows"]["test"]]
    rmse = np.sqrt(np.mean(np.square(found[:, 0] - targets)))
    np.testing.assert_allclose(rmse, metrics["test_rmse"], rtol=1e-4)


def test_regression_is_scored_in_the_units_of_the_target():
    config = Config(data="diabetes", hidden=())
    params = jax.tree.map(np.zeros_like, net(config)[1])
    problem, _, metrics = predicted_and_scored(config, params)
    targets = problem.shared.test.y * problem.shared.target_scale
    expected = np.sqrt(np.mean(np.square(targets)))
    assert expected > 50  # the target is a score of about 25 to 350
    np.testing.assert_allclose(metrics["test_rmse"], expected, rtol=1e-5)
