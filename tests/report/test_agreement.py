"""What runs agree on."""

import itertools

import numpy as np
from scipy.stats import spearmanr

from research.report.agreement import in_top, rank_correlation


def test_runs_are_counted_that_have_a_feature_in_their_top():
    importance = np.array([[3.0, 2.0, 1.0, 0.0], [1.0, 3.0, 2.0, 0.0], [5.0, 4.0, 0.0, 0.0]])
    assert in_top(importance, 2).tolist() == [2, 3, 1, 0]


def test_what_has_no_importance_is_in_no_top():
    assert in_top(np.array([[2.0, 0.0, -1.0]]), 3).tolist() == [1, 0, 0]


def test_the_correlation_is_the_mean_of_all_pairs():
    importance = np.random.default_rng(0).normal(size=(5, 8)) + np.arange(8)
    pairs = itertools.combinations(importance, 2)
    expected = np.mean([spearmanr(*pair).statistic for pair in pairs])
    np.testing.assert_allclose(rank_correlation(importance), expected)


def test_equal_orders_correlate_fully_and_opposite_ones_not():
    order = np.arange(6.0)
    np.testing.assert_allclose(rank_correlation(np.stack([order, 2 * order, order**3])), 1)
    np.testing.assert_allclose(rank_correlation(np.stack([order, -order])), -1)
    assert np.isnan(rank_correlation(order[None]))
