"""Tests that an asynchronous halving ends with the same bits however it is stopped and resumed, and
that workers of any speed promote no setting twice and none that was not among the best."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from research.cli.progress import SweepProgress
from research.engine.cadence import Intervals
from research.errors import UserError
from research.report.read import read_run_folder, stopped_runs
from research.runs.params import load_params
from research.runs.run_folder import RunFolder
from research.runs.search import Halving, Search
from research.runs.training import TrainOptions
from tests import quadratic
from tests.contract import slow

pytestmark = pytest.mark.usefixtures("default_hangup")
HALVING = Halving(3, 3, asynchronous=True)
ALWAYS = TrainOptions(checkpoint_minutes=0.0)
ROOT = Path(__file__).parents[2]


def experiment(halving=HALVING, **changes):
    """27 settings, each of 2 seeds, to steps 5, 15 and 45."""
    intervals = Intervals(log_every=1, eval_every=5, chunk_every=5)
    default = {"search": Search(27), "seeds": (4, 5), "steps": 45, "intervals": intervals}
    return quadratic.experiment(halving=halving, **default | changes)


def run(folder, name="run", changes=None, **options):
    """Trains it and returns what was printed."""
    return quadratic.train(experiment(**changes or {}), folder, name, **options)


def outcome(folder):
    """All metrics and last params of a run folder, whichever jobs wrote them."""
    metrics = pd.read_parquet(folder / "metrics").sort_values(["run", "step"], ignore_index=True)
    runs = sorted(metrics["run"].unique())
    return metrics, [load_params(folder, run)["theta"] for run in runs]


def assert_same(folder, other):
    (metrics, params), (other_metrics, other_params) = outcome(folder), outcome(other)
    pd.testing.assert_frame_equal(metrics, other_metrics, check_exact=True)
    np.testing.assert_array_equal(params, other_params)
    assert (folder / "plan.json").read_bytes() == (other / "plan.json").read_bytes()
    decisions = [
        pd.read_parquet(path / "decisions").sort_values(["step", "run"], ignore_index=True)
        for path in (folder, other)
    ]
    pd.testing.assert_frame_equal(*decisions, check_exact=True)


def assert_part_of(folder, full):
    """That each run has the metrics of the same run in a sweep without halving, up to its end."""
    (metrics, params), (longer, _) = outcome(folder), outcome(full)
    last = metrics.groupby("run")["step"].max()
    assert set(last) == {5, 15, 45}
    until = longer[longer["step"] <= longer["run"].map(last)].reset_index(drop=True)
    pd.testing.assert_frame_equal(metrics, until, check_exact=True)
    for run in last.index[last == 45]:
        np.testing.assert_array_equal(params[run], load_params(full, run)["theta"])


def check_promotions(folder):
    """That no setting was promoted twice, that each was in the best third of what had ended by
    then, and that the manifest says which runs stopped."""
    plan, results = RunFolder.open(folder).plan(), RunFolder.open(folder).results()
    jobs = {job.name: job for job in plan.jobs}
    for note in plan.rungs:
        scores, promoted = {}, set()
        for one in note["promotions"]:
            for name in one["ended"]:
                scores |= dict(zip(jobs[name].runs, results[name]["scores"], strict=True))
            found = pd.Series(scores).groupby(lambda run: run // 2).mean()
            best = found.sort_values(ascending=False)[: max(1, len(found) // 3)]
            new = {run // 2 for run in jobs[one["job"]].runs}
            assert new <= set(best.index)
            assert not new & promoted
            promoted |= new
        assert note["kept"] == len(promoted)
    ends = {}
    for job in plan.jobs:
        ends |= {run: max(job.stop, ends.get(run, 0)) for run in job.runs}
    short = {run for run, end in ends.items() if end < 45}
    assert stopped_runs(read_run_folder(folder).manifest) == short
    decided = pd.read_parquet(folder / "decisions")
    assert {*zip(decided["run"], decided["step"], strict=True)} == {(r, ends[r]) for r in short}
    assert not list((folder / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of one worker that was never interrupted."""
    folder = tmp_path_factory.mktemp("asynchronous")
    text = run(folder, "whole", shares=2)
    assert "promoted 1 setting, the best so far, from step 5 to 15" in text
    return folder / "whole"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The folder of the same sweep without halving."""
    folder = tmp_path_factory.mktemp("full")
    run(folder, "full", {"halving": None})
    return folder / "full"


def test_one_worker_promotes_the_same_twice(tmp_path, whole, full):
    run(tmp_path, shares=2)
    assert_same(tmp_path / "run", whole)
    check_promotions(whole)
    assert_part_of(whole, full)
    starts = [job.start for job in RunFolder.open(whole).plan().jobs]
    assert starts[:5] == [0] * 5
    assert starts[5:] != sorted(starts[5:])  # before the rung below has ended


class Kill(BaseException):
    """Ends a sweep as a kill does: nothing more is written."""


@pytest.mark.parametrize("records", [3, slow(8), slow(12)])
def test_a_killed_one_resumes_to_the_same_plan_and_bits(tmp_path, monkeypatch, whole, records):
    update, seen = SweepProgress.update, []

    def updated(progress, record):
        update(progress, record)
        seen.append(record)
        if len(seen) % records == 0:
            raise Kill

    monkeypatch.setattr(SweepProgress, "update", updated)
    for _ in range(100):
        try:
            run(tmp_path, shares=2, train=ALWAYS)
            break
        except Kill:
            continue
    assert len(seen) > records
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("when", ["save_decisions", slow("change_plan")])
def test_a_kill_while_a_rung_is_closed_loses_no_decision(tmp_path, monkeypatch, whole, when):
    original = getattr(RunFolder, when)
    calls = []

    def killed(folder, *args):
        calls.append(1)
        over = len(folder.ended_jobs()) == len(folder.plan().jobs)
        if when == "change_plan" and not (over and len(calls) > 10):
            return original(folder, *args)
        if when == "save_decisions":
            original(folder, *args)
        raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, when, killed)
        with pytest.raises(Kill):
            run(tmp_path, shares=2)
    run(tmp_path, shares=2)
    assert_same(tmp_path / "run", whole)


def test_too_few_runs_at_once_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"--parallel 1: with --asynchronous the 2 seeds of a"):
        run(tmp_path, parallel=1)
    assert not (tmp_path / "run").exists()


WORKER = """
import sys, time
from research.cli.progress import SweepProgress
from tests.runs import test_asynchronous_runs as module
out, seconds = sys.argv[1:]
update = SweepProgress.update

def updated(progress, record):
    update(progress, record)
    print("record", flush=True)
    time.sleep(float(seconds))

SweepProgress.update = updated
module.run(out, worker=True)
"""


def start_worker(folder, seconds):
    """A process that trains with others, and sleeps so long after every record."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(seconds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_workers_of_different_speed_of_which_one_is_killed_end_all(tmp_path, full):
    run(tmp_path, shares=3, prepare=True)
    killed, *others = [start_worker(tmp_path, seconds) for seconds in (1.0, 0.2, 0.0)]
    assert killed.stdout is not None
    for _ in range(2):
        assert killed.stdout.readline() == "record\n"
    killed.send_signal(signal.SIGKILL)
    for worker in others:
        worker.communicate(timeout=300)
        assert worker.returncode == 0
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    folder = tmp_path / "run"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    check_promotions(folder)
    assert_part_of(folder, full)
