"""Reports on sweeps: statistics in the terminal, and one HTML page to look at and to pass on.

    scripts/report RUN
    scripts/report RUN OTHER          both together, and one against the other
    scripts/report RUN --live         while it trains: the page renews itself

The page is RUN/report.html: one file that needs no network. Where a finished run folder lacks
examples of what was trained, such as an episode of its best agent, a text of its best model or the
predictions of its best setting, they are made first, for the page to show.
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from research.console import LOOSE, print_paragraph, print_table, print_text, say, width
from research.errors import UserError, describe_os_error, plain_exit
from research.folders import file_name
from research.limits import as_int
from research.report.findings import findings
from research.report.live import LivePage, serving
from research.report.page.page import write_page
from research.report.problems import problems
from research.report.read import RunFolderData, read_run_folder
from research.report.summary import Summary, summarize
from research.report.table import TableColumn, columns_as_rows, full_columns
from research.report.views import find_views


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Statistics of run folders in the terminal, and one page of them to look at."""

    runs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...", help="run folders")
    ]
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE", help="the page; report.html in the first RUN if not given"),
    ] = None
    metric: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME", help="to compare by; the key metric if not given"),
    ] = None
    problem: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME", help="the only environment, or data set, to report; all if not given"
        ),
    ] = None
    examples: Annotated[
        bool, tyro.conf.arg(help="have trained runs play, write or predict for the page")
    ] = True
    live: Annotated[bool, tyro.conf.arg(help="serve the page on this machine while it trains")] = (
        False
    )
    port: Annotated[int, tyro.conf.arg(help="with --live; 0 picks a free one")] = 8642


def main(arguments: Arguments) -> list[Path]:
    """Writes the page, or one a problem, and returns the paths; or serves it until it is
    interrupted."""
    if not arguments.runs:
        raise UserError("give at least one run folder")
    if arguments.live:
        serve(arguments)
        return []
    if arguments.examples:
        for path in arguments.runs:
            make_examples(read_run_folder(path))
    return report(arguments.runs, arguments.out, arguments.metric, arguments.problem)


def serve(arguments: Arguments) -> None:
    """Serves the page until the process is interrupted."""
    live = LivePage(arguments.runs, arguments.metric, arguments.problem)
    for path in arguments.runs:
        if not Path(path).is_dir():
            raise UserError(f"no folder {path}")
    with serving(live, as_int("--port", arguments.port, 0, 65_535)) as address:
        print_text(f"live: {address} (Ctrl-C ends it, not the sweep)")
        threading.Event().wait()


def make_examples(run: RunFolderData) -> None:
    """Makes what the workload of a finished run folder has to show, if it is not there yet. Nothing
    to show, as where an environment cannot be drawn or the folder cannot be written, is printed and
    is no error."""
    if run.manifest["status"] != "finished":
        return
    if views := find_views(run.manifest):
        try:
            views.make_examples(run)
        except UserError as error:
            print_text(f"nothing to show of {run.path}: {error}")
        except OSError as error:
            print_text(f"nothing to show of {run.path}: {describe_os_error(error)}")


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
    """Prints the table of settings, and the findings in sentences."""
    columns = full_columns(summary)
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


def run(argv: list[str] | None = None, prog: str = "scripts/report") -> None:
    """Parses the command line and reports; bad input ends the process with one line."""
    with plain_exit():
        text = (__doc__ or "").replace("scripts/report", prog)
        main(tyro.cli(Arguments, args=argv, prog=prog, description=text))


if __name__ == "__main__":
    run()
