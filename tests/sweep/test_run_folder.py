"""What is on the disk, and what is never overwritten."""

import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from research.errors import UserError
from research.sweep.run_folder import RunFolder, load_file
from research.sweep.tensors import load_tensors


def test_an_existing_folder_is_refused_and_untouched(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("years of work")
    with pytest.raises(UserError, match="is there already"):
        RunFolder.create(tmp_path, "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file.*--out"):
        RunFolder.create(tmp_path / "file", "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"Permission denied.*--out"):
        RunFolder.create(tmp_path, "run")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", ".."])
def test_a_name_is_no_path(tmp_path, name):
    with pytest.raises(UserError, match="--name"):
        RunFolder.create(tmp_path, name)


def test_other_tools_read_what_is_written(tmp_path):
    folder = RunFolder.create(tmp_path, "run")
    folder.record(status="running", seeds=[1, 2])
    folder.record(status="finished")
    folder.append_metrics(pa.table({"run": [0, 1], "loss": [1.0, None]}))
    folder.append_metrics(pa.table({"run": [0, 1], "loss": [0.5, 2.0]}))
    folder.save_params(0, {"dense": {"kernel": np.eye(2, dtype=np.float32)}}, runs=2)
    folder.save_file(1, "vocabulary", {"symbols": ["é", "\n"]})
    assert json.loads((folder.path / "vocabulary-1.json").read_text("utf-8")) == {
        "symbols": ["é", "\n"]
    }
    assert load_file(folder.path, 1, "vocabulary") == {"symbols": ["é", "\n"]}
    manifest = json.loads((folder.path / "manifest.json").read_text())
    assert manifest == {"format": 1, "status": "finished", "seeds": [1, 2]}
    metrics = pd.read_parquet(folder.path / "metrics")
    assert list(metrics["run"]) == [0, 1, 0, 1]
    assert list(metrics["loss"].isna()) == [False, True, False, False]
    tensors = load_tensors(folder.path / "params-0.safetensors")
    np.testing.assert_array_equal(tensors["dense/kernel"], np.eye(2))
