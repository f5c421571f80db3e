"""Tests of what is made of a finished sweep, and made by `--resume` where a kill came before."""

import os

import pytest

from research.cli.train_and_show import LEARNING_CURVE, FinishingTouch, missing
from research.report.tools.show import show_run

OTHER = FinishingTouch("others", lambda _: ["a.png", "some/b-*.txt"], print)


@pytest.fixture
def complete(make_run):
    """A run folder that holds all that both touches make."""
    folder = make_run()
    show_run(folder)
    (folder / "some").mkdir()
    for name in ("a.png", "some/b-1.txt"):
        (folder / name).write_text("")
    return folder


def names(folder):
    return [touch.name for touch in missing(folder, [LEARNING_CURVE, OTHER])]


def test_nothing_is_missing_in_a_complete_folder(complete):
    assert names(complete) == []


@pytest.mark.parametrize(
    ("gone", "of"),
    [
        ("a.png", "others"),
        ("some/b-1.txt", "others"),
        ("validation_score.png", "its learning curve"),
    ],
)
def test_a_file_that_is_gone_is_missing(complete, gone, of):
    (complete / gone).unlink()
    assert names(complete) == [of]


def test_a_figure_that_was_drawn_before_the_end_is_missing(complete):
    ended = (complete / "manifest.json").stat().st_mtime_ns
    os.utime(complete / "validation_score.png", ns=(ended - 1, ended - 1))
    assert names(complete) == ["its learning curve"]
