"""The contrast of the page's colours, as WCAG 2.2 AA asks of text (4.5:1) and graphics (3:1)."""

import itertools
import re
from importlib import resources

import pytest

from research.report.page.chart import COLOURS
from research.report.page.fields import LINES

CSS = (resources.files("research.report.page") / "page.css").read_text("utf-8")
COLOUR = re.compile(r"--([a-z]+): (#[0-9a-f]{3,6})")
LIGHT, DARK, *CHOSEN = (
    dict(COLOUR.findall(block)) for block in re.findall(r"\{[^{}]*--ground:[^}]*\}", CSS)
)


def luminance(colour):
    """The relative luminance of `#rgb` or `#rrggbb`."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_black_on_white_is_the_greatest():
    assert contrast("#000", "#ffffff") == pytest.approx(21)


def test_dark_colours_are_the_same_by_the_system_and_by_the_button():
    assert [DARK] == CHOSEN
    assert DARK.keys() == LIGHT.keys()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_graphics_are_seen_on_both_grounds(theme):
    grounds = theme["ground"], theme["panel"]
    for ground, name in itertools.product(grounds, ("text", "soft", "mark")):
        assert contrast(theme[name], ground) >= 4.5, (name, ground)
    graphics = {"edge of a control": theme["edge"], **dict(zip(COLOURS, COLOURS, strict=True))}
    graphics |= dict(zip(LINES, LINES, strict=True))
    for ground, (name, colour) in itertools.product(grounds, graphics.items()):
        assert contrast(colour, ground) >= 3, (name, ground)


def test_text_is_never_struck_through_nor_faded():
    assert "line-through" not in CSS
    assert "opacity" not in CSS
