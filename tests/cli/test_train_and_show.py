"""Tests of what is made of a finished sweep, and made by `--resume` where a kill came before."""

import os

import pytest
from rich.console import Console

from research.atomic import write_bytes
from research.cli.train_and_show import LEARNING_CURVE, FinishingTouch, _make, missing
from research.errors import UserError
from research.flags import check_writable
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


def touch(name, make):
    return FinishingTouch(name, lambda _: [], make)


def test_what_cannot_be_made_of_a_sweep_is_a_line(tmp_path, capsys):
    """As where every run has diverged: the sweep is finished all the same."""

    def none(folder):
        raise UserError("no finite run")

    made = []
    _make(tmp_path, [touch("a text", none), touch("others", made.append)], Console())
    assert made == [tmp_path]
    out = " ".join(capsys.readouterr().out.split())
    assert out == f"{tmp_path} is finished but for a text: no finite run"


@pytest.mark.parametrize("when", ["before", "while"])
def test_what_cannot_be_written_is_an_error_that_says_how_to_go_on(tmp_path, when):
    def make(folder):
        if when == "before":
            check_writable(folder / "none" / "a.png")
        write_bytes(folder / "none" / "a.png", b"")

    with pytest.raises(UserError, match=r"^cannot write .*; the sweep is finished, and --resume"):
        _make(tmp_path, [touch("a figure", make)], Console())
