"""Tests of the folder of a check: results are written at once, and parts keep to their time."""

import json

import pytest

from research.benchmark.gpu_check.plan import CheckPlan, Clock
from research.benchmark.gpu_check.results import CheckResults
from tests.benchmark.gpu_check.conftest import MACHINE


@pytest.fixture
def found(tmp_path, now):
    """A check of 100 seconds, in which no time passes."""
    return CheckResults(tmp_path, CheckPlan(), Clock(100), MACHINE)


def begin(found, name, end):
    return found.begin(name, name.title(), end, lambda results: [f"{len(results)} results"])


def content(found, name):
    return json.loads((found.folder / f"{name}.json").read_text())


def test_each_result_is_in_the_files_before_the_next_is_looked_for(found):
    def first(part):
        part.add({"rate": 1})
        assert content(found, "first")["results"] == [{"rate": 1}]
        assert content(found, "first")["status"] == "running"
        part.add({"rate": 2})

    def second(part):
        assert content(found, "first")["status"] == "finished"
        assert part.earlier["first"] == [{"rate": 1}, {"rate": 2}]
        summary = (found.folder / "summary.txt").read_text()
        assert "First: finished after 0 s\n  2 results\n" in summary
        assert "NVIDIA H100 80GB HBM3 (1 device), EPYC, jax 0.11.2" in summary

    begin(found, "first", 0.5).run(first)
    begin(found, "second", 1.0).run(second)
    assert content(found, "second")["status"] == "finished"


def test_a_part_that_fails_keeps_its_results_and_the_next_runs(found):
    def fails(part):
        part.add({"rate": 1})
        raise ValueError("no such\nkernel")

    begin(found, "first", 0.5).run(fails)
    begin(found, "second", 1.0).run(lambda part: part.add({"rate": 2}))
    (error,) = content(found, "first")["errors"]
    assert error["error"] == "ValueError: no such"
    assert "in fails" in error["traceback"]
    assert content(found, "first")["status"] == "failed"
    assert content(found, "first")["results"] == [{"rate": 1}]
    assert content(found, "second")["results"] == [{"rate": 2}]
    assert "FAILED: first: ValueError: no such" in (found.folder / "summary.txt").read_text()


def test_a_part_without_time_is_left_out_and_what_one_leaves_is_for_the_next(found, now):
    begun = []

    def takes(seconds):
        def measure(part):
            begun.append((part.name, part.left()))
            now.seconds += seconds

        return measure

    begin(found, "long", 0.5).run(takes(75))
    begin(found, "none", 0.7).run(takes(1))
    begin(found, "free", 0.7).run(takes(0), at_once=True)
    begin(found, "last", 1.0).run(takes(10))
    assert begun == [("long", 50), ("free", 0), ("last", 25)]
    assert content(found, "none")["status"] == "skipped"
    summary = (found.folder / "summary.txt").read_text()
    assert (
        "None: skipped after 0 s\n  0 results\n  left out: all of it: no time was left" in summary
    )


def test_what_a_worker_leaves_out_or_breaks_is_named_with_its_variant(found, monkeypatch):
    given = [{"skipped": "the rest"}, {"what": "a case", "error": "bad", "traceback": ""}]
    monkeypatch.setattr(
        "research.benchmark.gpu_check.results.results_of", lambda *args: iter(given)
    )
    part = begin(found, "first", 1.0)
    part.run(lambda part: part.collect("rates", {}, variant="+WHILE"))
    assert part.status == "incomplete"
    assert list(part.lines())[2:] == [
        "FAILED: +WHILE, a case: bad", "left out: +WHILE: the rest",
    ]  # fmt: skip


def test_a_summary_that_fails_does_not_end_the_check(found):
    part = found.begin("first", "First", 1.0, lambda results: [results[0]["absent"]])
    part.run(lambda part: part.add({"rate": 1}))
    assert "no summary: KeyError: 'absent'" in (found.folder / "summary.txt").read_text()
