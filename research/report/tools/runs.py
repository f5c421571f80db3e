"""Lists run folders: what each swept, how far it is, its best setting, and when it was started.

scripts/runs                              all in runs/, the latest first
scripts/runs FOLDER --sort score          the best first, workload by workload
scripts/runs --workload dqn --unfinished
scripts/runs --page                       also FOLDER/index.html, with links to the reports
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from research.atomic import write_bytes
from research.console import LOOSE, print_table, say
from research.errors import UserError, plain_exit
from research.flags import check_writable
from research.parsing import read_arguments
from research.report.listing import (
    COLUMNS,
    PAGE,
    Listed,
    find_run_folders,
    list_run_folder,
    make_index,
    sort_listed,
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Lists run folders: what each swept, how far it is, its best setting, and when it started."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER", help="where the run folders are")
    ] = "runs"
    workload: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help="those of one workload only")
    ] = None
    unfinished: Annotated[bool, tyro.conf.arg(help="only those that are not finished")] = False
    sort: Annotated[
        str,
        tyro.conf.arg(
            metavar="COLUMN", help=f"sort by {', '.join(column.name for column in COLUMNS)}"
        ),
    ] = "when"
    page: Annotated[bool, tyro.conf.arg(help=f"write FOLDER/{PAGE}, which links the reports")] = (
        False
    )


def main(arguments: Arguments, console: Console | None = None) -> list[Listed]:
    """Prints the table, writes the page if it is asked for, and returns what was listed."""
    console, folder = console or Console(), Path(arguments.folder)
    sort_listed([], arguments.sort)  # before anything is read
    if arguments.page and folder.is_dir():
        check_writable(folder / PAGE)
    listed = _chosen([list_run_folder(path) for path in find_run_folders(folder)], arguments)
    names = [column.name for column in COLUMNS]
    rows = [[column.cell(one) for column in COLUMNS] for one in listed]
    print_table(console, names, rows, padding=LOOSE)
    if arguments.page:
        path = folder / PAGE
        write_bytes(path, make_index(listed, folder).encode())
        say(console, f"page: {path}")
    return listed


def _chosen(listed: Sequence[Listed], arguments: Arguments) -> list[Listed]:
    """Those that are asked for, sorted.

    Raises:
      UserError: if there is none.
    """
    some = [one for one in listed if not (arguments.unfinished and one.finished)]
    if arguments.workload is not None:
        some = [one for one in some if one.workload == arguments.workload]
        if not some:
            known = sorted({one.workload for one in listed if one.workload})
            raise UserError(
                f"--workload {arguments.workload}: {arguments.folder} holds {', '.join(known)}"
            )
    return sort_listed(some, arguments.sort)


def run(argv: list[str] | None = None, prog: str = "scripts/runs") -> None:
    """Parses the command line and lists run folders; bad input ends the process with one line."""
    with plain_exit():
        main(read_arguments(Arguments, __doc__ or "", argv, prog))


if __name__ == "__main__":
    run()
