"""Tests of moderating the variances of many settings."""

import numpy as np
import pytest

from research.report.variances import moderate, prior_freedom

FREEDOM = np.full(200, 4.0)


def estimates(true, seed=0):
    return true * np.random.default_rng(seed).chisquare(4, 200) / 4


def test_equal_true_variances_are_pooled():
    found = estimates(np.full(200, 9.0))
    prior = prior_freedom(found, FREEDOM)
    assert prior > 20
    moderated = moderate(found, FREEDOM, prior)
    assert moderated.variances.min() > 6  # the smallest of 200 estimates is below 1
    assert found.min() < 1
    np.testing.assert_array_less(20, moderated.freedom)


@pytest.mark.parametrize("freedom", [2.0, 6.0])
def test_the_prior_degrees_of_freedom_are_recovered(freedom):
    """The true variances are drawn from the prior that Smyth (2004) assumes."""
    rng = np.random.default_rng(1)
    true = freedom / rng.chisquare(freedom, 20_000)
    found = true * rng.chisquare(4, 20_000) / 4
    assert prior_freedom(found, np.full(20_000, 4.0)) == pytest.approx(freedom, rel=0.1)


def test_variances_of_different_magnitudes_are_not_moderated():
    found = estimates(np.geomspace(1e-8, 1e8, 200))
    prior = prior_freedom(found, FREEDOM)
    assert prior < 0.2
    moderated, larger = moderate(found, FREEDOM, prior).variances, found > 1e-4
    np.testing.assert_allclose(moderated[larger], found[larger], rtol=0.2)


def test_no_variance_is_made_smaller():
    found = estimates(np.full(200, 1.0))
    assert np.all(moderate(found, FREEDOM, 50.0).variances >= found)


@pytest.mark.parametrize("found", [[1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
def test_too_few_variances_are_not_moderated(found):
    found, freedom = np.array(found), np.full(len(found), 4.0)
    assert prior_freedom(found, freedom) == 0
    np.testing.assert_array_equal(moderate(found, freedom, 0.0).variances, found)
