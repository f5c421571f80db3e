"""Tests of comparing two settings."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from research.report.comparison import (
    MOST_SEEDS,
    compare,
    difference_of_iqms,
    probability_of_improvement,
    seeds_needed,
)
from research.report.statistics import interquartile_mean


def scores(seeds, mean=1.0, spread=0.07, seed=0):
    return pd.Series(np.random.default_rng(seed).normal(mean, spread, seeds))


@pytest.mark.parametrize("seeds", [2, 5, 64])
def test_equal_scores_are_called_the_same(seeds):
    found = compare(scores(seeds), scores(seeds), True)
    assert found.verdict == "same scores"
    assert found.difference == (0, 0, 0)
    assert found.improvement.estimate == 0.5
    assert found.seeds_needed is None


@pytest.mark.parametrize(("higher", "verdict"), [(True, "better"), (False, "worse")])
def test_a_difference_of_five_percent_is_found_with_64_seeds(higher, verdict):
    """The settings have different seeds, so that pairing cannot help."""
    found = compare(scores(64, 1.05, seed=1), scores(64).set_axis(range(100, 164)), higher)
    assert found.pairs == 0
    assert found.verdict == verdict


@pytest.mark.parametrize(("one", "other"), [([2.0], [1.0]), ([2.0, 2, 2], [1.0, 1, 1])])
@pytest.mark.parametrize("shift", [0, 100])
def test_three_seeds_resolve_nothing_even_if_they_agree(one, other, shift):
    """With two equal settings, all scores of one are above all of the other in 1 case of 10."""
    found = compare(pd.Series(one), pd.Series(other).set_axis(range(shift, shift + len(one))), True)
    assert found.verdict == "not resolved"
    assert found.difference.estimate == 1
    assert np.isnan([found.difference.low, found.difference.high]).all()
    assert found.seeds_needed is None


def test_eight_seeds_that_agree_resolve_a_difference():
    found = compare(pd.Series([2.0] * 8), pd.Series([1.0] * 8), True)
    assert found.verdict == "better"
    assert found.difference == (1, 1, 1)


def test_five_noisy_seeds_do_not_resolve_five_percent():
    found = compare(scores(5, 1.05, 0.2, seed=1), scores(5, 1, 0.2), True)
    assert found.verdict == "not resolved"
    assert found.seeds_needed is not None
    assert found.seeds_needed > 5


def test_equal_settings_are_rarely_called_different():
    rng = np.random.default_rng(0)
    found = [compare(*map(pd.Series, rng.normal(size=(2, 10))), True).verdict for _ in range(100)]
    assert sum(one != "not resolved" for one in found) <= 11


def test_pairing_removes_the_effect_of_seeds():
    """Seeds differ far more than the settings, so only pairing can resolve the difference."""
    luck, noise = np.random.default_rng(0).normal(size=(2, 20))
    one, other = pd.Series(10 * luck + 0.3 * noise + 1), pd.Series(10 * luck)
    paired = compare(one, other, True)
    assert paired.verdict == "better"
    assert paired.pairs == 20
    assert paired.correlation > 0.99
    apart = compare(one, other.set_axis(range(100, 120)), True)
    assert apart.pairs == 0
    assert apart.verdict == "not resolved"


def test_scores_are_paired_by_seed_not_by_position():
    values = np.random.default_rng(0).normal(size=20)
    one = pd.Series(values + 1e-3, range(20)).sample(frac=1, random_state=0)
    other = pd.Series(values[::-1], range(19, -1, -1))
    np.testing.assert_allclose(compare(one, other, True).difference, 1e-3)


def test_a_seed_missing_on_one_side_is_left_out():
    one, other = scores(10), scores(10, seed=1)
    found = compare(one.drop(3), other, True)
    assert found.pairs == 9
    a, b = one.drop(3).to_numpy(), other.drop(3).to_numpy()
    assert found.difference.estimate == interquartile_mean(a) - interquartile_mean(b)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("seeds", [5, 64])
def test_the_interval_of_a_difference_has_its_nominal_coverage(paired, seeds):
    rng, hits = np.random.default_rng(seeds), 0
    for _ in range(100):
        a, b = rng.normal(size=(2, seeds))
        (_, low, high), _ = difference_of_iqms(a + 1, b, paired)
        hits += low <= 1 <= high
    assert hits >= 89


def test_the_probability_of_improvement_counts_pairs_and_half_of_the_ties():
    a, b = np.array([1.0, 2, 3]), np.array([2.0, 2, 0])
    expected = np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for x in a for y in b])
    found = probability_of_improvement(a, b)
    assert found.estimate == pytest.approx(expected)
    assert found.low < expected < found.high


def test_winning_all_five_pairs_is_not_certainty():
    found = probability_of_improvement(np.arange(5) + 10.0, np.arange(5.0))
    assert found.estimate == found.high == 1
    assert 0.4 < found.low < 0.8
    mirrored = probability_of_improvement(np.arange(5.0), np.arange(5) + 10.0)
    np.testing.assert_allclose(mirrored.high, 1 - found.low, atol=1e-6)


@pytest.mark.parametrize("difference", [0.0, 1.5])
def test_the_interval_of_the_probability_has_its_nominal_coverage(difference):
    rng, truth = np.random.default_rng(0), norm.cdf(difference / np.sqrt(2))
    found = [
        probability_of_improvement(*rng.normal([[difference], [0]], size=(2, 10)))
        for _ in range(400)
    ]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93


def test_a_tiny_difference_needs_the_maximum_number_of_seeds():
    assert seeds_needed(1e-9, 1.0, 5) == MOST_SEEDS
    assert seeds_needed(100.0, 1.0, 5) == 2


def test_an_unresolved_difference_needs_more_seeds():
    """At the strict level of one of many comparisons, few seeds give wide t intervals."""
    for level in (0.05, 1e-3, 1e-5):
        error = 1 / float(t.isf(level / 2, 4))
        needed = seeds_needed(1.0, error, 5, level)
        assert needed is not None
        assert needed > 5


def test_the_needed_seeds_give_the_promised_power():
    """For normal scores half a standard deviation apart, 80% of experiments with the needed number
    of seeds find the difference."""
    rng = np.random.default_rng(0)
    a, b = rng.normal([[0.5], [0]], size=(2, 4000))
    _, error = difference_of_iqms(a, b, False)
    needed = seeds_needed(0.5, error, 4000)
    assert needed is not None
    found = 0
    for _ in range(80):
        a, b = rng.normal([[0.5], [0]], size=(2, needed))
        found += difference_of_iqms(a, b, False)[0].low > 0
    assert 0.68 <= found / 80 <= 0.92
