"""Tests of the time that a sweep takes to reach a score."""

import pytest

from research.benchmark.target import Target, time_to_target
from research.engine import Cadence


@pytest.fixture
def reach(case):
    def run(goal, steps=20):
        target = Target("toy", case.problem, case.hparams, 3, steps, Cadence(1, 2, 2), goal)
        return time_to_target(target)

    return run


def test_it_ends_at_the_first_evaluation_that_reaches_the_goal(reach):
    """The mean size of the params, about 0.8 at first, halves at each step."""
    found = reach(0.9)
    assert found.units == 4 * 32  # 0.8 / 2**4 is the first below 0.1 at an even step
    assert found.seconds is not None
    assert 0 < found.seconds < 60
    assert 0.9 <= found.median < 0.97
    assert found.runs == 3


def test_a_goal_that_is_not_reached_has_no_time(reach):
    found = reach(1.1, steps=6)
    assert found.seconds is None
    assert found.units == 6 * 32
