"""Tests of how much each hyper-parameter matters."""

import itertools

import numpy as np
import pandas as pd
import pytest

from research.report import sensitivity
from research.report.sensitivity import (
    Sensitivity,
    explained_share,
    in_percent,
    levels_of,
    sensitivities,
)
from research.report.statistics import interquartile_mean

GRID = [{"rate": rate, "width": width} for rate, width in itertools.product([1, 2, 3], [8, 16])]


def made(effect, seeds=50, spread=1.0):
    rng = np.random.default_rng(0)
    return [pd.Series(effect(setting) + rng.normal(0, spread, seeds)) for setting in GRID]


def test_an_effective_field_is_told_from_an_irrelevant_one():
    (first, second), everything = sensitivities(GRID, made(lambda one: 3 * one["rate"]), True)
    assert (first.name, second.name) == ("rate", "width")
    assert first.share > 0.8
    assert second.share < 0.02
    assert everything == pytest.approx(first.share, abs=0.02)


def test_an_interaction_belongs_to_neither_field_alone():
    """A higher learning rate helps wide nets and harms narrow ones."""
    scores = made(lambda one: 3 * (one["rate"] - 2) * (1 if one["width"] > 8 else -1))
    fields, everything = sensitivities(GRID, scores, True)
    assert everything > 0.5
    assert sum(field.share for field in fields) < 0.1


def test_noise_over_seeds_explains_nothing():
    fields, everything = sensitivities(GRID, made(lambda one: 0), True)
    assert everything < 0.03
    assert all(field.share < 0.02 for field in fields)


def test_explained_share_is_corrected_for_chance():
    """Without the correction, ten groups of two explain half of the variance of noise."""
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(10), 2)
    shares = [explained_share(groups, rng.normal(size=20)) for _ in range(100)]
    assert np.mean(shares) < 0.2


def test_a_level_has_all_runs_with_the_value_and_the_best_setting():
    scores = made(lambda one: one["rate"] + one["width"])
    (field,) = [one for one in sensitivities(GRID, scores, False)[0] if one.name == "rate"]
    assert [level.name for level in field.levels] == ["1", "2", "3"]
    assert [level.runs for level in field.levels] == [100] * 3
    both = np.concatenate([scores[2], scores[3]])
    assert field.levels[1].iqm.estimate == pytest.approx(interquartile_mean(both))
    assert field.levels[1].best == interquartile_mean(scores[2].to_numpy())  # the smaller


def test_levels_are_resampled_within_settings():
    """The effect of another field adds no uncertainty about this one."""
    level = sensitivities(GRID, made(lambda one: 100 * one["width"]), True)[0][1].levels[0]
    assert level.iqm.high - level.iqm.low < 5


def test_many_sampled_values_are_put_into_equal_bins():
    values = np.geomspace(1e-4, 1e-1, 40).tolist()
    groups, names = levels_of(values)
    assert np.bincount(groups).tolist() == [10] * 4
    assert names[0].startswith("0.0001 to ")
    assert names[-1].endswith(" to 0.1")


def test_words_keep_the_order_in_which_they_were_given():
    groups, names = levels_of(["wide", "narrow", "wide"])
    assert groups.tolist() == [0, 1, 0]
    assert names == ["wide", "narrow"]


def test_a_single_setting_has_no_sensitivities():
    assert sensitivities([{"rate": 1}], [pd.Series([1.0, 2.0])], True) == ([], 0.0)


def test_settings_explain_at_least_as_much_as_their_fields(monkeypatch):
    """Each share is corrected for chance, so that settings could seem to explain less than a field;
    in many sweeps of noise and one effect, some did."""
    monkeypatch.setattr(sensitivity, "iqm_interval", lambda *runs: None)  # slow, and not needed
    for seed in range(30):
        rng = np.random.default_rng(seed)
        scores = [pd.Series(one["rate"] + rng.normal(0, 0.5, 4)) for one in GRID]
        fields, together = sensitivities(GRID, scores, True)
        shares = in_percent(fields, together)
        assert shares.interaction is not None
        assert sum(field.share for field in fields) <= together + 1e-9 <= 1 + 2e-9
        assert sum(shares.each) + shares.interaction + shares.seeds == 100


@pytest.mark.parametrize("shares", [(0.335, 0.335, 0.33), (0.004, 0.004, 0.004), (1.0, 0, 0)])
def test_shares_in_percent_sum_to_100(shares):
    found = in_percent([Sensitivity("x", share, []) for share in shares], sum(shares))
    assert found.interaction is not None
    assert sum(found.each) + found.interaction + found.seeds == 100


def test_shares_of_overlapping_fields_are_not_summed():
    """Both fields divide the settings equally, so each explains all of the spread."""
    values = [{"a": place, "b": -place} for place in range(4)]
    scores = [pd.Series(np.arange(5.0) / 100 + place) for place in range(4)]
    fields, together = sensitivities(values, scores, True)
    assert [field.share for field in fields] == pytest.approx([together] * 2)
    assert in_percent(fields, together).interaction is None


def test_runs_that_diverged_rank_last():
    """A learning rate of 3 diverges, so the learning rate must be found to matter."""
    rng = np.random.default_rng(0)
    ranked = [pd.Series(rng.normal(size=6) - 100 * (one["rate"] == 3)) for one in GRID]
    finite = [one[one > -50] for one in ranked]
    (rate, _), _ = sensitivities(GRID, finite, True, ranked)
    assert rate.name == "rate"
    assert rate.share > 0.4
    assert [level.name for level in rate.levels] == ["1", "2"]
    assert sensitivities(GRID, finite, True)[0][0].share < 0.2
