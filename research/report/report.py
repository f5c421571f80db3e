"""What `scripts/report RUN [RUN...]` says: a page and, in the terminal, the same in short."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from research.console import LOOSE, print_paragraph, print_table, say, width
from research.report.file_names import file_name
from research.report.findings import findings
from research.report.headline import TableColumn, columns_as_rows, headline
from research.report.page.page import write_page
from research.report.problems import problems
from research.report.read import read_run_folder
from research.report.summary import Summary, summarize


def report(
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    metric: str | None = None,
    problem: str | None = None,
    console: Console | None = None,
) -> list[Path]:
    """Prints the table of one run folder, or of several together, and writes the page; of settings
    of several problems, such as environments, one of each.

    Args:
      paths: of the run folders.
      out: of the page; `report.html` in the first folder if not given. Of several problems, the
        name of each is added.
      metric: to compare by; the key metric if not given.
      problem: the only one to look at.
      console: to print to.

    Returns:
      The paths of the pages.

    Raises:
      UserError: if one is no run folder, they have nothing in common, or there is no such metric.
    """
    console = console or Console()
    runs = [read_run_folder(path) for path in paths]
    several = problems(runs)
    pages = []
    for name in several if problem is None else [problem]:
        summary = summarize(runs, metric, name)
        path = Path(out) if out else Path(paths[0]) / "report.html"
        if len(several) > 1:
            print_paragraph(console, f"\n{name}", "bold")
            path = path.with_stem(f"{path.stem}-{file_name(name)}")
        print_summary(summary, console)
        pages.append(write_page(summary, path))
        say(console, f"page: {path}")
    return pages


def print_summary(summary: Summary, console: Console) -> None:
    """The table of settings, and what it says."""
    columns = headline(summary)
    first = next(place for place, column in enumerate(columns) if column.name == "seeds")
    for some in _fitting(columns[:first], columns[first:], console.width):
        print_table(console, list(map(_heading, some)), columns_as_rows(some), padding=LOOSE)
    for sentence in findings(summary):
        print_paragraph(console, f"- {sentence}")


def _fitting(
    fields: Sequence[TableColumn], others: Sequence[TableColumn], width: int
) -> Iterator[list[TableColumn]]:
    """As few tables as fit the terminal: each has the fields and some of the other columns."""
    room = width - 1 - sum(map(_width, fields))  # and the edge
    some: list[TableColumn] = []
    for column in others:
        if some and sum(map(_width, [*some, column])) > room:
            yield [*fields, *some]
            some = []
        some.append(column)
    yield [*fields, *some]


def _heading(column: TableColumn) -> str:
    return column.name.replace(" IQM [", "\nIQM [")


def _width(column: TableColumn) -> int:
    return 2 + max(map(width, [_heading(column), *column.cells]))
