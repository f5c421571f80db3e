"""What is asked of trained MLPs: evaluate, attack, explain, export, as a user asks it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from sklearn import metrics
from sklearn.datasets import load_wine

from research.errors import UserError


@pytest.fixture
def folder(small_sweep, tmp_path):
    """A copy of the run folder of two settings and three seeds."""
    return shutil.copytree(small_sweep("mlp").folder, tmp_path / "it")


@pytest.fixture
def run_script(load_script):
    """A function that gives arguments to a script of `experiments/`."""

    def run(script, folder, **given):
        module = load_script(script)
        return module.main(module.Arguments(str(folder), **given))

    return run


def test_a_sweep_ends_with_the_metrics_of_its_best_setting(small_sweep):
    folder, text, _ = small_sweep("mlp")
    assert "3 runs, 36 test rows" in text
    for name in ("balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss"):
        assert f" {name} " in text
    assert "Lower by the ensemble, on average over its members and test rows: error" in text
    for picture in ("roc", "precision_recall", "confusion", "ensembles"):
        assert (folder / f"{picture}.png").stat().st_size > 5_000


def test_scores_are_those_of_the_predictions_that_are_kept(folder, run_script):
    run_script("evaluate.py", folder)
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


def test_the_accuracy_is_that_of_the_sweep(folder):
    scores = pd.read_parquet(folder / "evaluation" / "scores.parquet")
    rows = pd.read_parquet(folder / "metrics")
    last = rows[rows["step"] == 60].set_index("run")
    for part in ("validation", "test"):
        alone = scores[(scores["part"] == part) & scores["run"].notna()].set_index("run")
        expected = last.loc[alone.index, f"{part}_accuracy"]
        np.testing.assert_allclose(alone["accuracy"], expected, rtol=1e-6)


def test_attacks_are_told_for_every_run_and_radius(folder, run_script, capsys):
    table = pd.read_parquet(run_script("attack.py", folder, radius=(1.0, 0.2), steps=3))
    text = capsys.readouterr().out
    assert text.count("PGD, 3 steps") == 2
    assert sorted(table["radius"].unique()) == pytest.approx([0, 0.2, 1.0])
    assert len(table) == 6 * 3
    wide = table.pivot(index="run", columns="radius", values="pgd").to_numpy()
    assert (np.diff(wide, axis=1) <= 0).all()
    assert (table["pgd"] <= table["fgsm"] + 1e-6).all()
    assert (folder / "attacks.png").is_file()


def test_explanations_name_the_columns(folder, run_script, capsys):
    table = pd.read_parquet(run_script("explain.py", folder, rows=20, repeats=2, top=3))
    text = capsys.readouterr().out
    assert "integrated gradients: 256 steps" in text
    assert "in the top 3 of all 3 runs" in text
    assert len(table) == 3 * 13
    assert {"proline", "flavanoids"} <= set(table["column"])
    by_column = table.groupby("column")["integrated_gradients"].median()
    assert by_column["flavanoids"] > by_column["ash"]


@pytest.mark.slow
def test_an_export_predicts_in_a_process_of_its_own(folder, run_script, tmp_path):
    made = run_script("export.py", folder, ensemble=True)
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
    run_script("evaluate.py", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    with safe_open(predictions, framework="numpy") as file:
        expected = file.get_tensor("test").mean(axis=0)
    given = found.iloc[manifest["data"][0]["rows"]["test"], 1:].to_numpy()
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_numbers_are_evaluated_attacked_explained_and_exported(tmp_path, small_sweep, run_script):
    done = small_sweep("regression")
    assert " rmse " in done.out
    folder = shutil.copytree(done.folder, tmp_path / "it")
    assert (folder / "predicted.png").is_file()
    table = pd.read_parquet(run_script("attack.py", folder, steps=2))
    assert table.groupby("radius")["pgd"].mean().is_monotonic_increasing
    assert run_script("explain.py", folder, rows=10, repeats=1).is_file()
    assert (run_script("export.py", folder, run=1) / "predict.jaxexport").is_file()


@pytest.mark.parametrize(
    ("script", "given", "says"),
    [
        ("evaluate.py", {"part": "dev"}, "--part dev: there are validation, test"),
        ("evaluate.py", {"settings": "some"}, "--settings some: give all or best"),
        ("attack.py", {"radius": (-1.0,)}, "--radius -1: must be at least 0"),
        ("attack.py", {"steps": 0}, "--steps 0: must be at least 1"),
        ("attack.py", {"part": "dev"}, "--part dev: there are train, validation, test"),
        ("explain.py", {"top": 0}, "--top 0: must be at least 1"),
        ("explain.py", {"rows": 0}, "--rows 0: must be at least 1"),
        ("export.py", {"run": 99}, "--run 99: "),
        ("export.py", {"run": 1, "ensemble": True}, "--run 1 --ensemble: choose one"),
        ("export.py", {"to": "/proc/nowhere/x"}, "cannot write to /proc/nowhere/x"),
    ],
)
def test_bad_input_is_one_clear_line(folder, run_script, script, given, says):
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=says):
        run_script(script, folder, **given)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("script", ["evaluate.py", "attack.py", "explain.py", "export.py"])
def test_what_is_no_folder_of_mlps_is_refused(tmp_path, folder, run_script, script):
    with pytest.raises(UserError, match="is no run folder"):
        run_script(script, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"experiment": "dqn"}))
    with pytest.raises(UserError, match="is a run folder of dqn, not of mlp"):
        run_script(script, folder)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('(np.array(parts, np.float64).T - column["mean"])', "np.array(parts, np.float64).T"),
        ("float(word) if NUMBER", "round(float(word), 1) if NUMBER"),
        ('words = {"", ', 'words = {"", "13.2", '),
    ],
)
def test_an_export_that_does_not_read_the_table_as_training_does_is_not_written(
    folder, load_script, monkeypatch, tmp_path, right, wrong
):
    script = load_script("export.py")
    text = script.SCRIPT.read_text()
    assert text.count(right) == 1
    (tmp_path / "wrong.py").write_text(text.replace(right, wrong))
    monkeypatch.setattr(script, "SCRIPT", tmp_path / "wrong.py")
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=r"the exported program is off by .*; nothing was written"):
        script.main(script.Arguments(str(folder)))
    assert sorted(folder.rglob("*")) == before


def test_an_export_is_not_overwritten(folder, run_script):
    run_script("export.py", folder)
    with pytest.raises(UserError, match="is there already and is not overwritten"):
        run_script("export.py", folder)


def test_data_that_has_changed_is_refused(folder, run_script):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["data"][0]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"--data wine is not what the runs of .* were trained on"):
        run_script("evaluate.py", folder)
