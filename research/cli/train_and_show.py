"""Trains an experiment, tracks it and shows its result: what every recipe does."""

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from research.cli.arguments import make_options
from research.cli.compile_for import compile_sweep
from research.cli.terminal import TerminalObserver
from research.console import say
from research.report.tools.show import show_run
from research.report.trackers import chosen_trackers
from research.report.tracking import tracking
from research.runs.experiment import Experiment
from research.runs.runner import run_experiment


def train_and_show(experiment: Experiment, args: Any) -> Path | None:
    """Trains an experiment, prints its result table and draws its learning curve; or, with
    `--compile-for`, says what training it would take.

    Args:
      experiment: what to run.
      args: the arguments of the recipe, which say how to run it.

    Returns:
      The run folder, if it is finished.

    Raises:
      UserError: if something given is wrong.
      Stopped: if a signal asked to stop; everything is saved then.
    """
    console, options = Console(), make_options(args)
    if args.compile_for:
        compile_sweep(experiment, options, args.compile_for)
        return None
    if kinds := chosen_trackers(args.tensorboard, args.wandb):
        warn = lambda line: say(console, f"{experiment.name}: {line}")
        options = options._replace(meanwhile=partial(tracking, kinds=kinds, warn=warn))
    folder = run_experiment(experiment, options, TerminalObserver(console))
    if folder:
        show_run(folder)
    return folder
