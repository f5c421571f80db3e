"""What a sweep says: statistics in the terminal, and one page to look at and to pass on.

    scripts/report RUN
    scripts/report RUN OTHER          both together, and one against the other
    scripts/report RUN --live         while it trains: the page renews itself

The page is RUN/report.html: one file that needs no network. Where a finished run folder lacks them,
its best agent plays an episode, its best model writes a text, or the nets of its best setting
predict, for the page to show.
"""

import dataclasses
import threading
from pathlib import Path
from typing import Annotated

import tyro

from research.console import print_text
from research.errors import UserError, plain_exit
from research.folders import files_in
from research.limits import as_int
from research.report.live import LivePage, serving
from research.report.read import RunFolderData, read_run_folder
from research.report.report import report

EPISODE_STEPS = 300  # of an animation: all of it is in the page


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What a sweep says: statistics in the terminal, and one page to look at."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(help="run folders")]
    out: Annotated[
        str | None, tyro.conf.arg(help="the page; RUN/report.html of the first if not given")
    ] = None
    metric: Annotated[
        str | None, tyro.conf.arg(help="to compare by; the key metric if not given")
    ] = None
    problem: Annotated[
        str | None,
        tyro.conf.arg(help="of settings of several, such as environments, the one to look at"),
    ] = None
    examples: Annotated[
        bool, tyro.conf.arg(help="have trained runs play, write or predict for the page")
    ] = True
    live: Annotated[bool, tyro.conf.arg(help="serve the page on this machine while it trains")] = (
        False
    )
    port: Annotated[int, tyro.conf.arg(help="with --live; 0 picks a free one")] = 8642


def main(args: Arguments) -> list[Path]:
    """Writes the page, or one a problem, and returns the paths; or serves it until it is
    interrupted."""
    if not args.runs:
        raise UserError("give at least one run folder")
    if args.live:
        serve(args)
        return []
    if args.examples:
        for path in args.runs:
            make_example(read_run_folder(path))
    return report(args.runs, args.out, args.metric, args.problem)


def serve(args: Arguments) -> None:
    """Until it is interrupted."""
    live = LivePage(args.runs, args.metric, args.problem)
    for path in args.runs:
        if not Path(path).is_dir():
            raise UserError(f"no folder {path}")
    with serving(live, as_int("--port", args.port, 0, 65_535)) as address:
        print_text(f"live: {address} (Ctrl-C ends it, not the sweep)")
        threading.Event().wait()


def make_example(run: RunFolderData) -> None:
    """What the workload of a finished run folder has to show, if it is not there yet. Nothing to
    show, as where an environment cannot be drawn, is said and is no error."""
    makers = {"mlp": _predict, "dqn": _play, "pqn": _play, "lstm_lm": _write}
    make = makers.get(run.manifest["experiment"])
    if make is None or run.manifest["status"] != "finished":
        return
    try:
        make(run.path)
    except UserError as error:
        print_text(f"nothing to show of {run.path}: {error}")


def _predict(folder: Path) -> None:
    if files_in(folder / "evaluation", "predictions-*.safetensors"):
        return
    _configure_jax()
    from research.mlp.tools import evaluate

    evaluate.main(evaluate.Arguments(str(folder), settings="best"))


def _play(folder: Path) -> None:
    if files_in(folder, "run-*.gif"):
        return
    _configure_jax()
    from research.dqn.tools import watch

    watch.main(watch.Arguments(str(folder), steps=EPISODE_STEPS))


def _write(folder: Path) -> None:
    if (folder / "evaluation" / "samples.json").is_file():
        return
    _configure_jax()
    from research.lm.tools import sample

    sample.main(sample.Arguments(str(folder)))


def _configure_jax() -> None:
    """Here and not above, as are the scripts that use it: most reports need no JAX."""
    from research.cli.machine import configure_jax

    configure_jax()


if __name__ == "__main__":
    with plain_exit():
        given = tyro.cli(Arguments, prog="scripts/report", description=__doc__)
        main(given)
