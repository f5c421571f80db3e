"""Tests of the page as an HTML file."""

import html
import json
import re

import numpy as np

from research.report.page.chart import MOST
from research.report.page.page import make_page, to_json
from research.report.read import read_run_folder
from research.report.summary import summarize


def test_json_in_a_script_element_cannot_end_it():
    text = to_json({"name": "</script><!-- & \u2028", "missing": float("nan")})
    assert "<" not in text
    assert "\u2028" not in text
    assert "NaN" not in text
    assert json.loads(text) == {"name": "</script><!-- & \u2028", "missing": None}


def test_the_page_has_no_url_outside_plotlys_code(grid):
    page = make_page(grid)
    ours = page.replace(page[page.index("plotly.js v") : page.index("// Draws the charts")], "")
    assert set(re.findall(r"https?://[^\"'\s<]+", ours)) <= {"http://www.w3.org/2000/svg"}
    assert "connect-src" not in ours
    assert "connect-src 'self'" in html.unescape(make_page(grid, live=True))


def test_a_page_of_many_settings_draws_the_best_and_stays_small(make_sweep):
    made = np.random.default_rng(0).normal(size=(MOST + 9, 2, 20))
    axes = {"rate": [float(place) for place in range(MOST + 9)]}
    page = make_page(summarize([read_run_folder(make_sweep(made, axes=axes))]))
    data = json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))
    assert len(data["settings"]) == MOST
    assert len(data["charts"]["curves"]["variants"][0]["traces"]) == 2 * MOST
    assert page.count("<tr>") > MOST + 9  # the table has them all
    assert len(page) < 10e6


def test_a_page_of_two_folders_shows_how_they_differ(make_sweep):
    made = np.random.default_rng(0).normal(size=(2, 4, 6))
    one = make_sweep(made, "one", hparams={"rate": 0.1, "gamma": 0.9})
    other = make_sweep(made, "other", hparams={"rate": 0.1, "gamma": 0.99})
    page = make_page(summarize([read_run_folder(one), read_run_folder(other)]))
    differing = page[page.index("Where the run folders differ") :]
    row = re.search(r"gamma</td><td>(.*?)</td><td>(.*?)</td>", differing)
    assert row.groups() == ("0.9", "0.99")
    assert "one: rate 0.1" in page
    against = page[page.index("other against one</h2>") :]
    assert re.search(r"rate 0.1</td><td>0 \[0, 0\]</td><td>0.50 .*?</td><td>same scores", against)
