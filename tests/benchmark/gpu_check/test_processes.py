"""Tests of processes whose results are read as they come."""

import sys
import time

import pytest

from research.benchmark.gpu_check import processes
from research.benchmark.gpu_check.processes import Process, attempt, results_of
from research.cli.machine import DETERMINISTIC


def lines_of(code, seconds=60.0, **variables):
    process = Process([sys.executable, "-c", code], variables, seconds)
    return process, [line.rstrip() for line in process.lines()]


def test_lines_are_read_and_the_status_and_the_last_error_are_kept():
    code = "import os, sys; print(os.environ['FLAG']); sys.exit('first\\nerror: the reason')"
    process, lines = lines_of(code, FLAG="on")
    assert lines == ["on"]
    assert (process.status, process.over) == (1, False)
    assert process.reason == "the reason"
    assert process.errors == "first\nerror: the reason"


def test_a_process_that_takes_too_long_is_killed_with_its_children():
    code = "import subprocess; print(1, flush=True); subprocess.run(['sleep', '60'])"
    began = time.monotonic()
    process, lines = lines_of(code, seconds=1.5)
    assert lines == ["1"]
    assert process.over
    assert time.monotonic() - began < 30


def results(monkeypatch, code, seconds=60.0):
    monkeypatch.setattr(processes.sys, "executable", "python3")
    call = [sys.executable, "-c", code]
    monkeypatch.setattr(
        processes, "Process", lambda words, variables, seconds: Process(call, variables, seconds)
    )
    return list(results_of("rates", {}, seconds))


def test_results_before_a_crash_are_kept_and_the_crash_is_one_more(monkeypatch):
    code = "print('noise'); print('found: {\"rate\": 1}'); raise SystemExit('XLA died')"
    first, crash = results(monkeypatch, code)
    assert first == {"rate": 1}
    assert (crash["what"], crash["error"]) == ("rates", "XLA died")


def test_results_before_the_end_of_the_time_are_kept_and_the_rest_is_named(monkeypatch):
    code = "import time; print('found: {\"rate\": 1}', flush=True); time.sleep(60)"
    first, rest = results(monkeypatch, code, seconds=1.5)
    assert first == {"rate": 1}
    assert rest == {"skipped": "the rest of rates: its 2 s were over"}


def test_an_attempt_that_fails_is_a_line_and_a_traceback():
    found = attempt("a case", lambda: 1 / 0)
    assert found["error"] == "ZeroDivisionError: division by zero"
    assert "test_processes.py" in found["traceback"]


def test_flags_of_xla_are_added_to_those_that_are_set(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--a=1")
    assert processes.with_flags("--b=2") == {"XLA_FLAGS": "--a=1 --b=2"}
    assert processes.with_flags("") == {"XLA_FLAGS": "--a=1"}


@pytest.mark.slow
def test_a_worker_computes_under_its_flags(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")
    found = list(results_of("scatter", {}, 300, " ".join(DETERMINISTIC)))
    assert len(found) == 9
    assert all(one["right"] for one in found)
    (failed,) = results_of("scatter", {}, 300, "--xla_no_such_flag=true")
    assert "xla_no_such_flag" in failed["traceback"]
