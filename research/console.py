"""All printing: lines, paragraphs and tables.

Rich interprets `[red]` and `:smile:`, and a terminal interprets control characters. So text from
data is escaped by `one_line`, and given to Rich as `Text`, which is shown literally. A line stays a
line: a newline in a name is escaped, too.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from research.plain_text import one_line, visible
from research.table_width import fitted

TIGHT, LOOSE = (0, 0, 0, 0), (0, 1, 0, 0)  # padding of a table's cells


def say(console: Console, line: str) -> None:
    """Prints one line literally: not wrapped, no markup."""
    console.out(one_line(line), highlight=False)


def print_line(line: str, *, error: bool = False) -> None:
    """Prints one line literally to the standard output, or the standard error, and flushes."""
    print_text(one_line(line), error=error)


def print_text(text: str, end: str = "\n", *, error: bool = False) -> None:
    """Prints text that has lines of its own, such as what a model wrote, and flushes."""
    print(visible(text), end=end, file=sys.stderr if error else sys.stdout, flush=True)


def print_coloured(text: str) -> None:
    """Prints our own text with its colours, where the standard output is a terminal, unwrapped."""
    Console(highlight=False).print(Text.from_ansi(text), soft_wrap=True)


def print_paragraph(console: Console, text: str, style: str = "") -> None:
    """Prints text, wrapped at the width of the terminal; newlines at its ends are empty lines."""
    body = text.strip("\n")
    above, _, below = text.partition(body) if body else (text, "", "")
    shown = f"{above}{one_line(body)}{below}"
    console.print(Text(_encodable(console, shown), style))


def print_table(
    console: Console,
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    padding: tuple[int, int, int, int] = TIGHT,
) -> None:
    """Prints a table, right-aligned. Where it is too wide for the terminal, cells and headings are
    broken into lines, see `table_width`; nothing is cut.

    Args:
      console: to print to.
      names: column names; a newline in one breaks its heading.
      rows: one cell for each column.
      title: printed above the table, as wide as the terminal, if not empty.
      padding: of each cell: top, right, bottom, left.
    """
    if title:  # a title of the Table would be wrapped at the width of the table
        print_paragraph(console, f"\n{title}", "table.title")
    headings = [_encodable(console, visible(name)) for name in names]
    cells = [[_encodable(console, one_line(cell)) for cell in row] for row in rows]
    between = padding[1] + padding[3] + 1  # and an edge more
    headings, cells = fitted(headings, cells, console.width - 1, between)
    table = Table(box=box.SIMPLE_HEAD, padding=padding)
    for heading in headings:
        table.add_column(Text(heading), justify="right", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def width(cell: str) -> int:
    """The width of a cell, or of a heading of several lines, in columns of the terminal."""
    return max(cell_len(line) for line in visible(cell).split("\n"))


@contextlib.contextmanager
def waiting(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Shows a spinner beside `text` while open, if the console is a terminal. It yields a function
    that changes the text."""
    if not console.is_terminal:
        yield lambda text: None
        return
    shown = lambda text: Text(_encodable(console, one_line(text)))
    with console.status(shown(text)) as status:
        yield lambda text: status.update(shown(text))


@contextlib.contextmanager
def showing_bytes(text: str) -> Iterator[Callable[[int, int | None], object]]:
    """While open, shows how many bytes have come, on the standard error if that is a terminal.

    Yields:
      What is told of it: (bytes that have come, bytes in all if they are known).
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), DownloadColumn(),
        TimeRemainingColumn(), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        line = bar.add_task(_encodable(console, one_line(text)), total=None)
        yield lambda count, total: bar.update(line, completed=count, total=total)


def _encodable(console: Console, text: str) -> str:
    """`text` with escapes for what the console cannot encode, so that widths are right."""
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)
