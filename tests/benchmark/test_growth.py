"""Tests of measuring throughput against the number of runs."""

import pytest

from research.benchmark import growth
from research.benchmark.growth import Growth, Limits, log_log_slopes, measure_growth
from tests.benchmark.conftest import timing


@pytest.fixture
def machine(monkeypatch):
    """A function that replaces the clock: R -> units per second, and the bytes of a run."""

    def make(rate, run_bytes=1, room=10**9):
        asked = []

        def time_case(case, runs, steps, repeats, cached):
            asked.append((runs, steps))
            seconds = runs * steps * case.problem.task.work_per_step / rate(runs)
            return timing(runs, rate(runs), steps=steps, repeats=[seconds] * repeats,
                          peak_bytes=run_bytes * runs)  # fmt: skip

        monkeypatch.setattr(growth, "time_case", time_case)
        monkeypatch.setattr(growth, "device_limit", lambda device: room)
        return asked

    return make


def test_runs_are_added_until_throughput_saturates(case, machine):
    machine(lambda runs: 1e5 * min(runs, 8))
    found = measure_growth(case, Limits())
    assert [one.runs for one in found.timings] == [1, 2, 4, 8, 16, 32]
    assert found.stopped_by == "saturation"
    assert found.best.runs == 8
    assert found.saturation.runs == 8
    assert found.unit == "rows"


def test_no_runs_are_added_beyond_the_memory(case, machine):
    machine(lambda runs: 1e5 * runs, run_bytes=100, room=900)
    found = measure_growth(case, Limits())
    assert [one.runs for one in found.timings] == [1, 2, 4, 8]
    assert found.stopped_by == "memory"


def test_no_runs_are_added_when_one_step_takes_too_long(case, machine):
    machine(lambda runs: 64.0)  # four steps of a run take 2 s, of two 4, of four 8
    found = measure_growth(case, Limits())
    assert [one.runs for one in found.timings] == [1, 2]
    assert found.stopped_by == "time"


def test_no_more_runs_are_timed_than_asked_for(case, machine):
    machine(lambda runs: 1e5 * runs)
    found = measure_growth(case, Limits(runs=32, factor=32))
    assert [one.runs for one in found.timings] == [1, 32]
    assert found.stopped_by == "runs"


def test_every_call_takes_about_the_same_time(case, machine):
    asked = machine(lambda runs: 1e5 * runs**0.5)
    measure_growth(case, Limits(runs=64))
    for runs, steps in asked[1:]:
        seconds = runs * steps * 32 / (1e5 * runs**0.5)
        assert 0.1 <= seconds <= 0.4


def test_the_fewest_runs_with_nearly_the_best_throughput_are_enough():
    rates = {1: 10, 2: 19, 4: 36, 8: 39, 16: 38.9}
    made = Growth("a", "float32", "rows", [timing(*pair) for pair in rates.items()], "saturation")
    assert made.saturation.runs == 4
    assert made.best.runs == 8


def test_log_log_slopes_are_0_for_free_runs_and_1_for_runs_at_full_cost():
    """The slope is 0 if runs are free, and 1 if each costs what it costs alone."""
    timings = [timing(1, 10.0), timing(2, 20.0), timing(4, 20.0)]
    assert log_log_slopes(timings) == pytest.approx([0, 1])
    assert log_log_slopes(timings[:1]) == []
