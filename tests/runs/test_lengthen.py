"""Tests that runs of a folder train for longer, and end as runs that were made as long."""

import contextlib
import dataclasses
import json
import os
import signal

import numpy as np
import pandas as pd
import pytest

from research.engine.cadence import Intervals
from research.errors import Stopped, UserError
from research.runs import lengthen
from research.runs.experiment import make_parts
from research.runs.jobs import Plan, cut_jobs
from research.runs.params import load_params
from research.runs.run_folder import RunFolder
from research.runs.search import Halving
from research.runs.training import TrainOptions
from research.task import Requirement, field
from tests import toy
from tests.runs.test_resume import assert_same, at, run  # noqa: F401
from tests.runs.test_runner import experiment

pytestmark = pytest.mark.usefixtures("default_hangup")
KEEP = TrainOptions(checkpoint_minutes=0.0, keep_states=True)


def train(home, steps, name="run", **options):
    changes = {"steps": steps, **options.pop("changes", {})}
    return run(home, name, changes, **{"train": KEEP, "lengthen": True, **options})


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """The folder of a sweep of 10 steps."""
    home = tmp_path_factory.mktemp("long")
    train(home, 10)
    return home / "run"


@pytest.mark.parametrize("parallel", [None, 3])
def test_a_lengthened_sweep_equals_one_of_that_length(tmp_path, long, parallel):
    train(tmp_path, 6, parallel=parallel)
    text = train(tmp_path, 10, parallel=parallel)
    assert "runs go on to step 10" in text
    assert_same(tmp_path / "run", long)
    manifest = RunFolder(tmp_path / "run").manifest()
    assert manifest["status"] == "finished"
    assert [group["steps"] for group in manifest["groups"]] == [10, 10]
    with pytest.raises(UserError, match="is finished"):
        train(tmp_path, 10, parallel=parallel)


def test_a_sweep_is_lengthened_again_and_while_it_is_unfinished(tmp_path, long, at):  # noqa: F811
    train(tmp_path, 2)
    train(tmp_path, 6, changes={"intervals": Intervals(2, 6, 2)})
    at(8, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        train(tmp_path, 9)
    train(tmp_path, 10)
    # It was evaluated where it ended meanwhile, too.
    np.testing.assert_array_equal(losses(tmp_path / "run"), losses(long))
    for number in range(8):
        ends = [load_params(folder, number)["w"] for folder in (tmp_path / "run", long)]
        np.testing.assert_array_equal(*ends)


def losses(folder):
    metrics = pd.read_parquet(folder / "metrics").sort_values(["run", "step"])
    return metrics[metrics["step"] % 2 == 0][["run", "step", "loss"]].to_numpy()


def test_the_cadence_stays_that_of_the_shorter_runs(tmp_path):
    usual = {"intervals": Intervals()}
    train(tmp_path, 200, changes=usual)
    train(tmp_path, 400, changes=usual)
    groups = RunFolder(tmp_path / "run").manifest()["groups"]
    assert groups[0]["cadence"]["eval_every"] == 10  # a twentieth of 200
    RunFolder(tmp_path / "run").record(status="stopped")
    run(tmp_path, "run", {"steps": 400, **usual}, train=KEEP)  # as the same command resumes it
    assert RunFolder(tmp_path / "run").manifest()["status"] == "finished"


@pytest.mark.parametrize("write", ["record", "change_plan"])
def test_a_kill_while_it_is_lengthened_loses_nothing(tmp_path, long, monkeypatch, write):
    train(tmp_path, 6)
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, write, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(tmp_path, 10)
    train(tmp_path, 10)
    assert_same(tmp_path / "run", long)


def test_only_jobs_that_end_their_runs_are_prolonged():
    parts = make_parts(experiment(steps=10))
    whole, split, other = cut_jobs(parts, [6, 6], 3)[:3]
    first = split._replace(stop=4)
    rest = split._replace(start=4, sources=(first.name,))
    plan = lengthen.extend_plan(Plan((whole, first, rest, other)), parts, {whole.name, first.name})
    assert [(job.name, job.start, job.stop) for job in plan.jobs] == [
        (whole.name, 0, 6),
        (f"{whole.name}-from-6", 6, 10),
        (first.name, 0, 4),
        (rest.name, 4, 10),
        (other.name, 0, 10),
    ]
    ended = {job.name for job in plan.jobs}
    assert lengthen.extend_plan(plan, parts, ended) == plan


@pytest.mark.parametrize(
    ("first", "then", "says"),
    [
        ({"train": TrainOptions()}, {}, "cannot be lengthened, since their last states were not"),
        ({}, {"changes": {"seeds": (4, 6)}}, r"seeds is \[4, 5\] there and \[4, 6\] here"),
        ({}, {"lengthen": False}, "steps is 6 there and 10 here"),
        ({}, {"worker": True}, "lengthen its runs with one process"),
        ({"changes": {"halving": Halving(2, 2)}},) * 2 + ("the rungs of --halving follow",),
    ],
)
def test_what_cannot_be_lengthened_is_refused_and_untouched(tmp_path, first, then, says):
    train(tmp_path, 6, **first)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=says):
        train(tmp_path, 10, **then)
    assert contents(tmp_path) == before


def contents(home):
    files = [path for path in home.rglob("*") if path.is_file() and ".locks" not in path.parts]
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("extends", "says"),
    [
        (None, "does not say that none of its schedules ends"),
        (lambda hparams: [Requirement(("rate",), hparams.rate < 2, "it falls")], "--rate 2.0: it"),
    ],
)
def test_a_schedule_that_ends_with_the_runs_is_told(tmp_path, extends, says):
    def make_problem(config):
        problem = toy.problem()
        return problem._replace(task=problem.task._replace(steps=config.steps, extends=extends))

    @dataclasses.dataclass(frozen=True)
    class Lasting:
        steps: int = field(6, "how long", length=True)

    def changes(steps):
        axes = {"config": Lasting(steps), "config_axes": {}, "make_problem": make_problem}
        return {"changes": {**axes, "steps": None}}

    train(tmp_path, 6, **changes(6))
    with pytest.raises(UserError, match=says):
        train(tmp_path, 10, **changes(10))


def test_the_command_is_recorded_without_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["toy.py", "--steps", "6"])
    train(tmp_path, 6)
    monkeypatch.setattr("sys.argv", ["toy.py", "--resume", "runs/it", "--steps", "10"])
    with contextlib.suppress(UserError):
        train(tmp_path, 10)
    recorded = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert recorded["arguments"] == ["--steps", "6", "--steps", "10"]
