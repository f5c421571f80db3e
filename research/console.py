"""All that is printed goes out here: lines, paragraphs, tables.

Rich reads `[red]` and `:smile:` in what it is given, and a terminal acts on control characters; so
text from data goes through `visible`, and to Rich as `Text`, which it shows letter by letter.
"""

import contextlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from research.plain_text import one_line, visible

TIGHT, LOOSE = (0, 0, 0, 0), (0, 1, 0, 0)  # padding of a table's cells


def say(console: Console, line: str) -> None:
    """Prints a line as it is: unwrapped, without markup."""
    console.out(visible(line), highlight=False)


def print_text(text: str, end: str = "\n", *, error: bool = False) -> None:
    """Prints text as it is to the standard output, or the standard error, at once."""
    print(visible(text), end=end, file=sys.stderr if error else sys.stdout, flush=True)


def print_paragraph(console: Console, text: str, style: str = "") -> None:
    """Prints text, wrapped where the terminal ends."""
    console.print(Text(_encodable(console, visible(text)), style))


def print_table(
    console: Console,
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    padding: tuple[int, int, int, int] = TIGHT,
    wrap: bool = False,
) -> None:
    """Prints a table, everything flush right.

    Args:
      console: to print to.
      names: of the columns; a newline in one breaks its heading.
      rows: a cell for each column.
      title: above it.
      padding: of each cell: above, right, below, left.
      wrap: whether cells that are too wide are wrapped, instead of cut.
    """
    heading = Text(_encodable(console, one_line(title)), "table.title") if title else None
    table = Table(title=heading, box=box.SIMPLE_HEAD, padding=padding)
    for name in names:
        shown = Text(_encodable(console, visible(name)))
        table.add_column(shown, justify="right", no_wrap=not wrap)
    for row in rows:
        table.add_row(*(Text(_encodable(console, one_line(cell))) for cell in row))
    console.print(table)


def width(cell: str) -> int:
    """How many columns of a terminal a cell, or a heading of several lines, takes."""
    return max(cell_len(line) for line in visible(cell).split("\n"))


def waiting(console: Console, text: str) -> contextlib.AbstractContextManager[Any]:
    """While open, a terminal shows that something is happening."""
    shown = Text(_encodable(console, one_line(text)))
    return console.status(shown) if console.is_terminal else contextlib.nullcontext()


def _encodable(console: Console, text: str) -> str:
    """As the terminal can show it, so that columns are counted right."""
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)
