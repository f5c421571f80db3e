"""Tests of who takes over from whom, with which hyper-parameters, and what comes of it."""

import collections

import numpy as np
import pytest

from research.engine import Cadence, sweep
from research.engine.schedule import Seen
from research.errors import UserError
from research.runs.schedulers.explore import Explore, make_explore
from research.runs.schedulers.population import (
    Population,
    check_population,
    decision_steps,
    make_population,
)
from tests import quadratic

GOOD = lambda hparams: np.ones(len(hparams.which), np.bool_)
AXES = {"which": (0, 1), "rate": (0.001, 0.1)}


def explore(axes=AXES, resample=0.0, allowed=GOOD):
    return make_explore(quadratic.HParams(), axes, (0.8, 1.25), resample, allowed)


def hparams(count):
    return quadratic.HParams(
        np.arange(count, dtype=np.int32) % 2,
        np.linspace(0.01, 0.02, count, dtype=np.float32),
        np.full(count, -1, np.int32),
    )


def seen(scores, seeds=None, diverged=()):
    count = len(scores)
    lost = np.isin(np.arange(count), diverged)
    seeds = np.zeros(count, np.uint32) if seeds is None else np.uint32(seeds)
    runs, history = np.arange(count), np.float32([scores])
    none = np.zeros(count, np.bool_)
    return Seen(5, runs, runs, seeds, hparams(count), (5,), history, lost, none)


def parents(scores, higher=True, seeds=None, diverged=(), key=(0, 5), **changes):
    population = Population(**changes)
    scheduler = make_population(population, explore(), 5, 0, higher)
    return scheduler.decide(seen(scores, seeds, diverged), key).parents


def draws(scores, **changes):
    """The parents over many keys: child -> its parents."""
    found = collections.defaultdict(set)
    for key in range(60):
        for child, parent in enumerate(parents(scores, key=(0, key), **changes)):
            found[child].add(int(parent))
    return dict(found)


def test_under_truncation_the_worst_fifth_takes_over_from_the_best_fifth():
    scores = [5, 1, 9, 3, 8, 2, 7, 4, 6, 0]
    kept = {place: {place} for place in range(10)}
    assert draws(scores) == kept | {1: {2, 4}, 9: {2, 4}}
    assert draws(scores, higher=False) == kept | {2: {1, 9}, 4: {1, 9}}
    assert draws(scores, fraction=0.1) == kept | {9: {2}}


def test_in_a_tournament_each_meets_any_and_takes_over_from_the_better_one():
    assert draws([1, 3, 2], exploit="tournament") == {0: {0, 1, 2}, 1: {1}, 2: {1, 2}}


def test_what_diverged_or_has_no_score_takes_over_from_any_that_has():
    """More members than the fraction, and never the other way round."""
    found = draws([1, 50, np.nan, 4, 3], diverged=(1,))
    assert found == {0: {0}, 1: {3}, 2: {3}, 3: {3}, 4: {4}}
    assert draws([1, 2, 3], diverged=(0, 1, 2)) == {0: {0}, 1: {1}, 2: {2}}


def test_equal_members_part_ways_under_truncation_alone():
    """Their children go on with other values, so that none is twice the same for ever."""
    assert draws([2, 2, 2, 2]) == {0: {3}, 1: {1}, 2: {2}, 3: {3}}
    tournament = draws([2, 2, 2], exploit="tournament")
    assert tournament == {0: {0}, 1: {1}, 2: {2}}


def test_populations_are_apart_and_do_not_depend_on_each_other():
    scores, seeds = [1, 2, 9, 8, 5, 6], [7, 7, 8, 8, 7, 8]
    together = parents(scores, seeds=seeds, fraction=0.34)
    alone = parents([scores[place] for place in (0, 1, 4)], seeds=[7] * 3, fraction=0.34)
    assert together.tolist() == [4, 1, 2, 3, 4, 2]
    assert [(0, 1, 4)[place] for place in alone] == [4, 1, 4]


def test_what_is_drawn_hangs_on_the_population_and_the_step():
    scores = list(range(40))
    drawn = [parents(scores, seeds=[seed] * 40, key=(0, step)).tolist()
             for seed in (1, 2) for step in (5, 10)]  # fmt: skip
    assert len({tuple(one) for one in drawn}) == 4
    assert parents(scores).tolist() == parents(scores).tolist()


