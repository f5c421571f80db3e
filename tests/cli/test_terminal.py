"""Tests of the lines that a sweep prints to the terminal."""

import io
from types import SimpleNamespace

from rich.console import Console

from research.cli.terminal import cost_line, print_diverged, say, trained_line


def printed(function, *args):
    file = io.StringIO()
    function(Console(file=file, width=40), *args)
    return file.getvalue()


def test_a_line_is_printed_as_it_is():
    line = "a folder [red]named[/red] like markup, and longer than the terminal is wide"
    assert printed(say, line) == line + "\n"


def test_one_of_a_kind_is_in_the_singular():
    cost = SimpleNamespace(cache_hits=1, peak_bytes=5e6, flops_per_step=0, compile_seconds=1.0)
    layout = SimpleNamespace(devices=1, lanes=1, blocks=1)
    line = cost_line(SimpleNamespace(cost=cost, layout=layout))
    assert line == (
        "compiled in 1.0 s (1 program from the cache); 5MB of memory a device; "
        "1 device x 1 run in lockstep"
    )


def test_a_speed_in_steps_is_given_once():
    speed = {"steps_per_second": 1e3, "work_per_second": 1e3, "runs_per_second": 2.0}
    result = {"train_seconds": 1.0, "throughput": speed}
    task = lambda unit: SimpleNamespace(work_unit=unit)
    assert trained_line(result, task("steps")).count("1k") == 1
    assert "1k steps/s, 1k examples/s" in trained_line(result, task("examples"))


def test_diverged_runs_are_named_and_the_rest_counted():
    runs = [{"run": run, "seed": run, "step": 3, "kind": "a", "rate": 0.1} for run in range(12)]
    text = printed(print_diverged, runs, 20)
    assert text.startswith("12 of 20 runs became non-finite")
    assert "  run 9  seed 9  step 3  kind a  rate 0.1\n" in text
    assert "run 10" not in text
    assert text.endswith("and 2 more, named in manifest.json\n")
    assert printed(print_diverged, [], 20) == ""
