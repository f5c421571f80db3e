"""Tests of figures and tables for a paper."""

import csv
import io
import itertools
import re

import numpy as np
import pytest

from research.errors import UserError
from research.report.paper import labels_of, table_text
from research.report.read import read_run_folder
from research.report.summary import summarize
from research.report.tools import figure
from research.report.tools.figure import Arguments, main

SCORES = np.random.default_rng(0).normal(size=(6, 4, 5)) + np.arange(6.0)[:, None, None]
AXES = {"env": ["One", "Two", "Three"], "double": [False, True]}
GROUPS = [
    {"first_run": 8 * place, "runs": 8, "goal": None, "env": name}
    for place, name in enumerate(AXES["env"])
]


SIZES = ("3", "0x2", "nanx1", "1.2.3x1", "99x2")


@pytest.fixture
def three(make_sweep):
    """A folder of two settings on three environments."""
    return make_sweep(
        SCORES, axes=AXES, config_axes={"env": AXES["env"]}, hparams_axes={"double": [False, True]},
        groups=GROUPS, data=[{"environment": name} for name in AXES["env"]],
    )  # fmt: skip


def test_a_figure_has_a_panel_for_each_environment_and_names_only_what_differs(three, tmp_path):
    panels = figure.make_panels([read_run_folder(three)], None)
    assert list(panels) == AXES["env"]
    drawn = figure.draw_figure(panels, "validation_score")
    axes = [one for one in drawn.axes if one.lines]
    assert [one.get_title() for one in axes] == AXES["env"]
    assert [len(one.lines) for one in axes] == [2, 2, 2]
    (legend,) = drawn.legends
    assert {text.get_text() for text in legend.get_texts()} == {"double False", "double True"}
    colours = [{line.get_color() for line in one.lines} for one in axes]
    assert colours[0] == colours[1] == colours[2]
    assert len(colours[0]) == 2


@pytest.mark.parametrize(("size", "columns"), [((3.25, 4.5), 2), ((1.5, 4), 1), ((5.5, 2), 3)])
def test_in_a_narrow_figure_panels_go_below_each_other_and_nothing_overlaps(three, size, columns):
    panels = figure.make_panels([read_run_folder(three)], None)
    drawn = figure.draw_figure(panels, "validation_score", size)
    drawn.canvas.draw()
    axes = [one for one in drawn.axes if one.lines]
    assert {one.get_gridspec().ncols for one in axes} == {columns}
    assert drawn.get_supylabel() == "validation score"
    ends = drawn.bbox.x1
    for one in axes:
        ticks = [label.get_window_extent() for label in one.get_xticklabels() if label.get_text()]
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(ticks))
        assert one.title.get_window_extent().x1 <= ends


@pytest.mark.parametrize(("given", "inches"), [("3.25x2", (3.25, 2)), (None, (9.75, 2.4))])
def test_a_pdf_has_the_size_that_is_asked_for_and_its_fonts_in_it(three, given, inches):
    (path,) = main(Arguments((str(three),), size=given))
    assert path == three / "figure.pdf"
    data = path.read_bytes()
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", data)
    np.testing.assert_allclose([float(side) / 72 for side in box.groups()], inches, rtol=1e-3)
    assert b"/FontFile2" in data  # TrueType, embedded
    assert b"/Type3" not in data


def test_all_formats_are_written_and_the_same_figure_has_the_same_bytes(three, tmp_path):
    wanted = {"format": ("pdf", "svg", "png"), "table": ("latex", "markdown", "csv")}
    first = main(Arguments((str(three),), out=str(tmp_path / "a" / "curves"), **wanted))
    second = main(Arguments((str(three),), out=str(tmp_path / "b" / "curves"), **wanted))
    assert [path.name for path in first] == [
        "curves.pdf", "curves.svg", "curves.png",
        *(f"curves-{name}.{kind}" for name in AXES["env"] for kind in ("tex", "md", "csv")),
    ]  # fmt: skip
    assert [one.read_bytes() for one in first] == [one.read_bytes() for one in second]


def test_settings_are_called_what_the_user_calls_them(three):
    panels = figure.make_panels([read_run_folder(three)], None)
    names = figure.read_labels(("double False=DQN", "double True=double DQN"))
    drawn = figure.draw_figure(panels, "validation_score", names=names)
    assert {text.get_text() for text in drawn.legends[0].get_texts()} == {"DQN", "double DQN"}
    for summary in panels.values():
        assert table_text(summary, "csv", names=names).count("DQN") == 2


def test_a_table_has_a_line_for_each_setting_the_best_on_top(make_sweep):
    axes = {"rate": [0.1, 0.2, 0.3]}
    summary = summarize([read_run_folder(make_sweep(SCORES[:3], axes=axes))])
    rows = list(csv.reader(io.StringIO(table_text(summary, "csv"))))
    assert rows[0][:2] == ["rate", "validation_score IQM [95%]"]
    assert [row[0] for row in rows[1:]] == ["0.3", "0.2", "0.1"]
    named = table_text(summary, "csv", 1, {"rate 0.3": "fast"})
    assert [row[0] for row in csv.reader(io.StringIO(named))] == ["setting", "fast"]
    assert labels_of(summary) == ["rate 0.3", "rate 0.2", "rate 0.1"]


def test_names_are_literal_in_every_kind_of_table(make_sweep):
    axes = {"who_knows": ["50% & $x_1$ {}", r"a|b \input{f} <b>"]}
    summary = summarize([read_run_folder(make_sweep(SCORES[:2], axes=axes))])
    latex = table_text(summary, "latex")
    assert r"50\% \& \$x\_1\$ \{\}" in latex
    assert r"\textbackslash{}input\{f\}" in latex
    assert r"who\_knows" in latex
    markdown = table_text(summary, "markdown")
    assert r"a\|b \\input{f} &lt;b>" in markdown
    assert len({len(re.split(r"(?<!\\)\|", line)) for line in markdown.splitlines()}) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": ("gif",)}, "--format gif: there are pdf, svg, png"),
        ({"table": ("html",)}, "--table html: there are latex"),
        *(({"size": one}, f"--size {one}: give inches") for one in SIZES),
        ({"metric": "lost"}, "--metric lost: .* has loss"),
        ({"top": -1}, "--top -1"),
        ({"label": ("fast",)}, "--label fast: give SETTING=NAME"),
        ({"label": ("rate 9=x",)}, "--label rate 9=x: the settings are"),
        ({"label": ("rate 0.1=x", "rate 0.1=y")}, "has the name x already"),
        ({"runs": ()}, "give at least one run folder"),
        ({"out": "/proc/none/figure"}, "cannot write /proc/none.*; give another --out"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_a_line_and_nothing_is_written(make_sweep, changes, says):
    path = make_sweep(SCORES[:2])
    before = sorted(path.rglob("*"))
    with pytest.raises(UserError, match=says):
        main(Arguments(**{"runs": (str(path),)} | changes))
    assert sorted(path.rglob("*")) == before
