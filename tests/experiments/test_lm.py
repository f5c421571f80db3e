"""The language model's script as a user calls it, and letting a model write."""

import json
import shutil

import pandas as pd
import pytest

from research.lm.text import make_tokenizer
from tests.experiments.conftest import EXPERIMENTS, TEXT

WORDS = {"level": ("word",), "learning_rate": (0.05,), "seeds": ("3",)}


@pytest.mark.parametrize(
    ("script", "lines"), [("lstm_lm.py", 80), ("sample.py", 130), ("perplexity.py", 160)]
)
def test_the_scripts_stay_short(script, lines):
    assert len((EXPERIMENTS / script).read_text().splitlines()) < lines


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


def test_a_sweep_prints_a_table_draws_a_curve_and_a_sample_that_can_be_repeated(
    small_sweep, trained, load_script, capsys
):
    _, out, err = small_sweep("lm")
    folder = trained()
    assert err == ""
    assert "8 runs = 4 settings x 2 seeds" in out
    (curve,) = folder.glob("*.png")
    assert curve.stat().st_size > 10_000
    metrics = pd.read_parquet(folder / "metrics")
    assert metrics["validation_perplexity"].notna().any()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["data"][1]["symbols"] == 14
    assert json.loads((folder / "vocabulary-0.json").read_text())["level"] == "character"
    sample = load_script("sample.py")
    sample.main(sample.Arguments(str(folder), tokens=300))
    again = capsys.readouterr()
    assert again.out.strip() in out
    assert again.err == ""


@pytest.fixture(scope="module")
def run_folders():
    """What was changed of the small sweep -> its run folder, which stays as it is."""
    return {}


@pytest.fixture
def trained(texts, load_script, small_sweep, run_folders, tmp_path_factory):
    """A function that returns a run folder of a small sweep, trained once for all tests."""

    def train(**changes):
        if not changes:
            return shutil.copytree(small_sweep("lm").folder, texts / "small")
        if (known := repr(changes)) not in run_folders:
            home, script = tmp_path_factory.mktemp("trained"), load_script("lstm_lm.py")
            (home / "text.txt").write_text(TEXT)
            small = {
                "corpus": (str(home / "text.txt"),), "hidden": ((8,),), "batch_size": (4,),
                "window": (8,), "seeds": ("2",), "steps": (10,), "out": str(home), "name": "small",
                "sample": 5,
            }  # fmt: skip
            run_folders[known] = script.main(script.arguments("topics", **small | changes))
        return shutil.copytree(run_folders[known], texts / "small")

    return train


def test_a_prompt_is_gone_on_from(trained, load_script, capsys):
    folder = trained()
    capsys.readouterr()
    sample = load_script("sample.py")
    write = lambda **changes: sample.main(sample.Arguments(str(folder), tokens=20, **changes))
    text = write(prompt="the cat ", run=1)
    assert text.startswith("the cat ")
    assert len(text) == 28
    out = capsys.readouterr().out
    assert out.startswith("run 1, seed 1: validation_bits_per_character ")
    assert out.endswith(text + "\n")
    assert write(seed=1) != write(seed=2)
    assert write(seed=1, temperature=0.0) == write(seed=2, temperature=0.0)


@pytest.mark.parametrize("level", ["character", "word", "byte"])
def test_a_prompt_is_read_as_the_training_text_was(load_script, level):
    """Without what an editor adds, but for bytes, which are kept in both."""
    sample, tokenizer = load_script("sample.py"), make_tokenizer(level, TEXT)
    plain, edited = "the cat\nsat", "\ufeffthe cat\r\nsat"
    expected = edited if level == "byte" else plain
    tokens = sample.read_prompt(tokenizer, edited)
    assert tokenizer.decode(tokens[1:]) == expected


def test_words_stand_apart_from_the_prompt(trained, load_script):
    folder, sample = trained(**WORDS), load_script("sample.py")
    text = sample.main(sample.Arguments(str(folder), tokens=20, prompt="the cat"))
    known = {*["the", "cat", "sat", "on", "mat", "and", "saw", "a", "rat", "<unk>"]}
    assert text.startswith("the cat")
    assert set(text.split()) <= known


