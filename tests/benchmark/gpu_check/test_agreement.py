"""Tests of the comparison between the device and the CPU."""

import jax
import numpy as np
import pytest

from research.benchmark.cases import CASES
from research.benchmark.gpu_check import agreement
from research.benchmark.gpu_check.agreement import ShortTraining, compare
from research.benchmark.gpu_check.correctness import describe

RUNS, PARAMS = 4, 6


def trained(**changes):
    """Runs whose params moved by one each."""
    before = np.zeros((RUNS, PARAMS), np.float32)
    same = ShortTraining(before, before + 1, np.ones((3, RUNS), np.float32))
    return same._replace(**changes)


def after(*runs, by):
    """The params at the end, with those of some runs moved further."""
    moved = np.ones((RUNS, PARAMS), np.float32)
    moved[list(runs)] += by
    return moved


@pytest.mark.parametrize(
    ("runs", "by", "right", "parted"),
    [
        ((), 0, True, 0),
        (range(RUNS), 0.005, True, 0),  # within the tolerance
        (range(RUNS), 0.1, False, 1),
        ((2,), 5.0, True, 0.25),  # a single run may part for good
        ((1, 2), 5.0, False, 0.5),
        ((2,), np.nan, False, 0.25),  # no run may become NaN
    ],
)
def test_runs_agree_unless_many_part_or_one_is_nan(runs, by, right, parted):
    found = compare("a case", trained(after=after(*runs, by=by)), trained(), "highest")
    assert (found["right"], found["parted_runs"]) == (right, parted)
    (line,) = describe([found])
    assert ("agree" in line, "DIFFER" in line) == (right, not right)


def test_rounding_to_tf32_is_allowed_where_it_was_not_forbidden():
    moved = trained(after=after(*range(RUNS), by=0.1))
    assert compare("a case", moved, trained(), "default")["right"]


def test_a_device_that_trains_otherwise_is_found(quickly, monkeypatch):
    """Each training is done once: on the CPU, and in both precisions on the device."""
    calls = []
    train_on = agreement.train_on

    def wrong_on_the_device(case, devices, products):
        calls.append((case.name, products))
        found = train_on(case, devices, products)
        return found._replace(after=found.before) if len(calls) == 2 else found

    monkeypatch.setattr(agreement, "train_on", wrong_on_the_device)
    device, *_, cpu = jax.local_devices()  # of the eight of the tests, one stands for the CPU
    devices = lambda backend=None: [cpu if backend else device]
    monkeypatch.setattr(agreement.jax, "local_devices", devices)
    wrong, rounded, sharded = agreement.work(["mlp-small"], "float32", 60)
    assert (wrong["right"], rounded["right"]) == (False, True)
    assert sharded == {"skipped": "mlp-small, sharded and unsharded: there is one device"}
    name = CASES["mlp-small"]("float32").name
    assert calls == [(name, "highest"), (name, "highest"), (name, "default")]


def test_comparisons_end_when_the_next_would_not_fit_the_time(quickly, now, monkeypatch):
    def slow(case, devices, products):
        now.seconds += 20
        return trained()

    monkeypatch.setattr(agreement, "train_on", slow)
    first, *others = agreement.work(["mlp-small"], "float32", 30)
    assert first["right"]
    assert [set(one) for one in others] == [{"skipped"}, {"skipped"}]
