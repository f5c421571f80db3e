"""Tests of ensembles."""

import numpy as np
import pytest

from research.mlp.ensembles import DRAWS, MOST_SIZES, average, by_size, gains
from research.mlp.scores import score

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 60)
NAMES = ["a", "b", "c"]


def runs(count):
    p = RNG.dirichlet(np.ones(3), (count, 60)) + np.eye(3)[Y]
    return (p / p.sum(axis=2, keepdims=True)).astype(np.float32)


def test_an_ensemble_gives_the_mean_of_probabilities():
    p = runs(4)
    np.testing.assert_allclose(average(p), p.astype(float).mean(axis=0))
    np.testing.assert_allclose(average(p).sum(axis=1), 1, rtol=1e-6)


def test_few_runs_give_ensembles_of_every_size():
    p = runs(3)
    found = list(by_size(Y, p, NAMES))
    assert [one.members for one in found] == sorted([1, 2] * DRAWS + [3])
    assert found[-1].scores == score(Y, average(p), NAMES)
    alone = [score(Y, one, NAMES) for one in p]
    assert all(one.scores in alone for one in found[:DRAWS])


def test_many_runs_give_ensembles_of_at_most_16_sizes(monkeypatch):
    monkeypatch.setattr("research.mlp.ensembles.score", lambda *_: {})
    sizes = {one.members for one in by_size(Y, runs(100), NAMES)}
    assert {1, 2, 100} <= sizes
    assert len(sizes) <= MOST_SIZES


def test_ensembles_follow_the_seed():
    p = runs(3)
    one, again, other = (
        [t.scores["log_loss"] for t in by_size(Y, p, NAMES, seed)] for seed in (0, 0, 1)
    )
    assert one == again != other


def test_gains_are_member_losses_minus_the_ensemble_loss():
    p = runs(7)
    found = {name: gain.mean() for name, gain in gains(Y, p).items()}
    alone = [score(Y, one, NAMES) for one in p]
    together = score(Y, average(p), NAMES)
    expected = together["accuracy"] - np.mean([one["accuracy"] for one in alone])
    np.testing.assert_allclose(found["error"], expected)
    expected = np.mean([one["log_loss"] for one in alone]) - together["log_loss"]
    np.testing.assert_allclose(found["log_loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["log_loss", "brier"])
def test_the_gain_is_never_negative_for_a_convex_loss(name):
    assert gains(Y, runs(7))[name].min() > -1e-6


def test_an_ensemble_of_equal_runs_gains_nothing():
    p = np.repeat(runs(1), 3, axis=0)
    for gain in gains(Y, p).values():
        np.testing.assert_allclose(gain, 0, atol=1e-6)


def test_ensembles_of_regressions_have_gains():
    y = RNG.normal(size=40)
    predicted = y[None, :, None] + RNG.normal(size=(8, 40, 1))
    found = gains(y, predicted)
    alone = np.mean((predicted[:, :, 0] - y[None]) ** 2)
    together = np.mean((predicted.mean(axis=0)[:, 0] - y) ** 2)
    np.testing.assert_allclose(found["squared_error"].mean(), alone - together)
