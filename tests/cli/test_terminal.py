"""Tests of the lines that a sweep prints to the terminal."""

import io

from rich.console import Console

from research.cli.terminal import print_diverged, say


def printed(function, *args):
    file = io.StringIO()
    function(Console(file=file, width=40), *args)
    return file.getvalue()


def test_a_line_is_printed_as_it_is():
    line = "a folder [red]named[/red] like markup, and longer than the terminal is wide"
    assert printed(say, line) == line + "\n"


def test_diverged_runs_are_named_and_the_rest_counted():
    runs = [{"run": run, "seed": run, "step": 3, "kind": "a", "rate": 0.1} for run in range(12)]
    text = printed(print_diverged, runs, 20)
    assert text.startswith("12 of 20 runs became non-finite")
    assert "  run 9  seed 9  step 3  kind a  rate 0.1\n" in text
    assert "run 10" not in text
    assert text.endswith("and 2 more, named in manifest.json\n")
    assert printed(print_diverged, [], 20) == ""
