"""Tests of selecting the best of many settings by cross-fitting."""

import numpy as np
import pandas as pd
import pytest

from research.report.selection import select


def series(values_MxS):
    return [pd.Series(one) for one in np.asarray(values_MxS, float)]


def test_the_reported_score_of_the_best_of_equal_settings_is_unbiased():
    """All true scores are 0: the largest of 20 means seems 0.5, the reported score about 0."""
    rng, seems, reported = np.random.default_rng(0), [], []
    for _ in range(60):
        scores = series(rng.normal(size=(20, 10)))
        found = select(scores, scores, True)
        assert found is not None
        seems.append(found.apparent.estimate)
        reported.append(found.held_out.estimate)
    assert np.mean(seems) > 0.45
    assert abs(np.mean(reported)) < 0.12


@pytest.mark.parametrize(("higher", "best"), [(True, 2), (False, 0)])
def test_a_setting_that_is_clearly_best_is_chosen_by_both_halves(higher, best):
    scores = series(np.random.default_rng(0).normal([[0], [5], [10]], 0.1, size=(3, 8)))
    found = select(scores, scores, higher)
    assert found is not None
    assert found.best == best
    assert found.chosen == (best, best)
    assert found.agreed
    assert found.held_out == found.apparent  # all seeds, of that setting


def test_the_halves_choose_by_one_score_and_are_scored_by_another_of_other_seeds():
    """Seeds with even numbers choose the first setting, the others the second."""
    chosen_by = series([[1, 0, 1, 0], [0, 1, 0, 1]])
    scored_by = series([[1, 2, 3, 4], [5, 6, 7, 8]])
    found = select(chosen_by, scored_by, True)
    assert found is not None
    assert found.chosen == (0, 1)
    assert not found.agreed
    assert found.held_out.estimate == np.mean([2, 4, 5, 7][1:3])  # IQM of what was held out


def test_a_setting_with_many_diverged_runs_is_not_selected():
    good, fair = series([[10, 10, np.nan, np.nan, 10, 10, np.nan, np.nan], [1] * 8])
    found = select([good, fair], [good.dropna(), fair], True)
    assert found is not None
    assert found.best == 1
    assert found.chosen == (1, 1)


@pytest.mark.parametrize("values", [[[1, 2, 3, 4, 5]], [[1, 2, 3], [4, 5, 6]]])
def test_selection_needs_several_settings_and_four_seeds(values):
    assert select(series(values), series(values), True) is None


def test_settings_without_finite_runs_are_not_selected():
    lost = series([[np.nan] * 4, [np.nan] * 4])
    assert select(lost, [one.dropna() for one in lost], True) is None
