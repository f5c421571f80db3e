"""Draws the learning curves of run folders for a paper, and writes their table of settings.

    scripts/figure RUN                                     RUN/figure.pdf, as wide as a column
    scripts/figure RUN OTHER --format pdf svg --size 6.5x2.4 --top 4 --out figures/curves
    scripts/figure RUN --label "double False=one network" "double True=two networks"
    scripts/figure RUN --table latex csv                   also RUN/figure.tex and RUN/figure.csv

Each environment or data set has a panel of its own, and a table. Curves are interquartile means
over seeds with 95% bootstrap intervals; the legend is above the panels and names only what differs.
"""

import dataclasses
import math
import re
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from research.atomic import write_bytes
from research.console import say
from research.errors import UserError, plain_exit, shortlist
from research.flags import check_path, check_writable
from research.folders import file_name
from research.limits import as_int
from research.parsing import read_arguments
from research.report.paper import (
    FIGURE_FORMATS,
    SUFFIXES,
    TABLE_FORMATS,
    draw_figure,
    figure_bytes,
    table_text,
)
from research.report.problems import problem_titles, problems
from research.report.read import RunFolderData, metric_names, read_run_folder
from research.report.summary import Summary, summarize


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Learning curves of run folders for a paper, and their table of settings."""

    runs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...", help="run folders")
    ]
    format: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="FORMAT...", help=", ".join(FIGURE_FORMATS))
    ] = ("pdf",)
    size: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="WxH", help="inches of the whole figure; 3.25x2.4 a panel if not given"
        ),
    ] = None
    metric: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help="what to draw; the key metric if not given")
    ] = None
    label: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="SETTING=NAME...", help="what the legend calls a setting"),
    ] = ()
    top: Annotated[int, tyro.conf.arg(metavar="N", help="settings that are drawn; 0: all")] = 8
    table: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="FORMAT...", help=", ".join(TABLE_FORMATS))
    ] = ()
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="PATH", help="of the files, without suffix; RUN/figure if not given"),
    ] = None


def main(arguments: Arguments, console: Console | None = None) -> list[Path]:
    """Writes the files and returns their paths."""
    console = console or Console()
    for flag, given, known in (
        ("--format", arguments.format, FIGURE_FORMATS),
        ("--table", arguments.table, TABLE_FORMATS),
    ):
        for one in given:
            if one not in known:
                raise UserError(f"{flag} {one}: there are {', '.join(known)}")
    check_path("--out", arguments.out)
    size, names = read_size(arguments.size), read_labels(arguments.label)
    top = as_int("--top", arguments.top, low=0)
    if not arguments.runs:
        raise UserError("give at least one run folder")
    runs = [read_run_folder(path) for path in arguments.runs]
    figures, tables = files_of(arguments, runs)
    for path in [*figures, *tables]:
        check_writable(path, "--out", parents=True)
    panels = make_panels(runs, arguments.metric)
    files: dict[Path, bytes] = {}
    if figures:
        metric = arguments.metric or next(iter(panels.values())).metric
        figure = draw_figure(panels, metric, size, top, names)
        files |= {path: figure_bytes(figure, kind) for path, kind in figures.items()}
    for path, (title, kind) in tables.items():
        files[path] = table_text(panels[title], kind, top, names).encode()
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
        say(console, f"written: {path}")
    return list(files)


def files_of(
    arguments: Arguments, runs: list[RunFolderData]
) -> tuple[dict[Path, str], dict[Path, tuple[str, str]]]:
    """Returns the paths of the figures with their formats, and of the tables with the title of
    their panel and their formats."""
    base = Path(arguments.out) if arguments.out else runs[0].path / "figure"
    figures = {base.with_name(f"{base.name}.{kind}"): kind for kind in arguments.format}
    tables, titles = {}, panel_titles(runs)
    for title in titles.values():
        which = f"-{file_name(title)}" if len(titles) > 1 else ""
        for kind in arguments.table:
            tables[base.with_name(f"{base.name}{which}.{SUFFIXES[kind]}")] = title, kind
    return figures, tables


def make_panels(runs: list[RunFolderData], metric: str | None) -> dict[str, Summary]:
    """Returns what each panel shows, by the title of its problem.

    Raises:
      UserError: if a folder has no such metric.
    """
    for run in runs:
        if metric is not None and metric not in (known := metric_names(run)):
            raise UserError(f"--metric {metric}: {run.path} has {shortlist(known, 20)}")
    return {title: summarize(runs, metric, name) for name, title in panel_titles(runs).items()}


def panel_titles(runs: list[RunFolderData]) -> dict[str, str]:
    """Returns the title of the panel of each problem; a problem alone is titled by its name."""
    names = problems(runs)
    titles = problem_titles(names) if len(names) > 1 else names
    return dict(zip(names, titles, strict=True))


def read_size(text: str | None) -> tuple[float, float] | None:
    """Returns width and height in inches.

    Raises:
      UserError: for anything that is no size from 1 to 40 inches.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([\d.]+)x([\d.]+)", text)
    try:
        size = [float(side) for side in found.groups()] if found else []
    except ValueError:
        size = []
    if not size or not all(math.isfinite(side) and 1 <= side <= 40 for side in size):
        raise UserError(f"--size {text}: give inches from 1 to 40, such as 3.25x2")
    return size[0], size[1]


def read_labels(words: tuple[str, ...]) -> dict[str, str]:
    """Returns what settings are called: `SETTING=NAME`, where a setting may hold `=` itself.

    Raises:
      UserError: for a word without `=`.
    """
    names = {}
    for word in words:
        setting, equals, name = word.rpartition("=")
        if not (setting and equals and name):
            raise UserError(
                f"--label {word}: give SETTING=NAME, such as 'double True=with two networks'"
            )
        if setting in names:
            raise UserError(f"--label {word}: {setting} has the name {names[setting]} already")
        names[setting] = name
    return names


def run(argv: list[str] | None = None, prog: str = "scripts/figure") -> None:
    """Parses the command line and writes the files; bad input ends the process with one line."""
    with plain_exit():
        main(read_arguments(Arguments, __doc__ or "", argv, prog))


if __name__ == "__main__":
    run()
