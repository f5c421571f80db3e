"""Tests of `scripts/report`: the page, and the table in the terminal."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from research.errors import UserError
from research.folders import file_name
from research.report.read import read_run_folder
from research.report.summary import summarize
from research.report.tools.report import report

SCORES = np.random.default_rng(0).normal(size=(2, 6, 5)) + np.array([1.0, 5.0])[:, None, None]


def printed(*paths, width=80, **given):
    file = io.StringIO()
    (page,) = report(paths, console=Console(file=file, width=width), **given)
    return page, file.getvalue()


def test_it_writes_the_page_into_the_first_folder_and_prints_the_table(make_sweep):
    page, text = printed(make_sweep(SCORES))
    assert page.name == "report.html"
    assert f"page: {page}" in text.replace("\n", "")
    assert "rate" in text
    html = page.read_text()
    for name in ("What it says", "Learning curves", "Every run", "Performance profile"):
        assert name in html


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits_the_terminal_and_agrees_with_the_page(make_sweep, width):
    page, text = printed(make_sweep(SCORES), width=width)
    intervals = re.findall(r"[-\d.e]+ \[[-\d.e]+, [-\d.e]+\]", text)
    assert len(intervals) >= 9  # IQM, median, mean and test of two settings; and one against best
    cells = re.sub(r"</?span[^>]*>", "", page.read_text())
    for interval in intervals:
        assert interval in cells
    assert "…" not in text  # nothing is cut
    assert max(map(len, text.splitlines())) <= max(width, len(f"page: {page}"))


def test_the_same_folder_gives_the_same_page_twice(make_sweep, tmp_path):
    path = make_sweep(SCORES)
    first, _ = printed(path, out=tmp_path / "first.html")
    second, _ = printed(path, out=tmp_path / "second.html")
    assert first.read_bytes() == second.read_bytes()


def test_a_page_that_cannot_be_written_is_named(make_sweep, tmp_path):
    with pytest.raises(
        UserError,
        match=r"page\.html: there is no folder .*; give another --out",
    ):
        printed(make_sweep(SCORES), out=tmp_path / "none" / "page.html")


def test_a_path_that_is_no_run_folder_is_named_in_the_error(tmp_path):
    with pytest.raises(UserError, match="is no run folder"):
        printed(tmp_path)


def test_scores_on_different_environments_are_not_compared(make_sweep):
    """Each environment has a page of its own, and one of them can be chosen."""
    axes = {"env": ["A/B", "C"], "rate": [0.1, 0.2]}
    groups = [{"first_run": 6 * place, "runs": 6, "goal": None, "env": name}
              for place, name in enumerate(axes["env"])]  # fmt: skip
    rates = {"rate": axes["rate"]}
    facts = {"config_axes": {"env": axes["env"]}, "hparams_axes": rates, "groups": groups}
    path = make_sweep(
        np.concatenate([SCORES, SCORES + 100])[:, :3], axes=axes,
        data=[{"environment": name, "sha256": "0"} for name in axes["env"]], **facts,
    )  # fmt: skip
    file = io.StringIO()
    pages = report([path], console=Console(file=file, width=80))
    assert [page.name for page in pages] == [f"report-{file_name('A/B')}.html", "report-C.html"]
    assert file.getvalue().count("Best of 2 settings") == 2
    (page,) = report([path], problem="C", console=Console(file=io.StringIO()))
    assert page.name == "report-C.html"
    with pytest.raises(UserError, match="--problem 'D': settings are of 'A/B', 'C'"):
        report([path], problem="D")
    with pytest.raises(UserError, match="--problem: settings are of"):
        summarize([read_run_folder(path)])


def test_a_report_of_two_folders_leaves_the_page_of_the_first_as_it_is(make_sweep):
    first, second = make_sweep(SCORES, "one"), make_sweep(SCORES, "an/other".replace("/", " "))
    alone, _ = printed(first)
    before = alone.read_bytes()
    both, _ = printed(first, second)
    assert both.parent == first
    assert both.name.startswith("report-with-an-other")
    assert alone.read_bytes() == before
