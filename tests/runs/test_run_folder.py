"""Tests of the run folder: its files, and what is never overwritten."""

import fcntl
import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from research.errors import UserError
from research.runs.jobs import Job, Plan
from research.runs.params import load_params
from research.runs.run_folder import RunFolder, load_file
from research.runs.tensors import load_tensors
from tests.run_folders import MANIFEST

JOB = Job(group=0, runs=(5, 6), start=0, stop=8, width=2)


def create(parent, name, jobs=(JOB,)):
    return RunFolder.create(parent, name, MANIFEST, Plan(jobs))


def result(job):
    facts = {"job": job.name, "group": 0, "runs": list(job.runs), "start": 0, "stop": 8}
    return facts | {"diverged": []}


def test_an_existing_folder_is_refused_and_untouched(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("years of work")
    with pytest.raises(UserError, match="is there already"):
        create(tmp_path, "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file.*--out"):
        create(tmp_path / "file", "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"Permission denied.*--out"):
        create(tmp_path, "run")


NO_NAMES = ["../up", "a/b", "", ".", "..", "x" * 300, "é" * 150, "a\nb", "\x1b[31m"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_run_name_must_not_be_a_path(tmp_path, name):
    with pytest.raises(UserError, match="--name"):
        create(tmp_path, name)


def test_a_run_folder_appears_complete(tmp_path, monkeypatch):
    def fail(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("research.runs.run_folder.write_bytes", fail)
    with pytest.raises(UserError, match="No space left"):
        create(tmp_path, "run")
    assert not list(tmp_path.iterdir())


def test_run_folders_are_readable_without_this_package(tmp_path):
    files = {(1, "vocabulary"): {"symbols": ["é", "\n"]}}
    folder = RunFolder.create(tmp_path, "run", {"seeds": [1, 2]}, Plan((JOB,)), files)
    folder.record(status="finished")
    folder.append_metrics(JOB.name, 0, pa.table({"run": [5, 6], "loss": [1.0, None]}))
    folder.append_metrics(JOB.name, 1, pa.table({"run": [5, 6], "loss": [0.5, 2.0]}))
    folder.save_params(JOB, {"dense": {"kernel": np.eye(2, dtype=np.float32)}})
    text = (folder.path / "vocabulary-1.json").read_text("utf-8")
    assert json.loads(text) == {"symbols": ["é", "\n"]}
    assert load_file(folder.path, 1, "vocabulary") == {"symbols": ["é", "\n"]}
    manifest = json.loads((folder.path / "manifest.json").read_text())
    assert manifest == {"format": 2, "status": "finished", "seeds": [1, 2]}
    metrics = pd.read_parquet(folder.path / "metrics")
    assert list(metrics["run"]) == [5, 6, 5, 6]
    assert list(metrics["loss"].isna()) == [False, True, False, False]
    tensors = load_tensors(folder.path / "params" / "0-000005.safetensors")
    np.testing.assert_array_equal(tensors["dense/kernel"], np.eye(2))


def test_cut_metrics_removes_only_later_files_of_the_job(tmp_path):
    folder = create(tmp_path, "run")
    later = JOB._replace(start=8, stop=16)
    for job in (JOB, later):
        for number in range(3):
            folder.append_metrics(job.name, number, pa.table({"run": [number]}))
    folder.cut_metrics(JOB.name, 1)
    names = sorted(path.name for path in (folder.path / "metrics").iterdir())
    assert names == ["0-000005-000000.parquet"] + [
        f"0-000005-from-8-00000{number}.parquet" for number in range(3)
    ]


def test_results_are_merged_in_the_order_of_the_plan(tmp_path):
    jobs = [JOB._replace(runs=(run,)) for run in (10, 2, 7)]
    folder = create(tmp_path, "run", tuple(jobs))
    for job in reversed(jobs[:2]):
        folder.save_result(job, result(job))
    folder.merge_results(status="running")
    assert [result["job"] for result in folder.manifest()["results"]] == ["0-000010", "0-000002"]
    assert folder.ended_jobs() == {"0-000010", "0-000002"}


@pytest.mark.parametrize("name", ["manifest.json", "plan.json"])
def test_a_damaged_file_is_named(tmp_path, name):
    folder = create(tmp_path, "run")
    (folder.path / name).write_text("{")
    with pytest.raises(UserError, match=f"{name} is damaged"):
        RunFolder.open(folder.path).plan()


def test_a_folder_of_another_format_is_refused(tmp_path):
    folder = create(tmp_path, "run")
    (folder.path / "manifest.json").write_text('{"format": 1}')
    with pytest.raises(UserError, match="is in format 1"):
        RunFolder.open(folder.path)


def test_a_file_system_without_locks_leaves_nothing_behind(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(UserError, match="has no locks"):
        create(tmp_path / "runs", "run")
    assert not list(tmp_path.iterdir())


def test_files_that_macos_adds_are_ignored(tmp_path):
    folder = create(tmp_path, "run")
    folder.append_metrics(JOB.name, 0, pa.table({"run": [5]}))
    folder.save_params(JOB, {"w": np.float32([5, 6])})
    folder.save_result(JOB, result(JOB))
    for path in [path for path in folder.path.rglob("*") if path.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07 Mac OS X")
    assert folder.ended_jobs() == {JOB.name}
    assert folder.results() == {JOB.name: result(JOB)}
    assert load_params(folder.path, 6)["w"] == 6
    folder.cut_metrics(JOB.name, 0)
    assert [path.name for path in (folder.path / "metrics").iterdir()] == [
        f"._{JOB.name}-000000.parquet"
    ]


def test_a_result_is_found_despite_a_stale_directory_listing(tmp_path, monkeypatch):
    """On a network file system, a result of another process may not be listed yet."""
    folder = create(tmp_path, "run")
    assert folder.has_open_job()
    with folder.lock(JOB.name) as lock:
        folder.save_result(JOB, {})
        lock.mark_ended()
    ended = RunFolder.ended_jobs
    stale = lambda self, fresh=False: ended(self, fresh=True) if fresh else set()
    monkeypatch.setattr(RunFolder, "ended_jobs", stale)
    assert not folder.has_open_job()
    next((folder.path / "results").glob("*.json")).unlink()  # by hand, to have it trained again
    assert folder.has_open_job()


@pytest.mark.parametrize("typed", [".", "./", "checkpoints/..", "../run/"])
def test_a_folder_is_opened_by_its_name_however_it_is_typed(tmp_path, monkeypatch, typed):
    folder = create(tmp_path, "run")
    monkeypatch.chdir(folder.path)
    path = RunFolder.open(typed).path
    assert path.name == "run"
    assert path.parent.resolve() == tmp_path
