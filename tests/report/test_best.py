"""Tests of comparing every setting with the best, which the same scores have picked."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, studentized_range

from research.report import best as best_of
from research.report.best import against_best, comparison_level, differences_from_best
from research.report.comparison import compare
from research.report.ranking import merit

RNG = np.random.default_rng(0)


def drawn(values_MxS, apart=False):
    """Random scores of settings, with common or separate seeds, and the index of the best."""
    scores = [pd.Series(one) for one in values_MxS]
    if apart:
        scores = [one.set_axis(one.index + 100 * place) for place, one in enumerate(scores)]
    return scores, max(range(len(scores)), key=lambda place: merit(values_MxS[place], True))


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("seeds", [5, 32])
def test_equal_settings_are_rarely_called_worse_than_the_one_that_looks_best(
    monkeypatch, seeds, apart
):
    """With a 95% interval each, 8 to 19% of 20 equal settings would be called worse."""
    monkeypatch.setattr(best_of, "RESAMPLES", 200)
    sweeps = []
    for _ in range(40):
        scores, best = drawn(RNG.normal(size=(20, seeds)), apart)
        sweeps.append([float(one.high) < 0 for one in differences_from_best(scores, best, True)])
    assert np.mean(np.any(sweeps, axis=1)) <= 0.15  # 5% is stated, of 40 sweeps
    assert np.mean(sweeps) <= 0.025


def test_separate_intervals_would_call_equal_settings_worse():
    """This shows that the joint comparison is needed, and that the test above can fail."""
    scores, best = drawn(RNG.normal(size=(40, 10)))
    found = [compare(one, scores[best], True).verdict for one in scores]
    assert found.count("worse") >= 3
    assert [one.verdict for one in against_best(scores, best, True)].count("worse") == 0


@pytest.mark.parametrize("seeds", [5, 10, 32])
def test_a_large_difference_from_the_best_is_found(seeds):
    """Half of 20 settings are worse by 5 standard deviations, the others are equal."""
    shift = np.repeat([0.0, -5.0], 10)
    scores, best = drawn(RNG.normal(size=(20, seeds)) + shift[:, None])
    found = [one.verdict for one in against_best(scores, best, True)]
    assert found[10:] == ["worse"] * 10
    assert "worse" not in found[:10]


def test_clearly_worse_settings_narrow_the_intervals_of_the_others():
    """The more settings may be the best, the wider the intervals must be."""
    levels = [comparison_level(100, possible) for possible in (100, 10, 1)]
    assert levels == sorted(levels)
    for settings in (2, 8, 20):
        largest = float(studentized_range.ppf(0.95, settings, np.inf)) / np.sqrt(2)
        assert comparison_level(settings, settings) == pytest.approx(
            2 * float(norm.sf(largest)), rel=0.1
        )


def test_intervals_are_narrower_where_most_settings_are_far_off():
    """Such settings cannot be the best, so that fewer comparisons must hold jointly."""
    noise = np.random.default_rng(0).normal(size=(20, 10))
    far = noise - np.where(np.arange(20) < 2, 0, 100)[:, None]
    alike, apart = (differences_from_best([*map(pd.Series, one)], 0, True) for one in (noise, far))
    width = lambda interval: float(interval.high - interval.low)
    assert width(apart[1]) < 0.9 * width(alike[1])


def test_intervals_stay_within_the_range_of_the_metric():
    scores, best = drawn(np.random.default_rng(1).uniform(size=(50, 3)))
    for one in against_best(scores, best, True, widest=1.0):
        assert -1 <= one.difference.low <= one.difference.high <= 1
        assert 0 <= one.improvement.low <= one.improvement.high <= 1


def test_the_probability_of_being_better_accounts_for_selection():
    """The same scores picked the best, so its intervals are wider than separate ones."""
    scores, best = drawn(np.random.default_rng(2).normal(size=(30, 8)))
    for one, together in zip(scores, against_best(scores, best, True), strict=True):
        alone = compare(one, scores[best], True).improvement
        assert together.improvement.estimate == alone.estimate
        assert together.improvement.low < alone.low
        assert together.improvement.high > alone.high


def test_lower_can_be_better():
    values = RNG.normal(size=(3, 16)) + np.array([[0.0], [5], [5]])
    scores, _ = drawn(values)
    found = against_best(scores, 0, False)
    assert [one.verdict for one in found[1:]] == ["worse", "worse"]
    assert found[1].difference.estimate < 0


def test_a_single_seed_resolves_no_difference():
    scores, best = drawn(np.array([[1.0], [2.0], [50.0]]))
    found = against_best(scores, best, True)
    assert [one.verdict for one in found[:2]] == ["not resolved"] * 2
    assert np.isnan(found[0].difference.low)


def test_settings_with_equal_scores_are_called_the_same():
    values = np.tile(RNG.normal(size=6), (3, 1))
    assert {one.verdict for one in against_best(*drawn(values), True)} == {"same scores"}


def test_a_setting_without_spread_is_worse_only_if_there_are_enough_seeds():
    few, many = (
        against_best(*drawn(np.repeat([[1.0], [2.0]], seeds, axis=1)), True)[0] for seeds in (4, 12)
    )
    assert few.verdict == "not resolved"
    assert many.verdict == "worse"


def test_pairing_removes_the_effect_of_seeds():
    values = 10 * RNG.normal(size=12) + 0.1 * RNG.normal(size=(4, 12)) + np.array(
        [[0.0], [0], [0], [1]]
    )  # fmt: skip
    paired = against_best(*drawn(values), True)
    apart = against_best(*drawn(values, apart=True), True)
    assert [one.verdict for one in paired[:3]] == ["worse"] * 3
    assert [one.verdict for one in apart[:3]] == ["not resolved"] * 3
    assert paired[0].correlation > 0.99
    assert apart[0].pairs == 0


def test_an_unresolved_difference_needs_more_seeds():
    scores, best = drawn(RNG.normal(size=(30, 5)))
    for place, one in enumerate(against_best(scores, best, True)):
        if place != best and one.verdict == "not resolved":
            assert one.seeds_needed is not None
            assert one.seeds_needed > 5
