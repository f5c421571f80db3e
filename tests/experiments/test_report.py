"""Tests of `scripts/report` on small sweeps of every workload."""

import json
import re
import shutil

import pytest

from research.errors import UserError
from research.report.tools.report import Arguments, main, run


@pytest.fixture
def sweep(tmp_path, small_sweep):
    """A function that returns a copy of the run folder of a workload's small sweep."""

    def run(workload, name="it"):
        return shutil.copytree(small_sweep(workload).folder, tmp_path / "runs" / name)

    return run


@pytest.fixture
def report(load_script):
    """A function that runs the report in this process and leaves JAX's settings alone."""
    return lambda *runs, **given: main(Arguments(tuple(map(str, runs)), **given))


def shown(pages):
    (page,) = pages
    text = page.read_text()
    return text, json.loads(re.search(r'id="data">(.*?)</script>', text).group(1))["charts"]


def test_the_page_of_classifiers_has_curves_and_confusion_matrices(sweep, report, capsys):
    text, charts = shown(report(sweep("mlp")))
    assert {"curves", "dots", "profile", "levels-0", "roc-0", "recall-0", "confusion-0"} <= set(
        charts
    )
    axes = charts["curves"]["variants"][0]["traces"][1]["along"]
    assert list(axes) == ["steps", "examples", "seconds of training"]
    assert "compile time" in text
    assert "page: " in capsys.readouterr().out


def test_the_page_of_agents_has_an_animation(sweep, report, capsys):
    folder = sweep("dqn")
    text, charts = shown(report(folder))
    assert '<img src="data:image/gif;base64,R0lGOD' in text
    assert next(iter(charts["curves"]["variants"][0]["traces"][1]["along"])) == "env steps"
    assert len(list(folder.glob("run-*.gif"))) == 1
    report(folder)  # what is there is not made again
    assert len(list(folder.glob("run-*.gif"))) == 1


def test_the_page_of_language_models_has_their_texts(sweep, report, capsys):
    folder = sweep("lm")
    text, _ = shown(report(folder))
    (sample,) = json.loads((folder / "evaluation" / "samples.json").read_text())
    assert f"Written by run {sample['run']}, seed" in text
    assert sample["text"].splitlines()[1] in text


def test_two_sweeps_are_compared_setting_by_setting(sweep, report, capsys):
    report(sweep("mlp", "one"), sweep("mlp", "other"), examples=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "other against one, compared seed by seed" in said
    assert "of 2 settings that both have: 2 same scores" in said


def test_examples_are_left_out_on_request_or_if_they_cannot_be_drawn(sweep, report, capsys):
    folder = sweep("dqn")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["env"] = "DiscountingChain-bsuite"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    report(folder, examples=False)
    assert "nothing to show" not in capsys.readouterr().out
    report(folder)
    assert "DiscountingChain-bsuite cannot be drawn" in capsys.readouterr().out


def test_bad_input_is_named_in_the_error(report, tmp_path):
    with pytest.raises(UserError, match="at least one run folder"):
        report()
    with pytest.raises(UserError, match=r"no folder .*none"):
        report(tmp_path / "none", live=True)
    with pytest.raises(UserError, match="is no run folder"):
        report(tmp_path)


def test_the_command_line_reports_errors_in_one_line(sweep, capsys, tmp_path):
    run(["--no-examples", str(sweep("mlp"))])
    assert "page: " in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        run([str(tmp_path)])
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
