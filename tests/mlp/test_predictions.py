"""What a trained net says of rows: outputs, probabilities, numbers in the target's unit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets

from research.mlp import Config, HParams, make_problem
from research.mlp.loss import predicted_class
from research.mlp.task import in_turns, outputs, predictions

CONFIG = Config(data="wine", hidden=(8,), batch_size=8)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16, 17, 31, 64])
def test_rows_that_take_turns_give_what_they_give_at_once(rows):
    seen = []

    def function(x, y):
        seen.append(len(x))
        return x * 2 + y[:, None]

    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    y = np.arange(rows, dtype=np.float32) ** 2
    np.testing.assert_array_equal(in_turns(function, x, y, most=8), x * 2 + y[:, None])
    assert max(seen) <= 8


def test_outputs_in_turns_are_those_at_once(monkeypatch):
    problem = make_problem(CONFIG)
    shared = problem.shared
    params = jax.jit(problem.task.init)(shared, HParams(), jax.random.key(0)).params
    whole = outputs(CONFIG, shared, params, shared.train.x)
    monkeypatch.setattr("research.mlp.task.ROWS_AT_ONCE", 10)
    turns = outputs(CONFIG, shared, params, shared.train.x)
    chex.assert_trees_all_close(turns, whole, atol=1e-6)


@pytest.mark.parametrize(("data", "classes"), [("digits", 10), ("breast_cancer", 2)])
def test_predictions_are_the_probabilities_of_the_classes(data, classes):
    config = Config(data=data, hidden=(4,))
    problem = make_problem(config)
    shared, x = problem.shared, problem.shared.test.x
    params = jax.jit(problem.task.init)(shared, HParams(), jax.random.key(0)).params
    found = np.asarray(predictions(config, shared, params, x))
    assert found.shape == (len(x), classes)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    logits = outputs(config, shared, params, x)
    np.testing.assert_array_equal(found.argmax(axis=1), predicted_class(logits))
    odds = np.log(found[:, -1] / found[:, 0])
    expected = logits[:, 0] if classes == 2 else logits[:, -1] - logits[:, 0]
    np.testing.assert_allclose(odds, expected, rtol=1e-3, atol=1e-5)


def test_predicted_numbers_are_in_the_unit_of_the_target():
    config = Config(data="diabetes", hidden=(4,))
    problem = make_problem(config)
    shared, state = problem.shared, problem.task.init(problem.shared, HParams(), jax.random.key(0))
    found = np.asarray(predictions(config, shared, state.params, shared.test.x))
    assert found.shape == (len(shared.test.y), 1)
    targets = datasets.load_diabetes().target[problem.facts["rows"]["test"]]
    metrics = problem.task.evaluate(shared, HParams(), state, jax.random.key(1))
    rmse = np.sqrt(np.mean(np.square(found[:, 0] - targets)))
    np.testing.assert_allclose(rmse, metrics["test_rmse"], rtol=1e-4)


def test_regression_is_scored_in_the_units_of_the_target():
    problem = make_problem(Config(data="diabetes", hidden=()))
    state = problem.task.init(problem.shared, HParams(), jax.random.key(0))
    zero = state._replace(params=jax.tree.map(jnp.zeros_like, state.params))
    metrics = problem.task.evaluate(problem.shared, HParams(), zero, jax.random.key(0))
    targets = problem.shared.test.y * problem.shared.target_scale
    expected = np.sqrt(np.mean(np.square(targets)))
    assert expected > 50  # the target is a score of about 25 to 350
    np.testing.assert_allclose(metrics["test_rmse"], expected, rtol=1e-5)
