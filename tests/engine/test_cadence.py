"""Tests of cadences and the plan of chunks."""

import itertools

import pytest

from research.engine.cadence import Cadence, Chunk, plan_chunks
from research.errors import UserError

CASES = list(
    itertools.product(
        (1, 2, 7, 10, 99, 100, 101, 1234),
        (Cadence(1, 1, 1), Cadence(1, 4, 3), Cadence(5, 10, 20), Cadence(7, 14, 7)),
        (0, 1, 5, 7),
    )
)


@pytest.mark.parametrize(("steps", "cadence", "start"), CASES)
def test_chunks_cover_every_step_once_and_stop_where_they_must(steps, cadence, start):
    chunks = plan_chunks(steps, cadence, start)
    at = start
    for chunk in chunks:
        assert chunk.start == at
        assert chunk.logs >= 1
        assert chunk.end - chunk.start <= cadence.chunk_every
        first_log_end = chunk.start + chunk.log_every
        assert first_log_end % cadence.log_every == 0 or chunk.end == steps
        passed = range(chunk.start + 1, chunk.end)
        assert not any(step % cadence.eval_every == 0 for step in passed)
        assert chunk.evaluate == (chunk.end % cadence.eval_every == 0 or chunk.end == steps)
        at = chunk.end
    assert at == max(steps, start)


def test_a_plan_needs_one_program_and_one_more_for_a_remainder():
    assert len({(c.logs, c.log_every) for c in plan_chunks(1000, Cadence.of(1000))}) == 1
    assert plan_chunks(25, Cadence(10, 20, 20)) == [Chunk(0, 2, 10, True), Chunk(20, 1, 5, True)]


def test_defaults_are_about_a_hundred_logs_and_twenty_evaluations():
    assert Cadence.of(10_000) == Cadence(log_every=100, eval_every=500, chunk_every=500)
    assert Cadence.of(1) == Cadence(1, 1, 1)


def test_evaluations_of_many_epochs_fall_on_their_ends_and_logs_on_evaluations():
    assert Cadence.of(13 * 2323, epoch=2323) == Cadence(101, 2323, 2323)  # 2323 = 23 x 101
    assert Cadence.of(39 * 1000, epoch=1000).eval_every == 2000
    assert Cadence.of(13 * 2333, epoch=2333) == Cadence(2333, 2333, 2333)  # a prime
    assert Cadence.of(13 * 2323, log_every=100, epoch=2323) == Cadence(100, 1500, 300)
    assert Cadence.of(2 * 2323, epoch=2323) == Cadence.of(2 * 2323)  # too few to wait for an end


def test_a_default_log_interval_divides_the_given_intervals():
    assert Cadence.of(30_199, eval_every=2323).log_every == 101
    assert Cadence.of(1000, eval_every=25, chunk_every=50).log_every == 5
    assert Cadence.of(1000, chunk_every=12).log_every == 12


@pytest.mark.parametrize(
    ("steps", "chunk_every"), [(1_500, 75), (6_000, 300), (10_000, 500), (100_000, 1_000)]
)
def test_a_default_chunk_is_long_enough_for_the_host_and_ends_at_evaluations(steps, chunk_every):
    """It also divides the interval between evaluations, so that one program is enough."""
    cadence = Cadence.of(steps)
    assert cadence.chunk_every == chunk_every
    assert len({chunk.logs for chunk in plan_chunks(steps, cadence)}) == 1


@pytest.mark.parametrize(
    ("intervals", "says"),
    [
        ({"steps": 0}, "--steps 0"),
        ({"steps": 10, "log_every": 0}, "--log-every 0"),
        ({"steps": 100, "log_every": 10, "eval_every": 25}, "--eval-every 25.*such as 20"),
        ({"steps": 100, "log_every": 10, "chunk_every": 3}, "--chunk-every 3.*such as 10"),
    ],
)
def test_an_interval_that_does_not_divide_is_refused(intervals, says):
    with pytest.raises(UserError, match=says):
        Cadence.of(**intervals)


@pytest.mark.parametrize("every", [2**31 - 1, 2**30])
def test_huge_intervals_are_planned_at_once(every):
    """2**31 - 1 is a prime, and trying all smaller numbers as divisors would take minutes."""
    assert Cadence.of(1000, eval_every=every).eval_every == every
    assert Cadence.of(2**31 - 1, chunk_every=every).chunk_every == every
