"""Animations and texts on the page."""

import base64

import numpy as np

from research.report.page.exhibits import MOST_BYTES, animations, texts
from research.report.page.page import make_page
from research.report.read import read_run_folder
from research.report.samples import keep_sample
from research.report.summary import summarize


def test_a_small_animation_is_in_the_page_and_a_large_one_is_named(make_sweep):
    path = make_sweep(np.zeros((2, 2, 2)))
    (path / "run-1.gif").write_bytes(b"GIF89a small")
    (path / "run-2.gif").write_bytes(b"G" * (MOST_BYTES + 1))
    found = {one.name: one.source for one in animations(read_run_folder(path))}
    assert base64.b64decode(found["run-1.gif"].rpartition(",")[2]) == b"GIF89a small"
    assert found["run-2.gif"] == ""
    page = make_page(summarize([read_run_folder(path)]))
    assert "run-2.gif lies in the run folder and is too large" in page


def test_the_latest_text_comes_first_without_its_prompt(make_sweep):
    path = make_sweep(np.zeros((2, 2, 2)))
    sample = {"run": 0, "of_seed": 5, "prompt": "The ", "temperature": 0.8, "text": "The <end>"}
    keep_sample(path, sample | {"run": 9})
    keep_sample(path, sample)
    first, second = texts(read_run_folder(path))
    assert first.title == "run 0, seed 5, temperature 0.8"
    assert (first.prompt, first.text) == ("The ", "<end>")
    assert second.title.startswith("run 9")
    assert "<strong>The </strong>&lt;end&gt;" in make_page(summarize([read_run_folder(path)]))