def test_children_go_on_with_perturbed_values_of_their_parent_and_others_keep_theirs():
    scheduler = make_population(Population(fraction=0.5), explore(), 5, 0, True)
    before = seen([0, 1, 2, 3])
    found = scheduler.decide(before, (0, 5))
    rate, old = found.hparams.rate, before.hparams.rate
    for child in (0, 1):
        factor = rate[child] / old[found.parents[child]]
        assert min(abs(factor - 0.8), abs(factor - 1.25)) < 1e-3
    np.testing.assert_array_equal(rate[2:], old[2:])
    np.testing.assert_array_equal(old, hparams(4).rate)


@pytest.mark.parametrize(
    ("given", "log", "value", "expected"),
    [
        ((1e-3, 1e-1), True, 0.01, {0.008, 0.0125}),
        ((1e-3, 1e-1), True, 1e-3, {1.25e-3}),
        ((0.0, 1.0), False, 0.5, {0.3, 0.75}),
        ((0.0, 1.0), False, 0.9, {0.7, 1.0}),
        ((1, 9), False, 5, {3, 7}),
        ((1, 100), True, 2, {1, 3}),
        ((16, 64), True, 64, {51}),
        ((1, 2, 4, 8), False, 2, {1, 4}),
        ((1, 2, 4, 8), False, 8, {4}),
        ((False, True), False, True, {False}),
    ],
)
def test_a_value_stays_in_its_range_and_whole_numbers_move(given, log, value, expected):
    one = Explore({"x": given}, frozenset("x" if log else ()), (0.8, 1.25), 0.0, GOOD)
    random = np.random.default_rng(0)
    assert {one._change_one("x", value, random) for _ in range(40)} == expected


def test_values_are_drawn_anew_as_often_as_asked():
    always = Explore({"x": (1e-4, 1.0)}, frozenset("x"), (0.8, 1.25), 1.0, GOOD)
    random = np.random.default_rng(0)
    drawn = [always._change_one("x", 1e-4, random) for _ in range(400)]
    assert 0.15 < np.mean(np.array(drawn) < 1e-3) < 0.35  # one of four decades


def test_values_that_do_not_go_together_are_drawn_again_or_stay():
    """Of a rule that a child can fulfil, and of one that it cannot."""
    before, random = hparams(4), np.random.default_rng(0)
    slow = explore(allowed=lambda one: one.rate < 0.0101)
    changed = slow.change(before, [0, 3], random)
    assert changed.rate[0] < before.rate[0]
    assert (changed.rate[3], changed.which[3]) == (before.rate[3], before.which[3])


def test_on_the_quadratic_a_population_reaches_what_no_constant_value_does():
    """Jaderberg et al., figure 2: two members, of which each follows another term."""
    how = {"axes": {"which": [0, 1]}, "seeds": 3, "steps": 400, "cadence": Cadence(5, 5, 5)}
    shared = quadratic.problem().shared
    grid = sweep(quadratic.TASK, shared, quadratic.HParams(), **how)
    scheduler = make_population(
        Population(fraction=0.5), explore({"which": (0, 1)}), 5, 0, higher_is_better=True
    )
    found = sweep(quadratic.TASK, shared, quadratic.HParams(), scheduler=scheduler, **how)
    best = lambda swept: swept.metrics[swept.metrics["step"] == 400].groupby("seed")["score"].max()
    assert (best(grid) < quadratic.ALONE + 1e-4).all()
    assert (best(found) > 1.19).all()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"fraction": 0.6}, "--exploit-fraction 0.6: must be above 0 and at most 0.5"),
        ({"fraction": float("nan")}, "--exploit-fraction nan"),
        ({"perturb": (1.2, 0.8)}, "--perturb 1.2 0.8: give a factor between 0 and 1"),
        ({"perturb": (0.8, float("inf"))}, "--perturb 0.8 inf"),
        ({"resample": 1.5}, "--resample 1.5: a probability"),
    ],
)
def test_numbers_that_make_no_population_are_refused(changes, line):
    with pytest.raises(UserError, match=line):
        check_population(Population(**changes))


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (75, "--ready-every 75: must be a multiple of --eval-every 50, such as 100"),
        (-50, "--ready-every -50: must be a multiple"),
        (400, "--ready-every 400: a population decides between evaluations, and the runs end "
         "after 400"),
    ],
)  # fmt: skip
def test_decisions_come_at_evaluations_before_the_end(given, line):
    with pytest.raises(UserError, match=line):
        decision_steps(Population(given), per=10, eval_every=5, steps=40)
    assert decision_steps(Population(100), per=10, eval_every=5, steps=40) == 10
    assert decision_steps(Population(), per=10, eval_every=5, steps=40) == 5
    with pytest.raises(UserError, match="--eval-every 400: a population decides"):
        decision_steps(Population(), per=10, eval_every=40, steps=40)
