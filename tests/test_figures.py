"""Tests that text in figures is shown literally."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from research import figures

LONG = "x" * 500
NAMES = [
    "Ba$$in",
    "$x_{$ \\frac",
    "_hidden",
    "_child0",
    "two\nlines",
    LONG,
    "שלום",
    "a\x1b[31m",
]
SHOWN = ["Ba$$in", "$x_{$ \\frac", "_hidden", "_child0", r"two\nlines", None, "שלום", r"a\x1b[31m"]


def shown(texts):
    """The text that is drawn; the long name is shortened."""
    found = [text.get_text() for text in texts]
    assert "…" in found[5]
    assert len(found[5]) <= 60
    return [*found[:5], None, *found[6:]]


@pytest.fixture
def figure():
    """A figure; at the end it is drawn, with warnings as errors."""
    made = Figure(figsize=(6, 5), layout="constrained")
    yield made
    made.savefig(io.BytesIO(), format="png")


def test_a_legend_shows_every_name(figure):
    axes = figure.subplots()
    figures.set_legend(axes, [(axes.plot([0, 1])[0], name) for name in NAMES])
    assert shown(axes.get_legend().get_texts()) == SHOWN


def test_a_figure_without_labels_has_no_legend(figure):
    axes = figure.subplots()
    figures.set_legend(axes, [])
    assert axes.get_legend() is None


def test_ticks_show_every_name(figure):
    axes = figure.subplots()
    axes.plot(np.arange(8))
    for axis in (axes.xaxis, axes.yaxis):
        figures.set_ticks(axis, np.arange(8), NAMES, 24)
        assert shown(axis.get_ticklabels()) == SHOWN


def test_titles_and_axes_show_every_name(figure):
    axes = figure.subplots()
    for name, expected in zip(NAMES, SHOWN, strict=True):
        figures.set_title(axes, name)
        figures.set_x_label(axes, name)
        figures.set_y_label(axes, name)
        figures.write(axes, 0, 0, name[:40])
        figure.savefig(io.BytesIO(), format="png")
        for text in (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()):
            assert text == expected or (name == LONG and "…" in text)
    figures.set_suptitle(figure, "$a$ $b")
    assert figure.get_suptitle() == "$a$ $b"


def test_tex_in_names_is_not_typeset(figure):
    import matplotlib

    with matplotlib.rc_context({"text.usetex": True}):
        axes = figure.subplots()
        figures.set_title(axes, "$x_{$")
        figures.set_x_label(axes, "a")
    assert not axes.title.get_usetex()
    figures.set_ticks(axes.xaxis, [0], ["_"])
    figures.set_ticks(axes.yaxis, [0], ["_"])


def test_characters_that_no_font_has_are_escaped(figure, monkeypatch):
    monkeypatch.setattr(figures, "_family_with", lambda lacking: None)
    axes = figure.subplots()
    figures.set_title(axes, "中 and é")
    assert axes.get_title() == r"\u4e2d and é"


def test_characters_of_another_font_are_drawn_in_it(figure, monkeypatch):
    asked = []
    monkeypatch.setattr(figures, "_family_with", lambda lacking: asked.append(lacking) or "Other")
    axes = figure.subplots()
    figures.set_title(axes, "中 and é")
    assert axes.get_title() == "中 and é"
    assert axes.title.get_fontfamily()[-1] == "Other"
    assert asked == [frozenset({0x4E2D})]
    figures.set_title(axes, "")  # not drawn in a font that is not there
    axes.title.set_fontfamily("sans-serif")
