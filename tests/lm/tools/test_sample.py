"""Tests of `scripts/sample`."""

import json

import pytest

from research.cli import own_code
from research.errors import UserError
from research.lm.text import make_tokenizer
from research.lm.tools import perplexity, sample
from research.lm.tools.trained import read_prompt
from tests.lm.tools.conftest import WORDS
from tests.sweeps import TEXT


def test_the_sample_of_a_sweep_can_be_reproduced(small_sweep, trained, capsys):
    sample.main(sample.Arguments(str(trained()), tokens=300))
    again = capsys.readouterr()
    assert again.out.strip() in small_sweep("lm").out
    assert again.err == ""


def test_a_prompt_is_continued(trained, capsys):
    folder = trained()
    capsys.readouterr()
    write = lambda **changes: sample.main(sample.Arguments(str(folder), tokens=20, **changes))
    text = write(prompt="the cat ", run=1)
    assert text.startswith("the cat ")
    assert len(text) == 28
    out = capsys.readouterr().out
    assert out.startswith("run 1, seed 1: validation_bits_per_character ")
    assert out.endswith(text + "\n")
    assert write(seed=1) != write(seed=2)
    assert write(seed=1, temperature=0.0) == write(seed=2, temperature=0.0)


def test_each_of_several_prompts_is_continued_as_it_would_be_alone(trained, tmp_path, capsys):
    folder, file = trained(), tmp_path / "prompts.txt"
    file.write_text("the cat \n\na rat\n")
    write = lambda **changes: sample.main(sample.Arguments(str(folder), tokens=20, **changes))
    alone = [write(prompt=(prompt,)) for prompt in ("the cat ", "a rat")]
    capsys.readouterr()
    assert write(prompt=("the cat ", "a rat")) == write(prompts=str(file)) == "\n".join(alone)
    out = capsys.readouterr().out
    assert f"prompt 2 of 2: a rat\n{alone[1]}\n" in out
    kept = json.loads((folder / "evaluation" / "samples.json").read_text())
    assert [one["prompt"] for one in kept[-2:]] == ["the cat ", "a rat"]
    assert [one["text"] for one in kept[-2:]] == alone


def test_prompts_that_cannot_be_read_give_a_one_line_error(trained, tmp_path):
    folder, file = trained(), tmp_path / "prompts.txt"
    file.write_text("\n")
    given = {"prompts": str(file)}
    with pytest.raises(UserError, match="it has no line with a text"):
        sample.main(sample.Arguments(str(folder), **given))
    with pytest.raises(UserError, match=r"--prompt --prompts .*: choose one"):
        sample.main(sample.Arguments(str(folder), prompt=("a",), **given))


@pytest.mark.parametrize("level", ["character", "word", "byte"])
def test_a_prompt_is_read_as_the_training_text_was(level):
    """Line ends and byte-order marks are normalized in both, except in models of bytes."""
    tokenizer = make_tokenizer(level, TEXT)
    plain, edited = "the cat\nsat", "\ufeffthe cat\r\nsat"
    expected = edited if level == "byte" else plain
    tokens = read_prompt(tokenizer, edited)
    assert tokenizer.decode(tokens[1:]) == expected


def test_sampled_words_are_separated_from_the_prompt(trained):
    folder = trained(**WORDS)
    text = sample.main(sample.Arguments(str(folder), tokens=20, prompt="the cat"))
    known = {*["the", "cat", "sat", "on", "mat", "and", "saw", "a", "rat", "<unk>"]}
    assert text.startswith("the cat")
    assert set(text.split()) <= known


def test_the_unknown_word_is_written_only_if_asked_for(trained):
    """At a temperature where all words are about equally probable."""
    folder = str(trained(**WORDS))
    write = lambda **changes: sample.main(
        sample.Arguments(folder, tokens=200, temperature=1e3, **changes)
    )
    assert "<unk>" not in write()
    assert "<unk>" in write(unknown=True)


@pytest.mark.parametrize(
    ("level", "changes", "says"),
    [
        (
            "character",
            {"prompt": "naïve"},
            "--prompt naïve: .ï., character 3, does not occur",
        ),
        (
            "word",
            {"prompt": "the dog sat"},
            "--prompt the dog sat: the model does not know the word 'dog'",
        ),
        ("word", {"run": 7}, r"--run 7: .* its runs are 0 to 2"),
        ("word", {"tokens": 0}, "--tokens 0: must be at least 1"),
        ("word", {"temperature": -1.0}, r"--temperature -1.0: must be at least 0"),
        ("word", {"top_k": -1}, "--top-k -1: must be at least 0"),
        ("word", {"top_p": 0.0}, r"--top-p 0.0: must be above 0 and at most 1"),
    ],
)
def test_an_invalid_sampling_request_gives_a_one_line_error(trained, level, changes, says):
    folder = trained(**WORDS) if level == "word" else trained()
    with pytest.raises(UserError, match=says):
        sample.main(sample.Arguments(str(folder), **changes))


def test_a_folder_of_another_workload_is_named(trained):
    folder = trained()
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"workload": "dqn"}))
    with pytest.raises(UserError, match="run folder of dqn, not of lm"):
        sample.main(sample.Arguments(str(folder)))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "vocabulary-0.json").write_text("{")
    with pytest.raises(UserError, match=r"vocabulary-0.json is damaged"):
        sample.main(sample.Arguments(str(folder)))
    (folder / "vocabulary-0.json").unlink()
    with pytest.raises(UserError, match=r"no file .*vocabulary-0.json"):
        sample.main(sample.Arguments(str(folder)))


def test_two_corpora_have_a_table_and_a_text_each(trained, tmp_path, capsys):
    (tmp_path / "other.txt").write_text("dogs bark\n" * 400)
    (tmp_path / "same.txt").write_text(TEXT)
    corpora = tuple(str(tmp_path / name) for name in ("other.txt", "same.txt"))
    folder = str(trained(corpus=corpora, seeds=("1",)))
    capsys.readouterr()
    perplexity.main(perplexity.Arguments(folder))
    first, second = capsys.readouterr().out.split("same.txt: small: test")
    assert "other.txt: small: test" in first
    assert "same.txt" not in first
    assert "other.txt" not in second
    assert len(sample.main(sample.Arguments(folder, tokens=7))) == 7 + 1 + 7
    assert capsys.readouterr().out.count("seed 0: validation_bits_per_character") == 2


def test_a_model_of_a_script_with_a_config_of_its_own_writes(trained, tmp_path):
    """The script is run for the folder only once the user has run it."""
    script, folder = tmp_path / "own_lm.py", trained()
    script.write_text(OWN_LM)
    manifest = json.loads((folder / "manifest.json").read_text())
    code = {"file": str(script), "make_problem": "make_problem", "config": "Config"}
    manifest |= {"code": code, "config": manifest["config"] | {"extra": 3}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"own_lm\.py, which you have not used on this machine"):
        sample.main(sample.Arguments(str(folder), tokens=5))
    own_code.remember([str(script)])
    assert len(sample.main(sample.Arguments(str(folder), tokens=5))) == 5


OWN_LM = """
import dataclasses
from research import lm
from research.task import field

@dataclasses.dataclass(frozen=True)
class Config(lm.Config):
    extra: int = field(1, "of its own")

def make_problem(config):
    return lm.make_problem(config)
"""
