"""Tables that fit the width of a terminal: where cells and headings are broken.

Numbers and intervals are never broken, and nothing is cut off while there is room for one word of
each column.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

# A text may be broken before a space, but for those within an interval; after the hyphen or the
# underscore of a name; and so after the date in a name, but not in a date or a number.
_PIECES = re.compile(r"(?= )(?![^\[]*\])|(?<=[^\W\d_][-_])(?=\w{3})|(?<=\d{6}[-_])(?=\w{3})")
# The same, but a number stays in one line with its interval: as long as the table fits so.
_SCORES = re.compile(_PIECES.pattern.replace("(?= )", r"(?= )(?! \[)", 1))


class _Column(NamedTuple):
    heading: str
    cells: tuple[str, ...]

    def width(self) -> int:
        texts = (self.heading, *self.cells)
        return max(cell_len(line) for text in texts for line in text.split("\n"))


def fitted(
    names: Sequence[str], rows: Sequence[Sequence[str]], room: int, between: int
) -> tuple[list[str], list[list[str]]]:
    """Returns headings and rows with newlines where they have to be broken.

    Args:
      names: the headings, which may have newlines.
      rows: a cell for each column.
      room: columns of the terminal.
      between: columns of the terminal that each column of the table takes beside its text.
    """
    whole = [_Column(name, tuple(row[at] for row in rows)) for at, name in enumerate(names)]
    columns = _narrowed(whole, _SCORES, room, between)
    if _width(columns, between) > room:
        columns = _narrowed(whole, _PIECES, room, between)
    headings = [column.heading for column in columns]
    return headings, [list(row) for row in zip(*(column.cells for column in columns), strict=True)]


def _narrowed(
    whole: Sequence[_Column], pieces: re.Pattern[str], room: int, between: int
) -> list[_Column]:
    """Breaks the widest column again and again, until all fit or none can be broken."""
    ways = [_ways(column, pieces) for column in whole]
    columns = [next(way) for way in ways]
    able = set(range(len(columns)))
    while able and _width(columns, between) > room:
        widest = max(able, key=lambda at: columns[at].width())
        narrower = next(ways[widest], None)
        if narrower is None:
            able.remove(widest)
        else:
            columns[widest] = narrower
    return columns


def _width(columns: Sequence[_Column], between: int) -> int:
    return sum(column.width() + between for column in columns)


def _ways(column: _Column, pieces: re.Pattern[str]) -> Iterator[_Column]:
    """Yields ways to write a column, each narrower than the one before."""
    now = column
    yield now
    for width in range(column.width() - 1, 0, -1):
        cells = tuple(_filled(cell, width, pieces) for cell in column.cells)
        as_wide = max(_Column("", cells).width(), width)
        one = _Column(_filled(column.heading, as_wide, pieces), cells)
        if one.width() < now.width():
            now = one
            yield now


def _filled(text: str, width: int, pieces: re.Pattern[str]) -> str:
    """A text with its lines broken between pieces into lines of at most `width`; a single piece
    that is wider stays whole."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines.append("")
        for piece in pieces.split(line):
            longer = lines[-1] + piece
            if lines[-1] and cell_len(longer.rstrip()) > width:
                lines.append(piece.lstrip())
            else:
                lines[-1] = longer
    return "\n".join(line.rstrip() for line in lines)
