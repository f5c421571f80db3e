"""Tests of `scripts/evaluate`."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from sklearn import metrics

from research.cli.train_and_show import missing
from research.errors import UserError
from research.mlp.tools import evaluate, explain, export
from tests.mlp.tools.conftest import check_refused


def test_evaluate_prints_the_metrics_of_the_best_setting(small_sweep):
    folder, text, _ = small_sweep("mlp")
    assert "3 runs, 36 test rows" in text
    for name in ("balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss"):
        assert f" {name} " in text
    assert "What the ensemble saves, on average over its members and test rows: error" in text
    for figure in ("roc", "precision_recall", "confusion", "ensembles"):
        assert (folder / f"{figure}.png").stat().st_size > 5_000


def test_written_scores_agree_with_written_predictions(folder):
    evaluate.main(evaluate.Arguments(str(folder)))
    scores = pd.read_parquet(folder / "evaluation" / "scores.parquet")
    assert len(scores) == 2 * 2 * (3 + 1)  # settings, parts, runs and their ensemble
    files = sorted((folder / "evaluation").glob("predictions-*.safetensors"))
    assert [file.stem for file in files] == ["predictions-000000", "predictions-000003"]
    with safe_open(files[1], framework="numpy") as file:
        p, y = file.get_tensor("test"), file.get_tensor("test_target")
        assert file.get_tensor("runs").tolist() == [3, 4, 5]
        assert json.loads(file.metadata()["classes"]) == ["class_0", "class_1", "class_2"]
    test = scores[scores["part"] == "test"]
    for run, one in zip((3, 4, 5), p, strict=True):
        row = test[test["run"] == run].iloc[0]
        assert row["learning_rate"] == pytest.approx(1e-2)
        np.testing.assert_allclose(row["accuracy"], metrics.accuracy_score(y, one.argmax(axis=1)))
        expected = metrics.f1_score(y, one.argmax(axis=1), average="macro")
        np.testing.assert_allclose(row["f1_macro"], expected)
    together = test[test["run"].isna() & (test["learning_rate"] > 5e-3)].iloc[0]
    assert together["members"] == 3
    mean = p.mean(axis=0, dtype=float)
    expected = metrics.log_loss(y, mean / mean.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(together["log_loss"], expected, rtol=1e-5)


def test_the_accuracy_equals_that_of_the_sweep(folder):
    scores = pd.read_parquet(folder / "evaluation" / "scores.parquet")
    rows = pd.read_parquet(folder / "metrics")
    last = rows[rows["step"] == 60].set_index("run")
    for part in ("validation", "test"):
        alone = scores[(scores["part"] == part) & scores["run"].notna()].set_index("run")
        expected = last.loc[alone.index, f"{part}_accuracy"]
        np.testing.assert_allclose(alone["accuracy"], expected, rtol=1e-6)


def test_evaluating_a_regression_gives_metrics_and_a_figure(small_sweep):
    done = small_sweep("regression")
    assert " rmse " in done.out
    assert (done.folder / "predicted.png").is_file()


def test_data_that_has_changed_is_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["data"][0]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"--data wine is not what the runs of .* were trained on"):
        evaluate.main(evaluate.Arguments(str(folder)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"part": "dev"}, "--part dev: there are validation, test"),
        ({"settings": "some"}, "--settings some: give all or best"),
    ],
)
def test_bad_input_gives_a_one_line_error(folder, given, says):
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=says):
        evaluate.main(evaluate.Arguments(str(folder), **given))
    assert sorted(folder.rglob("*")) == before


def test_a_folder_that_is_not_of_mlps_is_refused(tmp_path, folder):
    check_refused(evaluate, tmp_path, folder)


def test_each_data_set_has_a_best_setting_and_figures_of_its_own(load_script, tmp_path, capsys):
    """A sweep over two ends with both, and none of its files is missing then."""
    script = load_script("mlp.py")
    small = {"data": ("wine", "iris"), "hidden": ((4,),), "steps": 4, "seeds": ("1",),
             "out": str(tmp_path), "learning_rate": (1e-3, 1e-2), "name": "two"}  # fmt: skip
    folder = script.main(script.arguments("digits", **small))
    said = capsys.readouterr().out
    for name in ("wine", "iris"):
        assert f"{name}: two at the last step" in said
        assert (folder / f"roc-{name}.png").is_file()
        assert sum(f"data {name}, learning_rate" in line for line in said.splitlines()) > 1
    assert missing(folder, [script.EVALUATION]) == []
    with pytest.raises(UserError, match="settings of wine, iris, which are not compared"):
        explain.main(explain.Arguments(str(folder)))
    with pytest.raises(UserError, match="2 problems, which are not compared: choose with --run"):
        export.main(export.Arguments(str(folder)))
