"""scripts/report: the page and the same in the terminal."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from research.errors import UserError
from research.report.report import report

SCORES = np.random.default_rng(0).normal(size=(2, 6, 5)) + np.array([1.0, 5.0])[:, None, None]


def printed(*paths, width=80, **given):
    file = io.StringIO()
    page = report(paths, console=Console(file=file, width=width), **given)
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
def test_the_table_fits_the_terminal_and_says_what_the_page_says(make_sweep, width):
    page, text = printed(make_sweep(SCORES), width=width)
    intervals = re.findall(r"[-\d.e]+ \[[-\d.e]+, [-\d.e]+\]", text)
    assert len(intervals) >= 9  # IQM, median, mean and test of two settings; and one against best
    for interval in intervals:
        assert interval in page.read_text()
    assert "…" not in text  # nothing is cut
    assert max(map(len, text.splitlines())) <= max(width, len(f"page: {page}"))


def test_the_same_folder_gives_the_same_page_twice(make_sweep, tmp_path):
    path = make_sweep(SCORES)
    first, _ = printed(path, out=tmp_path / "first.html")
    second, _ = printed(path, out=tmp_path / "second.html")
    assert first.read_bytes() == second.read_bytes()


def test_a_page_that_cannot_be_written_is_named(make_sweep, tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*/none/page\.html"):
        printed(make_sweep(SCORES), out=tmp_path / "none" / "page.html")


def test_what_is_no_run_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="is no run folder"):
        printed(tmp_path)
