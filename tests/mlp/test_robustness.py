"""Tests of scores under attack."""

from functools import cache

import jax
import numpy as np
import pytest

from research.mlp import Config, make_problem
from research.mlp.loss import margin
from research.mlp.robustness import robustness
from research.mlp.task import fit_to, predictions
from tests.contract import slow
from tests.mlp.cases import trained

RADII = np.float32([0.0, 0.1, 0.3, 1.0])


@cache
def attack_on(data):
    """A trained net, its config and data, and a function of params that returns scores under FGSM
    and PGD, and predictions without attack."""
    config = Config(data=data, hidden=(16,))
    shared = make_problem(config).shared
    config = fit_to(config, shared)

    @jax.jit
    def call(params):
        scores = robustness(config, shared, params, shared.test, RADII, 10, jax.random.key(0))
        return scores, predictions(config, shared, params, shared.test.x)

    return shared, trained(shared, config.hidden), call


@pytest.fixture(scope="module", params=["wine", "diabetes", slow("breast_cancer")])
def attacked(request):
    """Data, scores of a net under FGSM and PGD, and its predictions."""
    shared, params, call = attack_on(request.param)
    return shared, *jax.device_get(call(params))


def worse(shared, scores):
    """Scores with the sign that makes lower worse."""
    return np.asarray(scores) if shared.classes else -np.asarray(scores)


def test_radius_0_gives_the_scores_without_attack(attacked):
    shared, scores, predicted = attacked
    if shared.classes:
        expected = np.mean(predicted.argmax(axis=1) == shared.test.y)
    else:
        y = shared.test.y * shared.target_scale + shared.target_mean
        expected = np.sqrt(np.mean((predicted[:, 0] - y) ** 2))
    for one in scores:
        np.testing.assert_allclose(one[0], expected, rtol=1e-5)


def test_pgd_is_never_weaker_than_fgsm_and_grows_with_the_radius(attacked):
    shared, (fast, pgd), _ = attacked
    assert np.all(worse(shared, pgd) <= worse(shared, fast) + 1e-6)
    assert np.all(np.diff(worse(shared, pgd)) <= 1e-6)
    assert worse(shared, pgd)[-1] < worse(shared, pgd)[0] - 0.2


def test_vanishing_loss_gradients_are_not_mistaken_for_robustness():
    """With logits so large that the gradient of the loss vanishes in float32, FGSM finds nothing,
    but PGD on the margin does."""
    _, params, call = attack_on("wine")
    sure = {**params, "Dense_1": jax.tree.map(lambda leaf: 1e4 * leaf, params["Dense_1"])}
    ((fast, pgd), _), ((_, plain), _) = call(sure), call(params)
    assert fast[-1] > 0.8
    np.testing.assert_allclose(pgd[-1], plain[-1], atol=0.1)


def test_the_margin_by_hand():
    logits, compiled = np.float32([[1.0, 4.0, 2.5], [3.0, 0.0, 1.0]]), jax.jit(margin)
    np.testing.assert_allclose(compiled(logits, np.int32([1, 2])), ((2.5 - 4) + (3 - 1)) / 2)
    one = np.float32([[2.0], [-3.0]])
    np.testing.assert_allclose(compiled(one, np.int32([1, 1])), (-2 + 3) / 2)
