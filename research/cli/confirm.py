"""Trains the best of a finished sweep anew with seeds that did not choose it: its score there is
not too good for having been the best of many."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from research.atomic import write_text
from research.cli.follow import schedule_of
from research.cli.terminal import TerminalObserver
from research.console import say
from research.errors import UserError
from research.limits import MOST_SEED, USUAL_RUNS, as_int, check_usual
from research.plain_text import count_of
from research.report.confirmed import FILE, Confirmed, in_words
from research.report.one_run import OneRun, best_runs, one_run
from research.report.problems import by_problem, ranked_settings
from research.report.read import read_run_folder
from research.report.settings import final_score, settings
from research.runs.experiment import Experiment, restore_config, restore_hparams
from research.runs.opening import AlreadyFinished, RunOptions
from research.runs.runner import run_experiment


def check_confirm(experiment: Experiment, asked: int | None, several_processes: bool) -> None:
    """Checks that `--confirm` can be done, before anything is trained.

    Raises:
      UserError: if not.
    """
    if asked is None:
        return
    count = as_int("--confirm", asked, low=1)
    check_usual(f"--confirm {count}", count, USUAL_RUNS, unbounded=False)
    if several_processes:
        raise UserError("--confirm: not with --distributed; confirm with one process afterwards")
    if experiment.init_from is not None:
        raise UserError(
            "--confirm --init-from: runs that begin with params have no seeds to begin with; "
            "choose one"
        )


def confirm(experiment: Experiment, options: RunOptions, count: int, path: Path) -> None:
    """Trains the best of a finished sweep, of each problem, with other seeds, into its folder, and
    writes what came of it.

    Args:
      experiment: that the sweep is of.
      options: of the sweep.
      count: how many seeds.
      path: of the run folder.
    """
    console, found = Console(), []
    for place, (problem, best) in enumerate(_best(path)):
        name = "confirmed" if place == 0 else f"confirmed-{place}"
        again = _again(experiment, best, count, path)
        say(console, f"{experiment.name}: the best is run {best.number}; training it anew with "
            f"{count_of(count, 'seed')} that did not choose it")  # fmt: skip
        how = RunOptions(str(path), name, train=options.train, parallel=options.parallel)
        with contextlib.suppress(AlreadyFinished):  # where a kill came before the file was written
            run_experiment(again, how, TerminalObserver(console, False))
        found.append(_scored(path / name, problem, best, again.seeds))
        say(console, in_words(found[-1]))
    content = {"confirmed": [one._asdict() for one in found]}
    write_text(path / FILE, json.dumps(content, indent=1) + "\n")


def _best(path: Path) -> list[tuple[str, OneRun]]:
    """The best run of a population, or any run of the best setting, of each problem."""
    data = read_run_folder(path)
    if data.decisions is not None:
        problems = list(by_problem(data))
        return list(zip(problems, best_runs(data), strict=True))
    found = []
    for problem, some in by_problem(data).items():
        if ranked := ranked_settings(data, some):
            found.append((problem, one_run(data, int(ranked[0].rows["run"].iloc[0]))))
    return found


def _again(experiment: Experiment, best: OneRun, count: int, path: Path) -> Experiment:
    """The experiment that trains the best anew."""
    data = read_run_folder(path)
    changes = schedule_of(data, best.number)
    config = restore_config(best.config, experiment.config)
    hparams = restore_hparams(best.hparams | dict(changes[0][1]), experiment.hparams)
    return experiment._replace(
        config=config,
        config_axes={},
        hparams=hparams,
        hparams_axes={},
        seeds=fresh_seeds(experiment.seeds, count),
        search=None,
        search_from=None,
        halving=None,
        population=None,
        schedule=changes[1:],
        notes=(),
    )


def fresh_seeds(seeds: Sequence[int], count: int) -> tuple[int, ...]:
    """The first seeds after those of a sweep, or else the smallest that it has not."""
    first = max(seeds) + 1
    if first + count - 1 <= MOST_SEED:
        return tuple(range(first, first + count))
    taken = set(seeds)
    return tuple([seed for seed in range(count + len(taken)) if seed not in taken][:count])


def _scored(path: Path, problem: str, best: OneRun, seeds: Sequence[int]) -> Confirmed:
    data = read_run_folder(path)
    metric = str(data.manifest["key_metric"])
    (setting,) = settings(data)
    score = final_score(setting, metric)
    interval = None if score is None else [float(one) for one in np.ravel(score.iqm)]
    return Confirmed(path.name, problem, best.number, list(seeds), metric, interval, best.score)
