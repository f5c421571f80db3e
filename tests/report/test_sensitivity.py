"""How much each hyper-parameter matters."""

import itertools

import numpy as np
import pandas as pd
import pytest

from research.report.sensitivity import explained_share, levels_of, sensitivities
from research.report.statistics import interquartile_mean

GRID = [{"rate": rate, "width": width} for rate, width in itertools.product([1, 2, 3], [8, 16])]


def made(effect, seeds=50, spread=1.0):
    rng = np.random.default_rng(0)
    return [pd.Series(effect(setting) + rng.normal(0, spread, seeds)) for setting in GRID]


def test_the_field_that_acts_is_told_from_the_one_that_does_not():
    (first, second), everything = sensitivities(GRID, made(lambda one: 3 * one["rate"]), True)
    assert (first.name, second.name) == ("rate", "width")
    assert first.share > 0.8
    assert second.share < 0.02
    assert everything == pytest.approx(first.share, abs=0.02)


def test_what_two_fields_do_together_is_in_neither_alone():
    """The rate helps wide nets and harms narrow ones."""
    scores = made(lambda one: 3 * (one["rate"] - 2) * (1 if one["width"] > 8 else -1))
    fields, everything = sensitivities(GRID, scores, True)
    assert everything > 0.5
    assert sum(field.share for field in fields) < 0.1


def test_seeds_alone_explain_nothing():
    fields, everything = sensitivities(GRID, made(lambda one: 0), True)
    assert everything < 0.03
    assert all(field.share < 0.02 for field in fields)


def test_chance_is_taken_off():
    """Ten groups of two explain half of the variance of noise, before."""
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
    """What another field does is no doubt about this one."""
    level = sensitivities(GRID, made(lambda one: 100 * one["width"]), True)[0][1].levels[0]
    assert level.iqm.high - level.iqm.low < 5


def test_many_drawn_values_are_put_into_bins_of_the_same_size():
    values = np.geomspace(1e-4, 1e-1, 40).tolist()
    groups, names = levels_of(values)
    assert np.bincount(groups).tolist() == [10] * 4
    assert names[0].startswith("0.0001 to ")
    assert names[-1].endswith(" to 0.1")


def test_words_keep_the_order_in_which_they_were_given():
    groups, names = levels_of(["wide", "narrow", "wide"])
    assert groups.tolist() == [0, 1, 0]
    assert names == ["wide", "narrow"]


def test_a_lone_setting_says_nothing():
    assert sensitivities([{"rate": 1}], [pd.Series([1.0, 2.0])], True) == ([], 0.0)
