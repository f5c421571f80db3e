"""Text from a run folder of somebody else's making reaches the terminal, the page and figures as
text: it moves no cursor, sets no title, starts no line, and is no markup."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from research.lm.tools import perplexity, sample
from research.mlp.tools import explain
from research.plain_text import visible
from research.report.page.page import make_content
from research.report.read import read_run_folder
from research.report.summary import summarize
from research.report.tools import report, show

TITLE, RED, HTML, MATH, TEX = (
    "\x1b]0;owned\x07",
    "[red]x[/red]",
    "<script>x</script>",
    "$x_1$",
    r"\input{x}",
)
LINE, WAY, COLOUR = "\nerror: all is lost", "\u202ereversed", "\x9b31m\x1b[31m"
HOSTILE = f"a{TITLE}{RED}{HTML}{MATH}{TEX}{LINE}{WAY}{COLOUR}"
PARTS = [RED, HTML, MATH, TEX]  # which are shown as they are


def is_safe(text):
    """Whether a terminal shows the text and does nothing else, but for new lines and tabs."""
    return text == visible(text)


def renamed(folder, old, new):
    """Renames a column of the metrics."""
    for path in (folder / "metrics").iterdir():
        whole = pq.read_table(path)
        names = [new if name == old else name for name in whole.column_names]
        pq.write_table(whole.rename_columns(names), path)


@pytest.fixture
def hostile(small_sweep, tmp_path):
    """A run folder in which every name is hostile, its own among them."""
    folder = shutil.copytree(small_sweep("mlp").folder, tmp_path / HOSTILE.replace("/", ""))
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, role in (("validation_accuracy", "metric"), ("learning_rate", "field")):
        renamed(folder, name, f"{role} {HOSTILE}")
    manifest["key_metric"] = f"metric {HOSTILE}"
    values = manifest["hparams_axes"].pop("learning_rate")
    manifest["hparams_axes"][f"field {HOSTILE}"] = values
    manifest["data"][0] |= {"name": f"data {HOSTILE}", "rows": 3}
    manifest["config"] |= {"activation": HOSTILE, f"x{HOSTILE}": [HOSTILE]}
    for name in ("command", "host", "started", "work_unit", "git_commit", "experiment"):
        manifest[name] = f"{name} {HOSTILE}"
    manifest |= {"in_work": True, "versions": {HOSTILE: HOSTILE}, "status": "stopped"}
    manifest["device"] = {"platform": HOSTILE, "kind": HOSTILE, "count": HOSTILE}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """The texts of all figures that are saved, which are drawn as well."""
    texts, save = [], Figure.savefig

    def savefig(figure, *args, **given):
        texts.extend(figure.findobj(Text))
        save(figure, *args, **given)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return texts


def check_printed(text):
    assert is_safe(text)
    assert not any(line.startswith("error: all is lost") for line in text.splitlines())


def check_drawn(texts):
    assert texts
    for text in texts:
        assert is_safe(text.get_text())
        assert "$" not in text.get_text() or not text.get_parse_math()
        assert not text.get_usetex()


def test_show_prints_and_draws_names_as_text(hostile, capsys, drawn, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    show.run([str(hostile)])
    out, err = capsys.readouterr()
    check_printed(out)
    assert err == ""
    for part in PARTS:
        assert part in out
    check_drawn(drawn)
    (figure,) = hostile.glob("metric*.png")
    assert re.fullmatch(r"[A-Za-z0-9._-]+", figure.name)


class Reader(HTMLParser):
    """Collects the tags of a page, its text and the values of its attributes."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.texts += [value for _, value in attrs if value]

    def handle_data(self, data):
        self.texts.append(data)


def strings(content):
    """All strings in JSON, names among them."""
    if isinstance(content, dict):
        return [*content, *(one for value in content.values() for one in strings(value))]
    if isinstance(content, list):
        return [one for value in content for one in strings(value)]
    return [content] if isinstance(content, str) else []


