"""Tests of progress: one live line in a terminal, plain lines elsewhere."""

import io

import numpy as np
from rich.console import Console

from research.cli.progress import SweepProgress
from research.engine.cadence import Chunk
from research.engine.chunk import NEVER
from research.engine.metrics import Record
from research.task import Mean
from tests import toy


def record(end, score, diverged=(NEVER, NEVER, NEVER, NEVER)):
    scores = Mean(np.float32(score), np.ones(4, np.float32))
    chunk = Chunk(0, end, 1, evaluate=True)
    return Record(chunk, {}, {"score": scores}, np.array(diverged, np.int32), seconds=2.0)


def lines(records, steps, *, terminal=False):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120)
    with SweepProgress(console, toy.TASK, 4, steps, "toy") as progress:
        for one in records:
            progress.update(one)
    return file.getvalue()


def test_without_a_terminal_the_final_progress_is_one_line():
    text = lines([record(10, [0, 1, 3, 100])], 10)
    assert text == "toy  10/10 steps  0 s left  20 steps/s  score 2 (IQM of 4 runs)\n"


def test_diverged_runs_are_left_out_and_counted_whatever_they_score():
    records = [record(10, [2, 2, 2, 9], (NEVER, NEVER, NEVER, 3))]
    assert "score 2 (IQM of 3 runs, 1 left out)" in lines(records, 10)


def test_progress_says_when_no_run_is_finite():
    assert "score finite in no run" in lines([record(10, [9] * 4, [3] * 4)], 10)


def test_undefined_scores_are_left_out_without_counting_as_diverged():
    undefined = Mean(np.float32([0, 1, 3, 0]), np.float32([0, 1, 1, 0]))
    assert "score 2 (IQM of 2 runs, 2 left out)" in lines(
        [record(10, [0] * 4)._replace(evaluated={"score": undefined})], 10
    )
    nothing = Mean(np.zeros(4, np.float32), np.zeros(4, np.float32))
    one = record(10, [0] * 4)._replace(evaluated={"score": nothing})
    assert "score defined in no run" in lines([one], 10)


def test_progress_lines_without_a_terminal_are_seconds_apart():
    text = lines([record(end, [1, 1, 1, 1]) for end in range(1, 11)], 10)
    assert len(text.splitlines()) == 1  # the last


def test_a_terminal_gets_a_bar_with_the_same_facts():
    text = lines([record(5, [1, 1, 1, 1])], 10, terminal=True)
    assert "5/10 steps" in text
    assert "score 1 (IQM of 4 runs)" in text
