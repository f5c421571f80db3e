"""Tests of progress: one live line in a terminal, plain lines elsewhere."""

import io

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from research.cli.progress import OverallProgress, SweepProgress
from research.engine.cadence import Chunk
from research.engine.chunk import NEVER
from research.engine.metrics import Record
from research.runs.jobs import Job, Plan
from research.runs.overall import Overall, Pace, measure, read_overall
from research.runs.run_folder import RunFolder
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


PLAN = Plan((Job(0, (0, 1), 0, 10, 2), Job(1, (2, 3), 0, 30, 2), Job(1, (4,), 0, 30, 2)))


@pytest.fixture
def folder(tmp_path):
    """A run folder of three jobs, of which the first has ended, and the second is at step 15."""
    made = RunFolder.create(tmp_path, "sweep", {}, PLAN)
    first, second, _ = PLAN.jobs
    (made.path / "results" / f"{first.name}.json").write_text("{}")
    for number, steps in enumerate(([5, 5], [10, 15])):
        made.append_metrics(second.name, number, pa.table({"run": [2, 3], "step": steps}))
    return made.path


def test_the_whole_sweep_is_counted_in_steps_of_runs(folder):
    overall = read_overall(folder)
    assert overall == (3, 2, 5, 2 * 10 + 2 * 15, 2 * 10 + 3 * 30, False)
    assert overall.in_words(90) == "2 of 5 runs done, 45% of all steps, 1.5 min left"


def test_jobs_that_are_cut_or_continue_are_counted_once():
    """Of a halving, too: two runs of four go on from step 10, one of them to 20 so far."""
    rung = Job(0, (0, 1, 2, 3), 0, 10, 4)
    later = [Job(0, (run,), 10, 30, 1, (rung.name,)) for run in (1, 2)]
    plan = Plan((rung, *later), ({"stopped_runs": [0, 3]},))
    overall = measure(plan, {rung.name}, {later[0].name: 20})
    assert overall == (3, 2, 4, 40 + 10, 40 + 2 * 20, True)
    assert measure(plan, {job.name for job in plan.jobs}).share == 1


def test_the_time_left_follows_from_the_pace_since_the_first_look(monkeypatch):
    now = iter([100.0, 130.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    begun = Overall(3, 0, 5, 40, 100)
    pace = Pace(begun)
    assert pace.seconds_left(begun) is None
    assert pace.seconds_left(begun._replace(done=60)) == pytest.approx(60.0)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_job_of_many_shows_the_whole_sweep_below(folder, terminal, monkeypatch):
    monkeypatch.setattr("research.cli.progress.WHOLE_EVERY", 0)
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120)
    whole = OverallProgress(console, folder)
    with SweepProgress(console, toy.TASK, 2, 30, "toy", whole=whole) as progress:
        progress.update(record(15, [0, 1, 3, 100]))
        progress.update(record(30, [0, 1, 3, 100]))
    text = file.getvalue()
    assert ("2/5 runs, 73% of steps" if terminal else "2 of 5 runs done, 73% of all steps") in text


def test_a_launcher_shows_the_sweep_that_its_workers_train(folder):
    file = io.StringIO()
    with OverallProgress(Console(file=file, force_terminal=True, width=80), folder) as whole:
        whole.look()
    assert "2/5 runs, 45% of steps" in file.getvalue()


def test_eighty_columns_hold_a_job_of_a_long_name_and_the_whole_sweep(folder):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, color_system=None)
    whole, name = OverallProgress(console, folder), "env=CartPole-v1,hidden=256x256 runs 0 to 1"
    with SweepProgress(console, toy.TASK, 2, 1_000_000, name, whole=whole) as progress:
        progress.update(record(150_000, [0, 1, 3, 100]))
    last = [line.rstrip() for line in file.getvalue().splitlines()[-4:]]
    text = "\n".join(last)
    for whole_word in (
        "150,000/1,000,000 steps",
        "0 to 1 ",
        "% of steps",
        "score 2 (IQM of 4 runs)",
    ):
        assert whole_word in text
    assert text.count("left") == 2
