"""Tests of when runs stop, by hand."""

import numpy as np
import pytest

from research.engine.schedule import Seen
from research.errors import UserError
from research.runs.early_stop import Condition, EarlyStop, read_early_stop, stops_in_words
from research.runs.schedulers.stopping import evaluations_since_best, make_stopping
from tests import quadratic

NAN = np.nan


def column(*values):
    return np.array(values, np.float32)[:, None]


@pytest.mark.parametrize(
    ("words", "values", "holds"),
    [
        ("x >= 2", [1, 2, 1, 3], [0, 1, 0, 1]),
        ("x > 2", [1, 2, 1, 3], [0, 0, 0, 1]),
        ("x <= -2.5", [-2, -2.5, NAN, -3], [0, 1, 0, 1]),
        ("x<0.9", [0.9, 0.8, 1, 0.1], [0, 1, 0, 1]),
        ("x >= 0.9", [0.9, 0.8, 1, 0.1], [1, 0, 1, 0]),
        ("x >= 2 for 2", [2, 2, 1, 3, 3, 3], [0, 1, 0, 0, 1, 1]),
        ("x >= 2 for 3", [2, 2, NAN, 3, 3, 3], [0, 0, 0, 0, 0, 1]),
    ],
)
def test_a_condition_holds_after_so_many_evaluations_in_a_row(words, values, holds):
    early_stop = read_early_stop(False, words, None)
    assert early_stop.when.holds(column(*values))[:, 0].tolist() == list(map(bool, holds))
    assert read_early_stop(False, early_stop.when.words, None) == early_stop


@pytest.mark.parametrize(
    "words",
    ["", "x", "x = 3", "x >= y", "x >= 3 for", "x >= 3 for 0", "x >= 3 for -1", "x >= nan",
     "x >= inf", "x >= 1e39", "x >= 3 for 2.5", "x >= 1 and y >= 2"],
)  # fmt: skip
def test_what_is_no_condition_is_told_with_the_form(words):
    with pytest.raises(UserError, match=r"^--stop-when '.*such as \"evaluation_return >= 475"):
        read_early_stop(False, words, None)


@pytest.mark.parametrize("patience", [0, -1])
def test_no_patience_is_refused(patience):
    with pytest.raises(
        UserError, match=f"--stop-patience {patience}: give a number of evaluations"
    ):
        read_early_stop(False, None, patience)


@pytest.mark.parametrize(
    ("scores", "higher", "since"),
    [
        ([1, 2, 2, 1], True, 2),
        ([1, 2, 3, NAN], True, 1),
        ([3, 2, 2, 1], False, 0),
        ([NAN, NAN], True, 2),
        ([NAN, -5], True, 0),
        ([], True, 0),
    ],
)
def test_a_score_is_a_new_best_if_it_is_better_than_all_before(scores, higher, since):
    assert evaluations_since_best(column(*scores).reshape(-1, 1), higher).tolist() == [since]


def test_the_first_reason_counts_and_a_run_stops_once():
    """Seven runs: diverged, at the goal, condition on another metric, no progress, none of it, and
    two that have stopped before."""
    task = quadratic.TASK._replace(goal=1.0)
    early_stop = EarlyStop(True, Condition("other", "<", 0.0), 2)
    scheduler = make_stopping(early_stop, task, 5)
    scores = np.float32([[0.5, 0, 0, 0.3, 0, 0, 1], [0.6, 0, 1, 0.2, 0, 0, NAN],
                         [NAN, 1, 2, 0.3, 1e-6, 0, NAN]])  # fmt: skip
    scores[2, 2] = 0.5
    other = np.float32([[1] * 7, [-1] * 7, [1, -1, -1, 1, 1, 1, NAN]])
    diverged = np.arange(7) == 0
    stopped = np.arange(7) >= 5
    seen = Seen(
        15, np.arange(7), np.arange(7), np.arange(7), None, (5, 10, 15), scores, diverged, stopped,
        {"other": other},
    )  # fmt: skip
    decision = scheduler.decide(seen, (0, 15))
    assert list(decision.why) == ["diverged", "goal", "condition", "patience", "", "", ""]
    assert decision.stops.tolist() == [True] * 4 + [False] * 3
    assert decision.parents.tolist() == list(range(7))
    assert scheduler.others == ("other",)
    assert [step for step in range(1, 20) if scheduler.due(step)] == [5, 10, 15]


def test_the_last_line_names_each_reason():
    assert stops_in_words(["goal"] * 41, 64, 0.584) == (
        "41 of 64 runs stopped at the goal; 58% of the steps were saved"
    )
    assert stops_in_words(["goal", "diverged", "goal"], 4, 0.5) == (
        "3 of 4 runs stopped early, 2 at the goal, 1 as they diverged; 50% of the steps were saved"
    )
