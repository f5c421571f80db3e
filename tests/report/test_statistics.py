"""Tests of the interquartile mean, the median, the mean and their intervals."""

import numpy as np
import pytest
from scipy.stats import norm

from research.report.statistics import (
    expanded_confidence,
    interquartile_mean,
    iqm_interval,
    mean_interval,
    median_interval,
    performance_profile,
    shortfall,
)


@pytest.mark.parametrize("n", [4, 5, 8, 11, 32])
def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end(n):
    values = np.random.default_rng(n).permutation(np.arange(n) ** 2.0)
    expected = np.sort(values)[n // 4 : n - n // 4].mean()
    np.testing.assert_allclose(interquartile_mean(values), expected)


def test_outliers_do_not_move_the_interquartile_mean():
    assert interquartile_mean(np.array([1.0, 2, 3, 1e9])) == 2.5


def test_the_interval_holds_the_estimate_and_narrows_with_more_seeds():
    values = np.random.default_rng(0).normal(size=400)
    few, many = iqm_interval(values[:20]), iqm_interval(values)
    assert few.low < few.estimate < few.high
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=20)
    assert iqm_interval(values, seed=1) == iqm_interval(values, seed=1)
    assert iqm_interval(values, seed=1) != iqm_interval(values, seed=2)


def test_the_interval_of_each_column_equals_that_of_the_column_alone():
    values = np.random.default_rng(0).normal(size=(16, 3))
    together = iqm_interval(values)
    for column in range(3):
        estimate, low, high = iqm_interval(values[:, column])
        np.testing.assert_allclose(together.estimate[column], estimate)
        assert together.low[column] == pytest.approx(low, abs=0.15)
        assert together.high[column] == pytest.approx(high, abs=0.15)


def test_one_seed_has_no_interval():
    estimate, low, high = iqm_interval(np.array([0.25]))
    assert estimate == low == high == 0.25


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_the_iqm_interval_has_about_its_nominal_coverage(draw):
    """The measured coverage is 0.930 (normal) and 0.937 (exponential) in 300 trials of 32 seeds."""
    rng = np.random.default_rng(0)
    truth = interquartile_mean(getattr(rng, draw)(size=1_000_000))
    hits = 0
    for _ in range(300):
        _, low, high = iqm_interval(getattr(rng, draw)(size=32))
        hits += low <= truth <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_the_interval_of_the_mean_has_its_nominal_coverage():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.exponential(1.0, 100)) for _ in range(100)]
    covered = np.mean([low <= 1 <= high for _, low, high in intervals])
    assert 0.87 <= covered <= 0.99


def test_the_interval_of_equal_values_has_width_0():
    assert mean_interval(np.full(5, 3.0)) == (3, 3, 3)


def test_percentiles_expand_for_few_seeds_and_not_for_many():
    np.testing.assert_allclose(expanded_confidence(0.95, 5), 0.99809, atol=1e-5)
    np.testing.assert_allclose(expanded_confidence(0.95, 10**6), 0.95, atol=1e-5)


def test_percentiles_expand_less_with_many_strata():
    """With very many strata, the total variance is as good as known."""
    wide = np.sqrt(5 / 4) * norm.ppf(0.975)
    assert expanded_confidence(0.95, 5, 10**6) == pytest.approx(2 * norm.cdf(wide) - 1)


def test_intervals_of_five_seeds_have_nearly_nominal_coverage():
    """At plain percentiles their coverage would be 0.90."""
    scores = np.random.default_rng(0).normal(size=(5, 1000))
    _, low, high = iqm_interval(scores)
    assert 0.92 <= np.mean((low <= 0) & (high >= 0)) <= 0.96


@pytest.mark.parametrize("interval", [iqm_interval, median_interval, mean_interval])
def test_strata_are_resampled_separately(interval):
    """The two settings are far apart: pooled resamples would mix them in varying proportions."""
    low, high = np.random.default_rng(0).normal([[0], [100]], size=(2, 20))
    apart = interval(low, high)
    pooled = interval(np.concatenate([low, high]))
    assert apart.estimate == pooled.estimate
    assert apart.high - apart.low < 0.2 * (pooled.high - pooled.low)


def test_intervals_of_two_strata_have_about_nominal_coverage():
    values = np.random.default_rng(0).normal([[[0]], [[5]]], size=(2, 10, 1000))
    _, low, high = mean_interval(*values)
    assert 0.92 <= np.mean((low <= 2.5) & (high >= 2.5)) <= 0.98


def test_the_median_has_an_interval_of_its_own():
    values = np.random.default_rng(0).exponential(size=51)
    estimate, low, high = median_interval(values)
    assert estimate == np.median(values)
    assert low < estimate < high
    assert {float(low), float(high)} <= set(values)  # a resample's median is one of the values


def test_bootstrap_t_covers_the_mean_of_skewed_values_better_than_t():
    """Plain t intervals have a coverage of 0.88."""
    values = np.random.default_rng(0).lognormal(0, 0.7, size=(5, 1000))
    _, low, high = mean_interval(values)
    truth = np.exp(0.7**2 / 2)
    assert np.mean((low <= truth) & (truth <= high)) > 0.91


def test_the_mean_of_seeds_that_nearly_all_agree_has_a_bounded_interval():
    estimate, low, high = mean_interval(np.array([500.0, 500, 500, 500, 430]))
    assert 430 <= low < estimate < high <= 500


def test_the_shortfall_is_0_beyond_the_goal():
    np.testing.assert_array_equal(shortfall([1, 3, 5], 3, True), [2, 0, 0])
    np.testing.assert_array_equal(shortfall([1, 3, 5], 3, False), [0, 0, 2])


@pytest.mark.parametrize(("higher", "expected"), [(True, [1, 0.75, 0]), (False, [0, 0.75, 1])])
def test_a_performance_profile_is_the_share_of_runs_at_least_as_good(higher, expected):
    profile = performance_profile([1, 2, 2, 3], [0.5, 2, 3.5], higher)
    np.testing.assert_allclose(profile.estimate, expected)
    assert profile.low[1] < 0.75 < profile.high[1]
    assert profile.low[0 if higher else 2] < 0.6  # four runs are not all runs
    assert np.all((profile.low >= 0) & (profile.high <= 1))
