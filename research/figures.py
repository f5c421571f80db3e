"""Matplotlib figures: text that is shown literally, and files that are written whole.

Matplotlib reads what stands between two `$` as mathematics, leaves names that begin with `_` out of
the legend, and warns about characters that its font lacks. The functions here show any name from
data as it is.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from research.atomic import whole_file
from research.plain_text import MOST_LETTERS, escaped, labels, one_line, shortened, visible

MOST_IN_TITLE, MOST_IN_LEGEND = 110, 60  # characters


def set_title(axes: Any, text: str, size: float = 10) -> None:
    """Sets the title of axes."""
    _set(axes.title, shortened(one_line(text), MOST_IN_TITLE))
    axes.title.set_fontsize(size)


def set_suptitle(figure: Any, text: str, size: float = 11) -> None:
    """Sets the title of a figure, above all its axes."""
    _set(figure.suptitle(" ", fontsize=size), shortened(one_line(text), MOST_IN_TITLE))


def set_x_label(axes: Any, text: str) -> None:
    """Sets the label of the horizontal axis."""
    _set(axes.xaxis.label, shortened(one_line(text)))


def set_y_label(axes: Any, text: str) -> None:
    """Sets the label of the vertical axis."""
    _set(axes.yaxis.label, shortened(one_line(text)))


def set_counts(axis: Any, most: int) -> None:
    """Has an axis of counts show a few round ones, thousands as k."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(EngFormatter(sep=""))


def set_shared_labels(figure: Any, x: str, y: str, size: float) -> None:
    """Sets labels that all axes of a figure share, below and left of them all."""
    _set(figure.supxlabel(" ", fontsize=size), shortened(one_line(x)))
    _set(figure.supylabel(" ", fontsize=size), shortened(one_line(y)))


def set_ticks(
    axis: Any, places: Any, names: Sequence[object], most: int = MOST_LETTERS, **look: Any
) -> None:
    """Sets the ticks of an axis to names.

    Args:
      axis: `axes.xaxis` or `axes.yaxis`.
      places: one position for each name; without names, ticks are hidden.
      names: of any length; they are shortened so that they still differ.
      most: the longest that a name may be, in characters.
      look: Matplotlib's text properties.
    """
    shown = [_drawable(name) for name in labels(names, most)]
    families = list(dict.fromkeys(family for _, some in shown for family in some))
    given = {"parse_math": False, "usetex": False, "fontsize": 8} | look
    if families:
        given["fontfamily"] = families
    axis.set_ticks(places, [text for text, _ in shown], **given)


def write(axes: Any, x: float, y: float, text: str, **look: Any) -> None:
    """Draws text of one or several lines at a point of axes."""
    _set(axes.text(x, y, " ", **look), visible(text))


def set_legend(axes: Any, entries: Sequence[tuple[Any, str]], size: float = 8, **look: Any) -> None:
    """Draws a legend, if it has entries.

    Args:
      axes: the axes, or the figure, to draw it in.
      entries: (artist, name) of each.
      size: of the font.
      look: more arguments of Matplotlib's legend.
    """
    if not entries:
        return
    handles, names = zip(*entries, strict=True)
    legend = axes.legend(handles, ["name"] * len(names), fontsize=size, frameon=False, **look)
    for text, name in zip(legend.get_texts(), labels(names, MOST_IN_LEGEND), strict=True):
        _set(text, name)


def save_figure(figure: Any, path: Path) -> Path:
    """Writes a figure to a file, whole or not at all, and returns its path.

    Raises:
      NotWritten: if it cannot be written; see `whole_file`.
    """
    with whole_file(path) as staging:
        figure.savefig(staging)
    return path


def _set(text: Any, content: str) -> None:
    content, families = _drawable(content)
    text.set_parse_math(False)
    text.set_usetex(False)
    if families:
        text.set_fontfamily(families)
    text.set_text(content)


def _drawable(text: str) -> tuple[str, list[str]]:
    """Text that can be drawn, and the font families for it; none if the default one is enough.

    Characters that no font on this machine has become escapes.
    """
    import matplotlib
    from matplotlib import font_manager

    usual = font_manager.findfont(font_manager.FontProperties())
    if not (lacking := frozenset(map(ord, text)) - _letters(usual) - {ord("\n")}):
        return text, []
    if family := _family_with(lacking):
        return text, [*matplotlib.rcParams["font.family"], family]
    return "".join(escaped(one) if ord(one) in lacking else one for one in text), []


@cache
def _family_with(lacking: frozenset[int]) -> str | None:
    """The name of an installed font family that has these characters; None if there is none."""
    from matplotlib import font_manager

    for font in font_manager.fontManager.ttflist:
        if "Last Resort" not in font.name and lacking <= _letters(font.fname):
            return font.name
    return None


@cache
def _letters(path: str) -> frozenset[int]:
    """The characters that a font has; empty if it cannot be read."""
    from matplotlib import ft2font

    try:
        return frozenset(ft2font.FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
