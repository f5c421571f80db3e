"""Tests of the order of settings."""

import math

import numpy as np

from research.report.metrics import possible_range, within
from research.report.ranking import merit
from research.report.statistics import Interval

NAN = float("nan")


def test_a_run_that_diverged_counts_as_worst():
    assert merit([5, 5, 5, NAN], True).iqm == 5  # in the quarter that is left out
    assert merit([5, 5, NAN, NAN], True).iqm == -math.inf
    assert merit([1, 2, 3, NAN], True).iqm == 1.5  # 2.0 of the finite ones
    assert merit([1, 2, 3, NAN], False).iqm == -2.5
    assert merit([NAN, NAN], True) < merit([-1e30, NAN], True) < merit([-1e30, -1e30], True)


def test_of_equal_settings_more_runs_at_the_goal_come_first_and_then_the_mean():
    often = merit([0, 5, 5, 9], True, goal=5)
    rarely = merit([0, 5, 5, 9], True, goal=9)
    assert often > rarely
    assert merit([4, 5, 5, 5], True, 5) > merit([3, 5, 5, 5], True, 5)
    assert merit([3, 5, 5, 5], True, 5) > merit([4, 4.9, 5.1, 9], True, 5)
    assert merit([4, 5, 5, 6], False, 5) > merit([4, 5, 5, 7], False, 5)
    assert merit([5, 5, 5, NAN], True, goal=5).reached == 0.75


def test_rounding_errors_do_not_change_the_ranking():
    values = np.array([0.1, 0.2, 0.3, 0.7, 0.7, 0.1, 0.4])
    assert merit(values, True) == merit(values[::-1] * (1 + 1e-15), True)


def test_intervals_stay_within_the_range_of_the_metric():
    interval = Interval(np.array(0.9), np.array(-0.2), np.array(1.7))
    assert within(interval, *possible_range("test_accuracy", [0.9])) == (0.9, 0, 1)
    assert within(interval, *possible_range("validation_r2", [0.9])) == (0.9, -0.2, 1)
    assert within(interval, *possible_range("evaluation_return", [0.9])) == interval
    assert possible_range("validation_perplexity", [3.0]) == (1, math.inf)
    assert possible_range("test_balanced_accuracy", [0.9]) == (0, 1)


def test_measured_values_outside_the_known_range_widen_it():
    assert possible_range("loss", [0.1, -0.1]) == (-math.inf, math.inf)
    assert possible_range("loss", [0.1, 0.1]) == (0, math.inf)
