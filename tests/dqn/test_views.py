"""Tests of the views of agents: animations on the page."""

import base64
import os

import numpy as np

from research.dqn.views import MOST_ANIMATIONS, animations
from research.report.page.page import make_page
from research.report.read import read_run_folder
from research.report.summary import summarize
from research.report.views import MOST_BYTES


def test_a_small_animation_is_in_the_page_and_a_large_one_is_named(make_sweep):
    """The same holds for folders of PQN, another experiment of the workload."""
    path = make_sweep(np.zeros((2, 2, 2)), experiment="pqn")
    (path / "run-1.gif").write_bytes(b"GIF89a small")
    (path / "run-2.gif").write_bytes(b"G" * (MOST_BYTES + 1))
    run = read_run_folder(path)
    found = {one.title: one.source for one in animations(run)}
    assert base64.b64decode(found["run-1.gif"].rpartition(",")[2]) == b"GIF89a small"
    assert found["run-2.gif"] == ""
    page = make_page(summarize([run]))
    assert 'alt="An episode of a trained agent: run-1.gif"' in page
    assert "run-2.gif lies in the run folder and is too large" in page


def test_the_latest_animations_are_shown(make_sweep):
    path = make_sweep(np.zeros((2, 2, 2)))
    for number in range(MOST_ANIMATIONS + 1):
        (path / f"run-{number}.gif").write_bytes(b"GIF89a")
        os.utime(path / f"run-{number}.gif", (10 - number, 10 - number))
    assert [one.title for one in animations(read_run_folder(path))] == ["run-1.gif", "run-0.gif"]
