"""Tests of which baselines are timed in turn with a case, in which forms, and for how long."""

import sys

import pytest

from research.benchmark import turns
from research.benchmark.baselines import Baseline
from research.benchmark.growth import Growth
from research.errors import UserError
from tests.benchmark.conftest import timing

STRONG = Baseline("strong", "json", (), 64, runs=8, on_gpu=True, compiler="no-such-compiler")
MISSING = Baseline("missing", "no_such_package", (), 64)
WEAK = Baseline("weak", "json", (), 64)


@pytest.fixture
def measure(case, monkeypatch):
    """A function that measures made-up baselines: (name, form, seconds) of each turn, and what was
    said."""
    growth = Growth(case.name, case.precision, "rows", [timing(2, 1e3, steps=2)], "runs")
    timed, said = [], []

    def rate(python, baseline, case, processes, seconds):
        timed.append((baseline.name, processes, seconds))
        return 1e3

    monkeypatch.setattr(turns, "median_rate", lambda ready: 2e3)
    monkeypatch.setattr(turns, "run_baseline", rate)
    monkeypatch.setattr(turns, "run_ours", lambda case, runs, processes, seconds: 3e3)
    monkeypatch.setattr(turns, "baselines_of", lambda *words: [MISSING, STRONG, WEAK])
    monkeypatch.setattr(turns, "usable_cores", lambda: 2)

    def run(effort):
        found = turns.measure_baselines(case, growth, sys.executable, None, effort, said.append)
        return list(found), timed, said

    return run


def test_with_little_effort_the_strongest_that_is_installed_has_one_turn_as_one_process(measure):
    found, timed, said = measure(turns.QUICK_EFFORT)
    assert timed == [("strong", 1, turns.QUICK_EFFORT.seconds)]
    (result,) = found
    assert (result.how, result.runs, result.ours) == ("all threads", 8, 2e3)
    assert "product: missing is not installed and left out" in said


def test_otherwise_every_baseline_is_timed_in_both_forms(measure):
    found, timed, said = measure(turns.Effort(turns=3, seconds=0.5))
    assert [(one.baseline, one.how, one.runs) for one in found] == [
        ("Seedbed", "one process a core", 2),
        ("strong", "one process a core", 16),
        ("weak", "one process a core", 2),
        ("strong", "all threads", 8),
        ("weak", "all threads", 1),
    ]
    assert timed.count(("strong", 2, 0.5)) == timed.count(("weak", 1, 0.5)) == 3
    assert "product: strong is slower than it could be: there is no no-such-compiler" in said


def test_a_gpu_is_not_shared_by_several_processes_of_a_baseline(monkeypatch):
    monkeypatch.setattr(turns.jax, "default_backend", lambda: "gpu")
    names = lambda processes: [
        one.name for one, _ in turns.installed([STRONG, WEAK], None, processes, lambda text: None)
    ]
    assert names(16) == ["weak"]
    assert names(1) == ["strong", "weak"]


def test_a_baseline_that_fails_is_told_and_the_others_are_timed(measure, monkeypatch):
    def rate(python, baseline, *_):
        if baseline.name == "strong":
            raise UserError("strong failed: ModuleNotFoundError")
        return 1e3

    monkeypatch.setattr(turns, "run_baseline", rate)
    found, _, said = measure(turns.QUICK_EFFORT)
    assert [one.baseline for one in found] == ["weak"]
    assert "product: strong is left out: strong failed: ModuleNotFoundError" in said
