"""Tests of who goes on after a rung, as a decision of a scheduler, on tables made by hand."""

import numpy as np
import pytest

from research.engine.schedule import Seen
from research.runs.schedulers.halving import in_order, make_halving
from tests import toy

KEY = (0, 4)


def seen(scores, seeds=1, diverged=()):
    """The runs of settings 0, 1, ... with so many seeds each, which have scored at step 4."""
    runs = np.arange(len(scores))
    column = np.arange(len(scores), dtype=np.float32)
    return Seen(
        4,
        runs,
        runs // seeds,
        np.uint32(runs % seeds),
        toy.ToyHParams(rate=column, fail_at=column),
        (4,),
        np.array([scores], np.float64),
        np.isin(runs, list(diverged)),
        np.zeros(len(runs), np.bool_),
    )


def test_a_decision_stops_all_but_the_best_and_changes_nothing_else():
    known = seen([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    decision = make_halving(3, dict.fromkeys(range(6), ""), higher_is_better=True)(known, KEY)
    assert decision.stops.tolist() == [True, True, True, False, False, True]
    assert decision.why == ["rung", "rung", "rung", "", "", "rung"]
    assert decision.parents.tolist() == list(range(6))
    assert decision.hparams is known.hparams


def test_all_seeds_of_a_setting_go_on_or_stop():
    known = seen([1.0, 9.0, 4.0, 4.0, 8.0, 1.0], seeds=2)
    decide = make_halving(2, dict.fromkeys(range(3), ""), higher_is_better=False)
    assert decide(known, KEY).stops.tolist() == [True, True, False, False, True, True]


@pytest.mark.parametrize(
    ("complete", "going_on"), [(None, [0, 3]), (("easy", "hard"), [0, 3]), (("hard",), [0, 3]),
                               (("easy",), [0]), ((), [0])]
)  # fmt: skip
def test_of_few_settings_one_goes_on_only_where_no_more_come(complete, going_on):
    problems = dict.fromkeys(range(3), "easy") | {3: "hard", 4: "hard"}
    decide = make_halving(3, problems, higher_is_better=False, complete=complete)
    assert np.flatnonzero(~decide(seen([1.0, 2.0, 3.0, 8.0, 9.0]), KEY).stops).tolist() == going_on


def test_settings_come_in_the_order_of_their_merit_and_lost_ones_last():
    known = seen([2.0, np.nan, 9.0, 1.0, 2.0], diverged={2})
    problems = dict.fromkeys(range(5), "one")
    assert in_order(known, problems, higher_is_better=True) == {"one": [0, 4, 3, 1, 2]}
