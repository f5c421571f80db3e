"""Tests of `scripts/perplexity`: single runs, ensembles and dynamic evaluation."""

import io

import numpy as np
import pandas as pd
import pytest

from research.errors import UserError
from research.lm.by_line import encode_lines, line_nlls, unknown_tokens
from research.lm.text import make_tokenizer
from research.lm.tools import perplexity
from tests.lm.tools.conftest import WORDS
from tests.sweeps import TEXT


def test_perplexity_of_single_runs_and_their_ensemble(trained, capsys):
    """Single runs score as in the sweep, ensembles better, dynamic evaluation differently."""
    folder = trained(**WORDS)
    metrics = pd.read_parquet(folder / "metrics")
    measured = metrics[metrics["step"] == 10]["test_perplexity"]
    capsys.readouterr()

    def read(**changes):
        perplexity.main(perplexity.Arguments(str(folder), **changes))
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


def test_lines_are_predicted_apart_or_in_one_text(trained, tmp_path, capsys):
    """With the state carried, they add up to the text; without, equal lines score alike."""
    folder, file = trained(), tmp_path / "lines.txt"
    lines = ["the cat sat", "", "the cat sat on the mat " * 9, "the cat sat"]
    file.write_text("\n".join(lines) + "\n")

    def read(**changes):
        given = {"by_line": str(file), "window": 8, "run": 1} | changes
        capsys.readouterr()
        perplexity.main(perplexity.Arguments(str(folder), **given))
        return pd.read_csv(io.StringIO(capsys.readouterr().out))

    apart, together = read(), read(carry_state=True)
    assert list(apart) == ["line", "tokens", "nll", "perplexity", "unknown"]
    assert apart["tokens"].tolist() == [len(line) + 1 for line in lines]
    assert apart["nll"][0] == apart["nll"][3] != together["nll"][3]
    assert together["nll"][0] == pytest.approx(apart["nll"][0], rel=1e-5)
    expected = np.exp(apart["nll"] / apart["tokens"])
    np.testing.assert_allclose(apart["perplexity"], expected, rtol=1e-5)
    out = tmp_path / "out.csv"
    perplexity.main(perplexity.Arguments(str(folder), by_line=str(file), run=1, out=str(out)))
    assert len(pd.read_csv(out)) == 4
    with pytest.raises(UserError, match=r"out\.csv: it is there already and is not overwritten"):
        perplexity.main(perplexity.Arguments(str(folder), by_line=str(file), out=str(out)))


def test_all_of_another_file_is_predicted_and_its_unknown_words_are_counted(
    trained, tmp_path, capsys
):
    """It is no text to train on, so that it has no parts unless one is asked for."""
    folder, file = trained(**WORDS), tmp_path / "held.txt"
    file.write_text("the cat sat on the mat\n" * 20 + "the zebra saw a zebu\n")

    def read(by_line=None, **changes):
        capsys.readouterr()
        given = {"by_line": str(file)} if by_line else {"corpus": str(file)}
        perplexity.main(perplexity.Arguments(str(folder), window=8, **given, **changes))
        return capsys.readouterr().out

    lines = pd.read_csv(io.StringIO(read(by_line=True, carry_state=True, run=1)))
    (whole,) = [line for line in read().splitlines() if " all " in line]
    best = np.exp(lines["nll"].sum() / lines["tokens"].sum())
    low, high = (float(word.strip("[],")) for word in whole.split()[5:7])
    assert low * 0.999 <= best <= high * 1.001
    text = read()
    assert f": {file}" in text.replace("\n", "")
    assert f"2 of the {lines['tokens'].sum()} tokens (1.4%) are words that the models do not" in (
        " ".join(text.split())
    )
    with pytest.raises(UserError, match="--window 8: the text has 6 tokens"):
        read(part="test")


def test_the_lines_of_a_text_add_up_to_its_loss():
    """Whatever the lengths of lines, every token is predicted once, after the right ones."""
    tokenizer = make_tokenizer("character", TEXT)
    lines = ["the cat", "", "a rat saw the mat", "on"]
    encoded = encode_lines(tokenizer, "t", lines)
    seen = []

    def judge(params, heldout):
        tokens, counts = heldout.tokens, heldout.counts
        seen.append(counts.sum())
        return (100 * tokens[:-1] + tokens[1:]) * counts  # tells which token follows which

    pairs = lambda tokens: 100 * np.r_[tokenizer.start, tokens[:-1]] + tokens
    expected = [pairs(tokens).sum() for tokens in encoded]
    found = line_nlls(judge, None, tokenizer, encoded, 4)
    np.testing.assert_array_equal(found, expected)
    found = line_nlls(judge, None, tokenizer, encoded, 4, carried=True)
    assert found.sum() == pairs(np.concatenate(encoded)).sum()
    assert seen == [sum(map(len, encoded))] * 2
    with pytest.raises(UserError, match="t, line 2: '!', character 1, does not occur"):
        encode_lines(tokenizer, "t", ["the", "!"])


def test_unknown_words_of_a_line_are_counted():
    words, characters = (make_tokenizer(level, TEXT) for level in ("word", "character"))
    (tokens,) = encode_lines(words, "t", ["the zebra saw a zebu"])
    assert unknown_tokens(words, tokens) == 2
    assert unknown_tokens(characters, tokens) == 0


def test_dynamic_evaluation_with_invalid_steps_gives_a_one_line_error():
    """The step size is NaN, or it is divided by gradients that were all 0."""
    with pytest.raises(UserError, match="--rate nan: must be a finite number"):
        perplexity.Arguments("runs/it", rate=float("nan")).check()
    with pytest.raises(UserError, match=r"--epsilon 0\.0: must be above 0"):
        perplexity.Arguments("runs/it", epsilon=0.0).check()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"part": "dev"}, "--part dev: there are train, validation, test"),
        ({"dynamic": "adam"}, "--dynamic adam: there are none, sgd, rms"),
        ({"window": 0}, "--window 0: must be at least 1"),
        ({"decay": 2.0}, "--decay 2.0: must be between 0 and 1"),
        (
            {"corpus": "strange.txt"},
            "--corpus strange.txt: '!', character 1, does not occur in the training text",
        ),
        ({"corpus": "none.txt"}, "--corpus none.txt: no such file"),
        ({"by_line": "none.txt"}, "cannot read none.txt: No such file"),
        ({"by_line": "strange.txt", "dynamic": "rms"}, "--dynamic rms --by-line strange.txt: choo"),
    ],
)
def test_a_run_that_cannot_be_evaluated_gives_a_one_line_error(
    trained, tmp_path, monkeypatch, changes, says
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strange.txt").write_text("!\n" * 99)
    folder = trained()
    with pytest.raises(UserError, match=says):
        perplexity.main(perplexity.Arguments(str(folder), **changes))
