"""Tests of how the report finds the views of a workload."""

import importlib
import os
import sys

import numpy as np
import pytest

from research.errors import UserError
from research.report.page.page import make_page
from research.report.read import read_run_folder
from research.report.summary import summarize
from research.report.tools.report import make_examples
from research.report.views import find_views, image

PACKAGE = """
from research.report.page.chart import Chart, Variant
from research.report.views import Shown, Text, Views

made = []

def show(summary, run):
    note = f"{len(summary.of_run(run))} settings"
    chart = Chart(f"mine-{run}", "My chart", note, [Variant("all", [], {})])
    return Shown(charts=[chart], texts=[Text("<My text>", "", "<i>plain</i>")])

VIEWS = Views(show, lambda run: made.append(run.path))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that installs a package with views for an experiment and returns its module."""

    def install(name, value="my_views:VIEWS"):
        site = tmp_path / "site"
        facts = site / "mine-1.0.dist-info"
        facts.mkdir(parents=True)
        (site / "my_views.py").write_text(PACKAGE)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(f"[seedbed.views]\n{name} = {value}\n")
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, "my_views", raising=False)
        return importlib.import_module("my_views")

    return install


@pytest.mark.parametrize(
    ("experiment", "workload"), [("mlp", "mlp"), ("dqn", "dqn"), ("pqn", "dqn"), ("lstm_lm", "lm")]
)
def test_every_experiment_gets_the_views_of_its_workload(experiment, workload):
    views = find_views({"experiment": experiment})
    assert views is not None
    assert views.show.__module__ == f"research.{workload}.views"


def test_the_workload_in_the_manifest_wins_over_the_experiment_name():
    assert find_views({"experiment": "mine", "workload": "lm"}) is find_views(
        {"experiment": "lstm_lm"}
    )


@pytest.mark.parametrize("name", ["toy", "report", "os", "mlp.task", "../mlp", "", ["mlp"], {}, 3])
def test_a_module_named_in_a_manifest_is_never_imported(name, monkeypatch):
    asked = []
    load = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda one: asked.append(one) or load(one))
    assert find_views({"experiment": name}) is None
    assert set(asked) <= {f"research.{one}.views" for one in ("mlp", "dqn", "lm")}


def test_no_workload_is_imported_for_an_unknown_experiment(monkeypatch):
    """Importing a workload would add seconds to every report."""
    monkeypatch.setattr(importlib, "import_module", None)
    assert find_views({"experiment": "toy"}) is None


def test_an_installed_package_can_offer_views(installed, make_sweep):
    module = installed("mine")
    run = read_run_folder(make_sweep(np.zeros((2, 3, 2)), experiment="mine"))
    page = make_page(summarize([run]))
    assert 'data-chart="mine-0"' in page
    assert "2 settings" in page
    assert "<h3>&lt;My text&gt;</h3>" in page
    assert "&lt;i&gt;plain&lt;/i&gt;" in page
    make_examples(run)
    assert module.made == [run.path]


def test_examples_are_made_for_finished_folders_only(installed, make_sweep):
    module = installed("mine")
    run = read_run_folder(make_sweep(np.zeros((2, 3, 2)), experiment="mine", status="running"))
    make_examples(run)
    assert module.made == []


def test_a_package_does_not_replace_the_views_of_a_workload(installed):
    module = installed("mlp")
    assert find_views({"experiment": "mlp"}) is not module.VIEWS


@pytest.mark.parametrize(
    ("value", "why"),
    [("no_such_package.views:VIEWS", "cannot be loaded"), ("my_views:made", "are no .*Views")],
)
def test_views_that_fail_to_load_are_named(installed, value, why):
    installed("mine", value)
    with pytest.raises(UserError, match=f"views of mine, {value}, {why}"):
        find_views({"experiment": "mine"})


def test_an_image_is_not_read_through_a_link_and_no_pipe_is_waited_for(tmp_path):
    (tmp_path / "private").write_bytes(b"secret")
    (tmp_path / "run-0.gif").symlink_to(tmp_path / "private")
    os.mkfifo(tmp_path / "run-1.gif")
    for name, says in (("run-0.gif", "is a link"), ("run-1.gif", "is a pipe")):
        with pytest.raises(UserError, match=says):
            image(tmp_path / name, "title", "")
    assert image(tmp_path / "private", "title", "").source.endswith("base64,c2VjcmV0")
    with (tmp_path / "large.gif").open("wb") as file:
        file.truncate(10**12)  # of which nothing is read
    assert image(tmp_path / "large.gif", "title", "").source == ""
