"""The script as a person calls it."""

import json

import pandas as pd
import pytest

from tests.experiments.conftest import EXPERIMENTS


def test_the_script_stays_short():
    assert len((EXPERIMENTS / "mlp.py").read_text().splitlines()) < 60


def test_a_sweep_prints_a_table_and_draws_a_curve(tmp_path, call):
    words = "--data iris --hidden 8 none --learning-rate 1e-3 1e-2 --seeds 3 --steps 20 --name it"
    done = call("mlp.py", *words.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "12 runs = 4 settings x 3 seeds" in done.stdout
    assert "validation_accuracy" in done.stdout
    folder = tmp_path / "runs" / "it"
    assert (folder / "validation_accuracy.png").stat().st_size > 10_000
    assert len(pd.read_parquet(folder / "metrics")) == 12 * 20
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["command"].endswith(" ".join(words.split()))
    assert manifest["data"][0]["rows"].keys() == {"train", "validation", "test"}


@pytest.mark.parametrize("preset", ["digits", "article"])
def test_main_is_importable_and_presets_can_be_changed(tmp_path, preset, load_script):
    script = load_script("mlp.py")
    given = script.arguments(preset, seeds=("2",), steps=4, out=str(tmp_path), name="small")
    assert script.main(given) == tmp_path / "small"
    assert (tmp_path / "small" / "params" / "0-000000.safetensors").is_file()


@pytest.fixture
def tables(tmp_path):
    """A folder with a few CSV files that cannot be used, and a run folder."""
    rows = "".join(f"{i},{i % 3}\n" for i in range(30))
    (tmp_path / "good.csv").write_text("a,b\n" + rows)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "words.csv").write_text("a,b\n" + rows + "7,seven\n")
    (tmp_path / "file").write_text("")
    (tmp_path / "runs" / "old").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--data nonesuch", "nonesuch: neither a CSV file nor one of digits"),
        ("--data good.csv --target c", "--target c: no such column in good.csv"),
        ("--data good.csv", "--target is missing"),
        ("--data empty.csv --target b", "empty.csv is empty"),
        ("--data words.csv --target b", "words.csv, line 32, column b: 'seven' is not a number"),
        ("--learning-rate 0.1 fast", "--learning-rate fast: not a number"),
        ("--learning-rate -0.1", "--learning-rate -0.1: must be at least 0"),
        ("--momentum 1.5", "--momentum 1.5: must be between 0 and 1"),
        ("--seeds 0", "--seeds 0"),
        ("--seeds -3", "--seeds -3"),
        ("--name old", "old is there already"),
        ("--out file", "cannot write to file"),
        ("--out /proc/nowhere", "cannot write to /proc/nowhere"),
        ("--steps 0", "--steps 0"),
        ("--preset nonesuch", "--preset nonesuch"),
        ("--hidden 8xx", "--hidden 8xx"),
        ("--optimizer sgd --beta2 0.9 0.99", "--beta2: nothing uses it"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(tables, monkeypatch, refused, words, says):
    monkeypatch.chdir(tables)
    assert says in refused("mlp.py", words, tables)


def test_bad_input_ends_the_process_with_status_2(tmp_path, call):
    done = call("mlp.py", "--seeds", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: --seeds 0: a count of seeds is at least 1\n"
