"""Fixtures for the check of a machine: workers in this process, on a task that takes no time."""

import importlib

import pytest

from research.benchmark import ceilings, profiling, timing
from research.benchmark.cases import CASES
from research.benchmark.gpu_check import check, rejax, results, suite
from tests.benchmark.conftest import make_case

MACHINE = {
    "started": "2026-01-02T03:04:05+00:00",
    "device": {"kind": "NVIDIA H100 80GB HBM3", "platform": "gpu", "count": 1,
               "processor": "EPYC", "cores": 16},
    "versions": {"jax": "0.11.2"},
    "git_commit": "0123abc",
}  # fmt: skip


@pytest.fixture
def quickly(monkeypatch):
    """Makes repeats so short that they take no time, and mlp-small a single matrix product."""
    for module in (ceilings, profiling, timing):
        monkeypatch.setattr(module, "SECONDS", 1e-3)
    monkeypatch.setitem(CASES, "mlp-small", lambda precision: make_case())
    monkeypatch.setattr(rejax, "make_case", lambda precision: make_case())
    monkeypatch.setattr(rejax, "HAS_GYMNAX", True)


@pytest.fixture
def in_process(monkeypatch):
    """Runs workers in this process; returns the list of their names and flags."""
    called = []

    def results_of(worker, arguments, seconds, flags=""):
        called.append((worker, flags))
        module = importlib.import_module(f"research.benchmark.gpu_check.{worker}")
        yield from module.work(**arguments, seconds=seconds)

    for module in (check, results):
        monkeypatch.setattr(module, "results_of", results_of)
    monkeypatch.setattr(suite, "FILES", ("tests/there_is_none.py",))
    return called


class Now:
    """The time that tests set."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def now(monkeypatch):
    """Stops the monotonic clock; tests move it."""
    stopped = Now()
    monkeypatch.setattr("time.monotonic", stopped)
    return stopped
