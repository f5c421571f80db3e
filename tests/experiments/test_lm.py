"""Tests of the language model's recipe as a user calls it."""

import json
import shutil

import pandas as pd
import pytest

from tests.sweeps import EXPERIMENTS, TEXT


def test_the_recipe_stays_short():
    assert len((EXPERIMENTS / "lstm_lm.py").read_text().splitlines()) < 80


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """A folder with texts, good and bad, and a run folder."""
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "short.txt").write_text("a\n" * 40)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n" * 99)
    (tmp_path / "runs" / "old").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sweep_prints_a_table_draws_a_curve_and_writes_a_sample(
    small_sweep,
):
    folder, out, err = small_sweep("lm")
    assert err == ""
    assert "8 runs = 4 settings x 2 seeds" in out
    (curve,) = folder.glob("*.png")
    assert curve.stat().st_size > 10_000
    metrics = pd.read_parquet(folder / "metrics")
    assert metrics["validation_perplexity"].notna().any()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["data"][1]["symbols"] == 14
    assert json.loads((folder / "vocabulary-0.json").read_text())["level"] == "character"
    assert "\nrun " in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--corpus empty.txt", "--corpus empty.txt: its train part is empty"),
        ("--corpus short.txt", "fewer than one window of --window 64 for each of --batch-size 16"),
        ("--corpus latin.txt", "latin.txt: byte 3, in line 1, is not UTF-8"),
        ("--corpus nothing.txt", "--corpus nothing.txt: no such file or folder, nor one of"),
        ("--corpus runs", "--corpus runs: no file with 'train' in its name, as a word"),
        ("--level letters", "--level letters: there are word, character, byte, bpe"),
        ("--level bpe --vocabulary-size 9", "--vocabulary-size 9: byte pairs need 257 or more"),
        ("--layer-dropout 1.5", "--layer-dropout 1.5: must be at least 0 and below 1"),
        ("--seeds -1", "--seeds -1"),
        ("--sample -1", "--sample -1: must be at least 0"),
        ("--level word --vocabulary-size 1", "--vocabulary-size 1: words need 2 or more"),
        ("--name old", "old is there already"),
    ],
)
def test_bad_input_gives_a_one_line_error_and_status_2(texts, refused, words, says):
    assert says in refused("lstm_lm.py", words, texts)


def test_a_text_that_a_kill_has_kept_from_being_written_is_written_by_resume(
    tmp_path, small_sweep, answer, monkeypatch
):
    home = small_sweep("lm").folder.parents[1]
    folder = shutil.copytree(small_sweep("lm").folder, tmp_path / "it")
    monkeypatch.chdir(home)  # where the corpus is
    before = (folder / "evaluation" / "samples.json").read_text()
    shutil.rmtree(folder / "evaluation")
    status, out, error = answer("lstm_lm.py", f"--resume {folder}")
    assert (status, error) == (0, "")
    assert f"{folder} is finished but for a text that its best model writes, made now" in out
    assert (folder / "evaluation" / "samples.json").read_text() == before