@pytest.mark.parametrize(
    ("level", "changes", "says"),
    [
        (
            "character",
            {"prompt": "naïve"},
            "--prompt: .ï. at place 2 does not occur",
        ),
        ("word", {"prompt": "the dog sat"}, "--prompt: the model does not know the word 'dog'"),
        ("word", {"run": 7}, r"--run 7: .* its runs are 0 to 2"),
        ("word", {"tokens": 0}, "--tokens 0: must be at least 1"),
        ("word", {"temperature": -1.0}, r"--temperature -1.0: must be at least 0"),
        ("word", {"top_k": -1}, "--top-k -1: must be at least 0"),
        ("word", {"top_p": 0.0}, r"--top-p 0.0: must be above 0 and at most 1"),
    ],
)
def test_what_cannot_be_written_is_one_clear_line(trained, load_script, level, changes, says):
    folder = trained(**WORDS) if level == "word" else trained()
    sample = load_script("sample.py")
    with pytest.raises(sample.UserError, match=says):
        sample.main(sample.Arguments(str(folder), **changes))


def test_a_folder_of_another_workload_is_named(trained, load_script):
    folder, sample = trained(), load_script("sample.py")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"experiment": "dqn"}))
    with pytest.raises(sample.UserError, match="run folder of dqn, not of lstm_lm"):
        sample.main(sample.Arguments(str(folder)))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "vocabulary-0.json").write_text("{")
    with pytest.raises(sample.UserError, match=r"vocabulary-0.json is damaged"):
        sample.main(sample.Arguments(str(folder)))
    (folder / "vocabulary-0.json").unlink()
    with pytest.raises(sample.UserError, match=r"no file .*vocabulary-0.json"):
        sample.main(sample.Arguments(str(folder)))


def test_perplexity_of_single_runs_and_their_ensemble(trained, load_script, capsys):
    """Alone, what the sweep measured; together, better; learning meanwhile, otherwise."""
    folder, script = trained(**WORDS), load_script("perplexity.py")
    metrics = pd.read_parquet(folder / "metrics")
    measured = metrics[metrics["step"] == 10]["test_perplexity"]
    capsys.readouterr()

    def read(**changes):
        script.main(script.Arguments(str(folder), **changes))
        (line,) = [line for line in capsys.readouterr().out.splitlines() if " all " in line]
        words = line.replace("[", " ").replace("]", " ").split()
        assert words[:3] == ["all", "3", "perplexity"]
        return float(words[3]), float(words[-1])

    alone, together = read()
    assert alone == pytest.approx(measured.median(), rel=2e-3)
    assert together < measured.mean()
    assert read(streams=4, context=60) == pytest.approx((alone, together), rel=2e-3)
    assert read(dynamic="sgd", rate=0.0) == pytest.approx((alone, together), rel=1e-3)
    assert read(dynamic="rms", rate=0.05)[0] < 0.98 * alone


def test_dynamic_evaluation_by_nothing_is_one_clear_line(load_script):
    """A step size of NaN, or a division by the size of gradients that were all 0."""
    script = load_script("perplexity.py")
    with pytest.raises(script.UserError, match="--rate nan: must be a finite number"):
        script.Arguments("runs/it", rate=float("nan")).check()
    with pytest.raises(script.UserError, match=r"--epsilon 0\.0: must be above 0"):
        script.Arguments("runs/it", epsilon=0.0).check()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"part": "dev"}, "--part dev: there are train, validation, test"),
        ({"dynamic": "adam"}, "--dynamic adam: there are none, sgd, rms"),
        ({"window": 0}, "--window 0: must be at least 1"),
        ({"decay": 2.0}, "--decay 2.0: must be between 0 and 1"),
        ({"corpus": "strange.txt"}, "'!' at place 0 does not occur in the training text"),
        ({"corpus": "none.txt"}, "--corpus none.txt: no such file"),
    ],
)
def test_what_cannot_be_evaluated_is_one_clear_line(trained, texts, load_script, changes, says):
    (texts / "strange.txt").write_text("!\n" * 99)
    folder, script = trained(), load_script("perplexity.py")
    with pytest.raises(script.UserError, match=says):
        script.main(script.Arguments(str(folder), **changes))


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
def test_bad_input_is_one_clear_line_and_status_2(texts, refused, words, says):
    assert says in refused("lstm_lm.py", words, texts)
