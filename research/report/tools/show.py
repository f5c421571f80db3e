"""Prints the result table of a run folder and draws its learning curve.

    scripts/show RUN
    scripts/show RUN --metric test_accuracy     draws another metric
    scripts/show RUN --top 0                    every setting, not the best ten alone

The learning curve is a PNG in the run folder, named after the metric.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from research.console import print_paragraph, print_table, say
from research.errors import UserError, plain_exit, shortlist
from research.limits import as_int
from research.parsing import read_arguments
from research.plain_text import count_of
from research.report.confirmed import in_words, read_confirmed
from research.report.findings import stops_at_goal, stops_of_run
from research.report.problems import by_problem
from research.report.read import (
    RunFolderData,
    is_asynchronous,
    metric_names,
    read_run_folder,
    rung_counts,
)
from research.report.settings import settings
from research.report.table import TOP, TOP_HELP, brief_columns, columns_as_rows, first_rows


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Prints the result table of a run folder and draws its learning curve."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder")]
    metric: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME", help="what to draw; the key metric if not given"),
    ] = None
    top: Annotated[int, tyro.conf.arg(metavar="N", help=TOP_HELP)] = TOP


def main(arguments: Arguments) -> Path:
    """Prints the table, draws the learning curve, and returns the path of the figure."""
    top = as_int("--top", arguments.top, low=0)
    return show_run(arguments.run, arguments.metric, top=top)


def show_run(
    path: str | Path,
    metric: str | None = None,
    console: Console | None = None,
    top: int = TOP,
) -> Path:
    """Prints the table of a run folder and draws its learning curve.

    Args:
      path: of the run folder.
      metric: to draw; the key metric if not given.
      console: to print to.
      top: how many settings to print, the best; 0 prints all.

    Returns:
      The path of the figure.

    Raises:
      UserError: if it is no run folder, or has no such metric.
    """
    console = console or Console()
    run = read_run_folder(path)
    metrics = metric_names(run)
    if metric is not None and metric not in metrics:
        raise UserError(f"--metric {metric}: {path} has {shortlist(metrics, 20)}")
    print_settings(run, console, top)
    from research.report.curves_png import draw_curves  # Matplotlib, which help does not need

    figure = draw_curves(run, metric)
    say(console, f"learning curve: {figure}")
    if run.decisions is not None and len(run.decisions):
        from research.report.schedules_png import draw_schedules

        say(console, f"schedules of hyper-parameters: {draw_schedules(run)}")
    say(console, f"all of it: scripts/report {path}")
    return figure


def print_settings(run: RunFolderData, console: Console, top: int = TOP) -> None:
    """Prints a line for each of the best settings by the key metric, in a table for each problem,
    and notes below."""
    title, left_out = f"{run.path.name} at the last step", ""
    for problem, some in by_problem(run).items():
        columns, note = first_rows(brief_columns(run, some), top)
        names = [column.name for column in columns]
        shown = f"{problem}: {title}" if problem else title
        print_table(console, names, columns_as_rows(columns), title=shown)
        left_out = note or left_out
    for line in filter(None, [left_out, *_notes(run)]):
        print_paragraph(console, line)


def _notes(run: RunFolderData) -> list[str]:
    manifest = run.manifest
    note = "IQM: interquartile mean over seeds, its 95% bootstrap interval."
    if not stops_at_goal(run):
        note += f" Ordered by {manifest['key_metric']}."
    notes = [note]
    if manifest.get("rungs"):
        kind, by = "Successive", "compared where others end"
        if is_asynchronous(manifest):
            kind, by = "Asynchronous", "promoted by what had ended so far"
        counts = ", ".join(one.in_words() for one in rung_counts(manifest))
        notes.append(
            f"{kind} halving: settings were {by}, and the best of them trained on"
            f"{counts and f': {counts}'}. Compare those of equal steps only."
        )
    if run.decisions is not None:
        notes.append(
            f"Population-based training: {count_of(len(run.decisions), 'member')} took over from "
            "another. Each population counts as one run, its best member at the end, which was "
            "chosen by the score that is shown: --confirm N scores it on N other seeds."
        )
    if stopped := stops_of_run(run):
        notes.append(stopped)
    if left_out := sum(setting.left_out for setting in settings(run)):
        notes.append(
            f"Left out: {left_out} {'run' if left_out == 1 else 'runs'} that became non-finite; "
            "manifest.json names them. In the order of settings they count as the worst."
        )
    confirmed = map(in_words, read_confirmed(run.path))
    notes += [f"{one[0].upper()}{one[1:]}." for one in confirmed]
    if manifest["status"] != "finished":
        notes.append(f"This run is {manifest['status']}: the table shows how far it has come.")
    return notes


def run(argv: list[str] | None = None, prog: str = "scripts/show") -> None:
    """Parses the command line and shows a run folder; bad input ends the process with one line."""
    with plain_exit():
        main(read_arguments(Arguments, __doc__ or "", argv, prog))


if __name__ == "__main__":
    run()
