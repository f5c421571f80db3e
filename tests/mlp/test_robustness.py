"""Scores under attack."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.mlp import Config, HParams, make_problem
from research.mlp.loss import margin
from research.mlp.robustness import robustness
from research.mlp.task import fit_to, predictions
from research.sweep import sweep

RADII = jnp.asarray([0.0, 0.1, 0.3, 1.0])


@pytest.fixture(scope="module", params=["wine", "breast_cancer", "diabetes"])
def attacked(request):
    """A net, and its scores under FGSM and PGD."""
    config = Config(data=request.param, hidden=(16,))
    problem = make_problem(config)
    shared = problem.shared
    params = sweep(problem.task, shared, HParams(learning_rate=1e-2), 1, 100).states.params
    params = jax.tree.map(lambda leaf: leaf[0], params)
    config = fit_to(config, shared)
    call = jax.jit(lambda p, key: robustness(config, shared, p, shared.test, RADII, 5, key))
    return config, shared, params, call(params, jax.random.key(0))


def worse(shared, scores):
    """Scores so that less is worse."""
    return np.asarray(scores) if shared.classes else -np.asarray(scores)


def test_a_radius_of_nothing_changes_nothing(attacked):
    config, shared, params, scores = attacked
    predicted = np.asarray(predictions(config, shared, params, shared.test.x))
    if shared.classes:
        expected = np.mean(predicted.argmax(axis=1) == shared.test.y)
    else:
        y = shared.test.y * shared.target_scale + shared.target_mean
        expected = np.sqrt(np.mean((predicted[:, 0] - y) ** 2))
    for one in scores:
        np.testing.assert_allclose(one[0], expected, rtol=1e-5)


def test_pgd_is_never_weaker_than_fgsm_and_grows_with_the_radius(attacked):
    _, shared, _, (fast, pgd) = attacked
    assert np.all(worse(shared, pgd) <= worse(shared, fast) + 1e-6)
    assert np.all(np.diff(worse(shared, pgd)) <= 1e-6)
    assert worse(shared, pgd)[-1] < worse(shared, pgd)[0] - 0.2


def test_a_sure_net_is_not_taken_for_a_robust_one():
    """With logits so large that the loss has no slope left in float32, FGSM finds nothing; PGD
    along the margin does."""
    config = Config(data="wine", hidden=(16,))
    problem = make_problem(config)
    shared, config = problem.shared, fit_to(config, problem.shared)
    params = sweep(problem.task, shared, HParams(learning_rate=1e-2), 1, 200).states.params
    params = jax.tree.map(lambda leaf: leaf[0], params)
    sure = {**params, "Dense_1": jax.tree.map(lambda leaf: 1e4 * leaf, params["Dense_1"])}
    call = jax.jit(
        lambda p: robustness(config, shared, p, shared.test, RADII, 10, jax.random.key(0))
    )
    (fast, pgd), (_, plain) = call(sure), call(params)
    assert fast[-1] > 0.8
    np.testing.assert_allclose(pgd[-1], plain[-1], atol=0.1)


def test_the_margin_by_hand():
    logits = jnp.asarray([[1.0, 4.0, 2.5], [3.0, 0.0, 1.0]])
    np.testing.assert_allclose(margin(logits, jnp.asarray([1, 2])), ((2.5 - 4) + (3 - 1)) / 2)
    one = jnp.asarray([[2.0], [-3.0]])
    np.testing.assert_allclose(margin(one, jnp.asarray([1, 1])), (-2 + 3) / 2)
