"""Tests of `scripts/export`."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from sklearn.datasets import load_wine

from research.errors import UserError
from research.mlp.tools import evaluate, export
from tests.mlp.tools.conftest import check_refused


@pytest.mark.slow
def test_an_export_predicts_in_a_process_of_its_own(folder, tmp_path):
    made = export.main(export.Arguments(str(folder), ensemble=True))
    schema = json.loads((made / "schema.json").read_text())
    assert schema["runs"] in ([0, 1, 2], [3, 4, 5])
    wine = load_wine(as_frame=True)
    wine.data.to_csv(tmp_path / "wine.csv", index=False)
    done = subprocess.run(
        [sys.executable, str(made / "predict.py"), str(tmp_path / "wine.csv")],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "out.csv").write_text(done.stdout)
    found = pd.read_csv(tmp_path / "out.csv")
    predictions = folder / "evaluation" / f"predictions-{schema['runs'][0]:06}.safetensors"
    evaluate.main(evaluate.Arguments(str(folder)))
    manifest = json.loads((folder / "manifest.json").read_text())
    with safe_open(predictions, framework="numpy") as file:
        expected = file.get_tensor("test").mean(axis=0)
    given = found.iloc[manifest["data"][0]["rows"]["test"], 1:].to_numpy()
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_a_regression_is_exported(regression):
    given = export.Arguments(str(regression), run=1)
    assert (export.main(given) / "predict.jaxexport").is_file()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('(np.array(parts, np.float64).T - column["mean"])', "np.array(parts, np.float64).T"),
        ("float(word) if NUMBER", "round(float(word), 1) if NUMBER"),
        ('words = {"", ', 'words = {"", "13.2", '),
    ],
)
def test_an_export_whose_predictions_differ_is_not_written(
    folder, monkeypatch, tmp_path, right, wrong
):
    text = export.SCRIPT.read_text()
    assert text.count(right) == 1
    (tmp_path / "wrong.py").write_text(text.replace(right, wrong))
    monkeypatch.setattr(export, "SCRIPT", tmp_path / "wrong.py")
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=r"the exported program is off by .*; nothing was written"):
        export.main(export.Arguments(str(folder)))
    assert sorted(folder.rglob("*")) == before


def test_an_export_is_not_overwritten(folder):
    export.main(export.Arguments(str(folder)))
    with pytest.raises(UserError, match="is there already and is not overwritten"):
        export.main(export.Arguments(str(folder)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"run": 99}, "--run 99: "),
        ({"run": 1, "ensemble": True}, "--run 1 --ensemble: choose one"),
    ],
)
def test_bad_input_gives_a_one_line_error(folder, given, says):
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=says):
        export.main(export.Arguments(str(folder), **given))
    assert sorted(folder.rglob("*")) == before


def test_a_place_that_cannot_be_written_is_named(folder):
    with pytest.raises(UserError, match=r"cannot write /proc/nowhere/x: No such .*another --to"):
        export.main(export.Arguments(str(folder), to="/proc/nowhere/x"))


def test_a_folder_that_is_not_of_mlps_is_refused(tmp_path, folder):
    check_refused(export, tmp_path, folder)
