"""Tests of resuming a folder in which something was swapped, is missing or was left by a kill."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from research.errors import Stopped, UserError
from research.runs.checkpoints import Checkpoints
from research.runs.run_folder import RunFolder
from tests.runs.test_checkpoints import reseal
from tests.runs.test_resume import ALWAYS, assert_same, at, run, whole  # noqa: F401

pytestmark = pytest.mark.usefixtures("default_hangup")
JOB = "0-000000"


@pytest.fixture
def stopped(tmp_path, at):  # noqa: F811
    """The folder of a sweep that was stopped at step 4 of 6."""
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path)
    return tmp_path / "run"


def resumes(folder, whole):  # noqa: F811
    run(folder.parent)
    assert_same(folder, whole)
    assert not [path for path in folder.rglob("*") if path.name.endswith(".partial")]
    assert not list((folder / "checkpoints").rglob("facts.json"))


def refuses(folder, says):
    with pytest.raises(UserError, match=says) as raised:
        run(folder.parent)
    assert "\n" not in str(raised.value)


def test_a_checkpoint_of_another_experiment_of_the_same_shapes_is_refused(stopped, tmp_path, at):  # noqa: F811
    (tmp_path / "other").mkdir()
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path / "other", changes={"seeds": (7, 8)})
    shutil.rmtree(stopped / "checkpoints" / JOB)
    shutil.copytree(tmp_path / "other" / "run" / "checkpoints" / JOB, stopped / "checkpoints" / JOB)
    refuses(stopped, "000000004 is of another experiment, of other runs or of another step")


def test_a_checkpoint_of_another_step_is_refused(stopped):
    (stopped / "checkpoints" / JOB / "000000004").rename(
        stopped / "checkpoints" / JOB / "000000006"
    )
    refuses(stopped, "000000006 is of another experiment, of other runs or of another step")


def test_a_checkpoint_of_other_runs_is_refused(stopped):
    with Checkpoints(stopped / "checkpoints" / JOB, {"runs": [0, 1]}) as checkpoints:
        checkpoints.save(5, {"w": np.zeros(2)}, {})
    refuses(stopped, "000000005 is of another experiment, of other runs or of another step")


@pytest.mark.parametrize("harm", ["missing", "3 bytes long"])
def test_metrics_that_are_gone_since_the_checkpoint_are_named(stopped, harm):
    path = next((stopped / "metrics").glob(f"{JOB}-000000.parquet"))
    path.unlink() if harm == "missing" else path.write_bytes(b"PAR")
    refuses(stopped, rf"{path} is {harm}, and had [\d,]+ bytes at the checkpoint of step 4")


def test_what_kills_have_left_is_removed(stopped, whole):  # noqa: F811
    """Incomplete files, and the checkpoint of a job that ended just before the kill."""
    for name in (".0123456789abcdef.partial", "metrics/.0123456789abcdef.partial"):
        (stopped / name).write_bytes(b"half")
    kept = shutil.copytree(stopped / "checkpoints" / JOB, stopped.parent / "kept")
    run(stopped.parent)
    folder = RunFolder.open(stopped)
    shutil.copytree(kept, folder.checkpoints(JOB), dirs_exist_ok=True)
    folder.record(status="stopped")
    resumes(stopped, whole)


def test_states_that_the_user_kept_are_no_leftovers(tmp_path):
    run(tmp_path, train=ALWAYS._replace(keep_states=True))
    RunFolder.open(tmp_path / "run").record(status="stopped")
    run(tmp_path)
    assert list((tmp_path / "run" / "checkpoints" / JOB).rglob("facts.json"))


PROGRESS = [
    ({"layout": [], "metrics": []}, "position: field required"),
    ({"position": {"files": 0, "clock": [], "diverged": [[9, 1]]}}, "is of other runs"),
    ({"position": {"files": 0, "clock": [], "diverged": [[0, 2**40]]}}, r"diverged\.0\.1: input"),
    ({"position": {"files": 7, "clock": [], "diverged": []}}, "metrics: should be of 7 files"),
    ({"position": {"files": 10**9, "clock": [], "diverged": []}}, r"position\.files: input"),
]


@pytest.mark.parametrize(("changes", "says"), PROGRESS)
def test_progress_that_no_job_saves_is_refused(stopped, changes, says):
    place = stopped / "checkpoints" / JOB / "000000004"
    facts = json.loads((place / "facts.json").read_text())["content"]["facts"]
    changed = changes if "layout" in changes else facts | changes
    reseal(place, facts=changed)
    refuses(stopped, says)
