"""Trains an experiment, tracks it and shows its result: what every recipe does."""

import glob
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from research.cli import own_code
from research.cli.arguments import make_options
from research.cli.compile_for import compile_sweep
from research.cli.confirm import FILE, check_confirm, confirm
from research.cli.terminal import TerminalObserver
from research.console import say
from research.errors import UserError, describe_os_error, is_of_the_machine
from research.flags import check_writable
from research.folders import file_name, files_in
from research.recorded import read_manifest
from research.report.tools.show import show_run
from research.report.trackers import chosen_trackers
from research.report.tracking import tracking
from research.runs.experiment import Experiment
from research.runs.opening import AlreadyFinished
from research.runs.recipe_code import describe_code
from research.runs.run_folder import run_path
from research.runs.runner import run_experiment


class FinishingTouch(NamedTuple):
    """Files that are made of a finished sweep, such as a figure, and that its folder then holds.

    Attributes:
      name: what they are, in words.
      files: manifest -> the files, as patterns in the run folder.
      make: run folder -> makes them.
    """

    name: str
    files: Callable[[Mapping[str, Any]], Sequence[str]]
    make: Callable[[Path], Any]


LEARNING_CURVE = FinishingTouch(
    "its learning curve",
    lambda manifest: [glob.escape(f"{file_name(manifest['key_metric'])}.png")],
    show_run,
)


def train_and_show(experiment: Experiment, args: Any, *touches: FinishingTouch) -> Path | None:
    """Trains an experiment, prints its result table and draws its learning curve; or, with
    `--compile-for`, says what training it would take.

    Of a run folder that is finished, what a kill has kept from being made is made.

    Args:
      experiment: what to run.
      args: the arguments of the recipe, which say how to run it.
      touches: what else is made when the sweep is finished.

    Returns:
      The run folder, if it is finished.

    Raises:
      UserError: if something given is wrong, or the folder is finished and nothing is missing.
      FolderLost: if the run folder is removed or renamed meanwhile.
      Stopped: if a signal asked to stop; everything is saved then.
    """
    console, options = Console(), make_options(args)
    if args.deterministic and jax.default_backend() == "cpu":
        note = "--deterministic changes nothing on a CPU, whose kernels repeat to the last bit"
        experiment = experiment._replace(notes=[*experiment.notes, note])
    if args.compile_for:
        compile_sweep(experiment, options, args.compile_for)
        return None
    path = run_path(options.out, options.name or experiment.name)
    if not path.exists():  # before data are read and programs compiled
        check_writable(path, "--out", parents=True)
    if kinds := chosen_trackers(args.tensorboard, args.wandb):
        warn = lambda line: say(console, f"{experiment.name}: {line}")
        options = options._replace(meanwhile=partial(tracking, kinds=kinds, warn=warn))
    if code := describe_code(experiment):
        own_code.remember([code["file"]])  # the user has started it
    check_confirm(experiment, args.confirm, options.process is not None)
    wanted: Sequence[FinishingTouch] = (LEARNING_CURVE, *touches)
    if args.confirm is not None:
        train = partial(confirm, experiment, options, args.confirm)
        wanted = (*wanted, FinishingTouch("the best on other seeds", lambda _: [FILE], train))
    try:
        folder = run_experiment(experiment, options, TerminalObserver(console, not args.worker))
    except AlreadyFinished as finished:
        folder, wanted = finished.path, missing(finished.path, wanted)
        if not wanted:
            raise
        names = " and ".join(touch.name for touch in wanted)
        say(console, f"{experiment.name}: {folder} is finished but for {names}, made now")
    if folder:
        _make(folder, wanted, console)
    return folder


def missing(folder: Path, touches: Sequence[FinishingTouch]) -> list[FinishingTouch]:
    """Returns those of the touches whose files are not all there, or are older than the end of the
    sweep."""
    manifest, ended = read_manifest(folder), (folder / "manifest.json").stat().st_mtime_ns

    def is_there(pattern: str) -> bool:
        return any(path.stat().st_mtime_ns >= ended for path in files_in(folder, pattern))

    return [touch for touch in touches if not all(map(is_there, touch.files(manifest)))]


def _make(folder: Path, touches: Sequence[FinishingTouch], console: Console) -> None:
    """Makes files of a finished sweep. One that cannot be made of it, as where every run has
    diverged, is printed and is no error.

    Raises:
      UserError: if they cannot be written; it says how to make them later.
    """
    for touch in touches:
        try:
            touch.make(folder)
        except UserError as error:
            if isinstance(error.__cause__, OSError):
                raise _not_made(folder, str(error)) from error
            say(console, f"{folder} is finished but for {touch.name}: {error}")
        except OSError as error:
            if not is_of_the_machine(error):
                raise
            raise _not_made(folder, describe_os_error(error)) from error


def _not_made(folder: Path, reason: str) -> UserError:
    return UserError(
        f"{reason}; the sweep is finished, and --resume {folder} makes what is missing"
    )