def test_the_page_holds_names_as_text(hostile, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    report.run([str(hostile)])
    check_printed(capsys.readouterr().out)
    content = make_content(summarize([read_run_folder(hostile)]), 10)
    page = Reader()
    page.feed(content["html"])
    assert not page.tags & {"script", "iframe", "img", "link", "style"}
    for part in PARTS:
        assert any(part in text for text in page.texts)
    for text in [*page.texts, *strings(json.loads(content["data"]))]:
        assert is_safe(text), text
    assert "<" not in content["data"]
    assert "<script>x" not in (hostile / "report.html").read_text()


def test_classes_and_texts_of_models_are_text_on_the_page(small_sweep, tmp_path):
    folder = shutil.copytree(small_sweep("lm").folder, tmp_path / "it")
    told = {"run": 1, "of_seed": 1, "prompt": HOSTILE, "temperature": 1.0, "text": HOSTILE * 2}
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / "samples.json").write_text(json.dumps([told]))
    page = Reader()
    page.feed(make_content(summarize([read_run_folder(folder)]), 10)["html"])
    assert "script" not in page.tags
    assert all(map(is_safe, page.texts))
    assert any(HTML in text for text in page.texts)


def test_what_a_model_with_a_hostile_vocabulary_writes_is_text(
    small_sweep, tmp_path, load_script, capsys
):
    """Its letters move the cursor and set the title."""
    folder = shutil.copytree(small_sweep("lm").folder, tmp_path / "it")
    for path in folder.glob("vocabulary-*.json"):
        symbols = json.loads(path.read_text())["symbols"]
        odd = "\x1b\x07\x9b\u202e\x08\r"
        path.write_text(json.dumps({"level": "character", "symbols": odd + symbols[len(odd) :]}))
    sample.main(sample.Arguments(str(folder), tokens=200, temperature=5.0))
    out, err = capsys.readouterr()
    assert is_safe(out)
    assert r"\x1b" in out
    assert err == ""
    with pytest.raises(Exception, match="does not occur in the training text") as raised:
        perplexity.main(perplexity.Arguments(str(folder), corpus=corpus(tmp_path)))
    assert "\x1b" not in str(raised.value)


def corpus(folder):
    path = folder / "text.txt"
    path.write_text("the \x1b]0;x cat\n" * 200)
    return str(path)


def test_columns_with_hostile_names_are_printed_as_text(capsys):
    names, values = [f"{HOSTILE} {n}" for n in range(3)], np.arange(6.0).reshape(2, 3)
    explain.print_measure(f"integrated gradients, {HOSTILE}", names, values, 3)
    check_printed(capsys.readouterr().out)


def test_what_the_parser_of_flags_says_is_text(capfd, monkeypatch):
    """It prints words as they are, such as the name of a file that a shell has put there."""
    with pytest.raises(SystemExit):
        show.run(["a", f"b{HOSTILE}"])
    out, err = capfd.readouterr()
    assert out == ""
    assert is_safe(err)
    assert "owned" in err


def test_files_with_hostile_names_are_named_as_text(make_run, capsys):
    folder = make_run(experiment="dqn", workload="dqn")
    (folder / "run-\x1b]0;x\x07<b>.gif").write_bytes(b"GIF89a")
    page = Reader()
    page.feed(make_content(summarize([read_run_folder(folder)]), 10)["html"])
    assert "b" not in page.tags
    assert all(map(is_safe, page.texts))
    assert any("<b>.gif" in text for text in page.texts)
    name = "metrics/0-000000-\x1b]0;x\x07\n9.parquet"
    (Path(folder) / name).write_bytes(b"PAR1")
    with pytest.raises(SystemExit):
        show.run([str(folder)])
    err = capsys.readouterr().err
    assert is_safe(err)
    assert err.count("\n") == 1


def test_metrics_of_one_name_but_for_letters_that_are_no_names_have_files_of_their_own(make_run):
    folder = make_run()
    for old, new in (("loss", "A/B"), ("test_score", "A-B")):
        renamed(folder, old, new)
    made = {show.show_run(folder, name) for name in ("A/B", "A-B", "validation_score")}
    assert len(made) == 3
    assert {path.parent for path in made} == {folder}
    assert folder / "validation_score.png" in made
