"""Tests that names from data appear literally on the page, in charts and in text."""

import numpy as np
import pytest

from research.report.page import page
from research.report.page.chart import plain
from research.report.page.fields import _path


def test_a_label_is_one_line_without_tags():
    assert plain("<b>a&\n\x1b") == r"&lt;b&gt;a&amp;\n\x1b"


def test_a_label_is_not_read_as_a_template(grid):
    trace = _path(grid.lines[0]._replace(label="%{y}"), np.array([0.0, 1.0]), 0.5).drawn
    assert "%{y}" in trace.text[0]
    assert trace.hovertemplate == "%{text}<extra></extra>"


@pytest.mark.parametrize(("given", "shown"), [("a\x1b\udce9<", r"a\x1b\udce9&lt;"), (3, "3")])
def test_the_text_of_the_page_holds_no_control_character(given, shown):
    assert page._templates().from_string("{{ x }}").render(x=given) == shown


def test_our_own_markup_is_not_escaped():
    assert page._templates().from_string("{{ x | safe }}").render(x="<b>\x0b") == "<b>\x0b"
