"""Tests of reading run folders, whole and damaged."""

import json

import numpy as np
import pytest

from research.errors import UserError
from research.report.read import (
    diverged_runs,
    metric_names,
    named_divergences,
    read_run_folder,
    swept,
)


def test_all_parts_are_read_and_null_is_not_nan(make_run):
    run = read_run_folder(make_run())
    assert len(run.metrics) == 24
    scores = run.metrics.set_index(["run", "step"])["validation_score"]
    assert scores[(3, 1)] == 13
    assert scores.isna().sum() == 8  # those of step 2, not the NaN of run 7
    assert np.isnan(float(scores[(7, 3)]))


def test_swept_fields_come_from_the_manifest():
    manifest = {"config_axes": {"hidden": ["8"]}, "hparams_axes": {"rate": [1, 2]}}
    assert swept(manifest) == ["hidden", "rate"]


def test_diverged_runs_come_from_the_manifest_and_the_status_column(make_run):
    """The manifest names runs 0 and 1, the status column run 7; null metrics are no divergence."""
    results = [{"diverged": []}, {"diverged": [{"run": 0}, {"run": 1}]}]
    assert diverged_runs(read_run_folder(make_run(results=results))) == {0, 1, 7}


def test_a_run_that_several_jobs_name_is_given_once_with_its_first_step():
    """With halving, the job of the next rung reports the divergence again."""
    first, second = {"run": 3, "step": 4}, {"run": 5, "step": 9}
    results = [{"diverged": [first]}, {"diverged": [first, second]}]
    assert named_divergences({"results": results}) == [first, second]
    assert named_divergences({}) == []


def test_without_a_status_column_the_manifest_names_diverged_runs(make_run):
    run = read_run_folder(make_run())
    older = run._replace(metrics=run.metrics.drop(columns="diverged"))
    assert diverged_runs(older) == {7}
    assert metric_names(older) == metric_names(run)


def test_before_a_group_has_ended_its_metrics_name_diverged_runs(make_run):
    run = read_run_folder(make_run())
    del run.manifest["results"]
    assert diverged_runs(run) == {7}


def test_a_path_that_is_no_run_folder_is_named_in_the_error(tmp_path):
    with pytest.raises(UserError, match=r"nothing is no run folder: it has no manifest\.json"):
        read_run_folder(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["manifest.json", "metrics/0-000000-000001.parquet"])
@pytest.mark.parametrize("keep", [0, 20])
def test_a_damaged_file_is_named(make_run, name, keep):
    path = make_run()
    (path / name).write_bytes((path / name).read_bytes()[:keep])
    with pytest.raises(UserError, match="is damaged"):
        read_run_folder(path)


def test_a_folder_without_metrics_yet_says_so(make_run):
    path = make_run()
    for part in (path / "metrics").iterdir():
        part.unlink()
    with pytest.raises(UserError, match="no metrics yet"):
        read_run_folder(path)


def test_a_folder_of_another_format_gives_a_one_line_error(make_run):
    path = make_run()
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"format": 1}))
    with pytest.raises(UserError, match="is in format 1, and this version reads format 2 alone"):
        read_run_folder(path)
    (path / "manifest.json").write_text("[]")
    with pytest.raises(UserError, match="is damaged"):
        read_run_folder(path)


def test_files_that_macos_adds_are_not_read(make_run, monkeypatch):
    path = make_run()
    expected = len(read_run_folder(path).metrics)
    (path / "metrics" / "._0-000000-000001.parquet").write_bytes(b"\x00\x05\x16\x07 Mac OS X")
    monkeypatch.chdir(path)
    run = read_run_folder(".")
    assert len(run.metrics) == expected
    assert run.path.name == "run"
