"""What `scripts/show RUN` does: print the result table, draw the learning curve."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from research.console import say
from research.errors import UserError, plain_exit, shortlist
from research.report.curves import draw_curves
from research.report.read import metric_names, read_run_folder
from research.report.table import print_settings


def show_run(path: str | Path, metric: str | None = None, console: Console | None = None) -> Path:
    """Prints the table of a run folder and draws its learning curve.

    Args:
      path: of the run folder.
      metric: to draw; the key metric if not given.
      console: to print to.

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
    print_settings(run, console)
    figure = draw_curves(run, metric)
    say(console, f"learning curve: {figure}")
    say(console, f"all of it: scripts/report {path}")
    return figure


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Prints the result table of a run folder and draws its learning curve."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(help="a run folder")]
    metric: Annotated[
        str | None, tyro.conf.arg(help="what to draw; the key metric if not given")
    ] = None


if __name__ == "__main__":
    with plain_exit():
        given = tyro.cli(Arguments, prog="scripts/show")
        show_run(given.run, given.metric)
