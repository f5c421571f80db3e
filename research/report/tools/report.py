"""Reports on sweeps: statistics in the terminal, and one HTML page to look at and to pass on.

    scripts/report RUN
    scripts/report RUN OTHER          both together, and one against the other
    scripts/report RUN --live         while it trains: the page renews itself

The page is RUN/report.html, or RUN/report-with-OTHER.html of several folders: one file that needs
no network. Where a finished run folder lacks
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

from research.console import LOOSE, print_line, print_paragraph, print_table, say, width
from research.effects import flag_field
from research.errors import UserError, describe_os_error, plain_exit
from research.flags import check_path, check_writable
from research.folders import file_name
from research.limits import as_int
from research.parsing import read_arguments, tell_without_effect
from research.report.findings import findings
from research.report.live import LivePage, serving
from research.report.metrics import common_metric
from research.report.page.page import write_page
from research.report.problems import one_problem, problems
from research.report.read import NothingYet, RunFolderData, read_run_folder
from research.report.summary import Summary, summarize
from research.report.table import (
    TOP,
    TOP_HELP,
    TableColumn,
    columns_as_rows,
    first_rows,
    full_columns,
    setting_columns,
)
from research.report.views import find_views
from research.task import OnlyWith

WRITTEN = OnlyWith(("live",), lambda live: not live, "--no-live")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Statistics of run folders in the terminal, and one page of them to look at."""

    runs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...", help="run folders")
    ]
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE", help="the page; in the first RUN if not given"),
    ] = flag_field(None, only_with=WRITTEN)
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
    top: Annotated[int, tyro.conf.arg(metavar="N", help=TOP_HELP)] = TOP
    examples: Annotated[
        bool, tyro.conf.arg(help="have trained runs play, write or predict for the page")
    ] = flag_field(True, only_with=WRITTEN)
    live: Annotated[bool, tyro.conf.arg(help="serve the page on this machine while it trains")] = (
        False
    )
    port: Annotated[int, tyro.conf.arg(help="with --live; 0 picks a free one")] = flag_field(
        8642, only_with=OnlyWith(("live",), bool, "--live")
    )


def main(arguments: Arguments) -> list[Path]:
    """Writes the page, or one a problem, and returns the paths; or serves it until it is
    interrupted."""
    if not arguments.runs:
        raise UserError("give at least one run folder")
    check_path("--out", arguments.out)
    if arguments.live:
        serve(arguments)
        return []
    top = as_int("--top", arguments.top, low=0)
    runs = [read_run_folder(path) for path in arguments.runs]
    check_writable(page_of(runs, arguments.out), "--out")
    if arguments.examples:
        for run in runs:
            make_examples(run)
    return report(arguments.runs, arguments.out, arguments.metric, arguments.problem, top=top)


def serve(arguments: Arguments) -> None:
    """Serves the page until the process is interrupted."""
    live = LivePage(arguments.runs, arguments.metric, arguments.problem)
    port = as_int("--port", arguments.port, 0, 65_535)
    check_asked(arguments)
    tell_without_effect(arguments)
    with serving(live, port) as address:
        print_line(f"live: {address} (Ctrl-C ends it, not the sweep)")
        threading.Event().wait()


def check_asked(arguments: Arguments) -> None:
    """Checks what is to be served, as far as the sweeps have come.

    Raises:
      UserError: for a folder, metric or problem that there is not.
    """
    for path in arguments.runs:
        if not Path(path).is_dir():
            raise UserError(f"no folder {path}")
    try:
        runs = [read_run_folder(path) for path in arguments.runs]
    except NothingYet:
        return
    common_metric(runs, arguments.metric)
    one_problem(runs, arguments.problem)


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
            print_line(f"the page has no example of {run.path}: {error}")
        except OSError as error:
            print_line(f"the page has no example of {run.path}: {describe_os_error(error)}")


def report(
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    metric: str | None = None,
    problem: str | None = None,
    console: Console | None = None,
    top: int = TOP,
) -> list[Path]:
    """Prints the table of one run folder, or of several together, and writes the page; of settings
    of several problems, such as environments, one of each.

    Args:
      paths: of the run folders.
      out: of the page; `report.html` in the folder if not given, and `report-with-OTHER.html` in
        the first folder of several, whose own page stays. Of several problems, the
        name of each is added.
      metric: to compare by; the key metric if not given.
      problem: the only one to look at.
      console: to print to.
      top: how many settings to print, the best; 0 prints all. The page has all of them.

    Returns:
      The paths of the pages.

    Raises:
      UserError: if one is no run folder, they have nothing in common, or there is no such metric.
    """
    console = console or Console()
    runs = [read_run_folder(path) for path in paths]
    several = problems(runs)
    page = page_of(runs, out)
    check_writable(page, "--out")
    pages = []
    for name in several if problem is None else [problem]:
        summary, path = summarize(runs, metric, name), page
        if len(several) > 1:
            print_paragraph(console, f"\n{name}", "bold")
            path = page.with_stem(f"{page.stem}-{file_name(name)}")
        print_summary(summary, console, top)
        pages.append(write_page(summary, path))
        say(console, f"page: {path}")
    return pages


def page_of(runs: Sequence[RunFolderData], out: str | Path | None) -> Path:
    """The path of the page of one run folder, or of several; `out` if it is given."""
    others = "-".join(run.path.name for run in runs[1:])
    name = f"report-with-{file_name(others)}.html" if others else "report.html"
    return Path(out) if out else runs[0].path / name


def print_summary(summary: Summary, console: Console, top: int = TOP) -> None:
    """Prints the table of the best settings, and the findings in sentences."""
    columns, note = first_rows(full_columns(summary), top)
    first = len(setting_columns(summary))
    for some in _fitting(columns[:first], columns[first:], console.width):
        print_table(console, list(map(_heading, some)), columns_as_rows(some), padding=LOOSE)
    if note:
        print_paragraph(console, note)
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
        arguments = read_arguments(Arguments, __doc__ or "", argv, prog)
        main(arguments)
        tell_without_effect(arguments)


if __name__ == "__main__":
    run()
