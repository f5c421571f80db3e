"""Tests of timing points: what does not fit the time or the memory is left out and named."""

import jax
import pytest

from research.benchmark.gpu_check import rates
from research.benchmark.gpu_check.throughput import describe

POINTS = [("mlp-small", "float32", runs, "training") for runs in (1, 2, 4)]


def test_training_and_evaluation_are_timed_apart(quickly):
    points = [*POINTS[1:2], ("mlp-small", "float32", 2, "evaluation")]
    trained, evaluated = rates.work(points, repeats=2, seconds=600)
    assert trained["low"] <= trained["units_per_second"] <= trained["high"]
    rate = 2 * rates.case_of("mlp-small", "float32").problem.task.work_per_step
    assert trained["seconds_per_step"] == pytest.approx(rate / trained["units_per_second"])
    assert trained["kernels"] > 0
    assert evaluated["evaluation_seconds"] > 0
    assert evaluated["waits"] == 0
    assert [line.split(":")[1] for line in describe([trained, evaluated])] == [
        " seconds an evaluation", " rows/s",
    ]  # fmt: skip


def test_the_timed_program_has_no_evaluation(quickly):
    case = rates.case_of("mlp-small", "float32")
    none = rates.without_evaluation(case).problem.task
    traced = jax.make_jaxpr(none.evaluate)(None, None, None, None)
    assert not traced.eqns or all(not one.invars for one in traced.eqns)
    assert none.step is case.problem.task.step


def test_points_that_would_take_longer_than_is_left_are_skipped(quickly, now, monkeypatch):
    def timed(case, runs, what, repeats, label):
        now.seconds += 40
        return {"runs": runs}

    monkeypatch.setattr(rates, "time_point", timed)
    first, *others = rates.work(POINTS, repeats=1, seconds=70)
    assert first["runs"] == 1
    assert others[0] == {
        "skipped": "mlp-small, float32, 2 runs, training: it takes 40 s, and 30 are left"
    }
    assert len(others) == 2


def test_points_that_do_not_fit_the_memory_are_skipped(quickly, monkeypatch):
    """By what another number of runs needed: the states alone would fit."""
    state = rates.byte_count(
        rates.trace_one_run(
            (case := rates.case_of("mlp-small", "float32")).problem,
            rates.make_runs(case.hparams, {}, range(1)),
        ).state
    )
    limit = 5 * state / jax.local_device_count()
    monkeypatch.setattr(rates, "device_limit", lambda device: limit)
    monkeypatch.setattr(
        rates, "time_point", lambda case, runs, *_: {"runs": runs, "peak_bytes": 2 * state * runs}
    )
    first, second, third = rates.work(POINTS, repeats=1, seconds=600)
    assert (first["runs"], second["runs"]) == (1, 2)
    assert third["skipped"].startswith("mlp-small, float32, 4 runs, training: it needs ")


def test_a_point_that_fails_does_not_end_the_others(quickly, monkeypatch):
    def no_program(*args, **options):
        raise ValueError("no such kernel")

    monkeypatch.setattr(rates, "Ready", no_program)
    found = list(rates.work(POINTS[:2], repeats=1, seconds=600))
    assert [one["error"] for one in found] == ["ValueError: no such kernel"] * 2
    assert found[1]["what"] == "mlp-small, float32, 2 runs, training"
    error = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: of 80 GB")
    monkeypatch.setattr(rates, "Ready", lambda *args, **options: (_ for _ in ()).throw(error))
    (full,) = rates.work(POINTS[:1], repeats=1, seconds=600)
    assert full["skipped"] == "mlp-small, float32, 1 run, training: the device ran out of memory"


def test_points_are_compiled_together_and_timed_apart(quickly, monkeypatch):
    """A point that does not compile fails alone, and after those that do."""
    compiled, timing = [], []
    make_program = rates.make_program

    def watched(case, runs, steps):
        if runs == 1:
            raise ValueError("no such kernel")
        assert not timing
        compiled.append(runs)
        return make_program(case, runs, steps)

    def timed(case, runs, what, repeats, label):
        timing.append(runs)
        return {"runs": runs}

    monkeypatch.setattr(rates, "usable_cores", lambda: 16)
    monkeypatch.setattr(rates, "make_program", watched)
    monkeypatch.setattr(rates, "time_point", timed)
    found = list(rates.work(POINTS, repeats=1, seconds=600))
    assert sorted(compiled) == [2, 4]
    assert [one["runs"] for one in found] == timing == [1, 2, 4]
    assert all(one["compiled_beside"] == 0 for one in found)
