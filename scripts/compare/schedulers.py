"""Compares ways of searching hyper-parameters at the same budget of environment steps.

    scripts/run scripts/compare/schedulers.py

A DQN on CartPole is searched over a deliberately wide range of learning rates and discounts by a
grid, at random, by TPE in batches, by successive halving with and without a barrier, and by
population-based training; and again with a quarter of the settings and four seeds each. Each
repetition searches with seeds of its own, and trains what it found
anew with seeds that did not choose it (`--confirm`): that score is what is compared, as the mean
over repetitions with a 95% interval. The score by which the best was chosen stands beside it.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import tyro
from rich.console import Console

from research.console import print_text, say
from research.errors import UserError, plain_exit, shortlist
from research.report.confirmed import read_confirmed
from research.report.metrics import within
from research.report.statistics import mean_interval
from research.runs.session import device_facts, versions

DQN = Path(__file__).parents[2] / "experiments" / "dqn.py"
RANGES = {"learning-rate": (1e-6, 1.0), "gamma": (0.5, 0.9999)}
SIDE = 8  # of the grid; a search has as many runs as the grid
ASHA = 208  # runs that halving thins out at the budget of the grid
SEEDS = 4  # of the methods that score every setting by several
HALVING = "--halving 3 --rungs 3"


class Method(NamedTuple):
    """How to search: flags, and how many runs, of how many seeds a setting; a grid has no runs to
    draw."""

    flags: str = ""
    runs: int = 0
    seeds: int = 1


METHODS = {
    "grid": Method(),
    "random": Method("", SIDE**2),
    "tpe": Method("--sampler tpe --batch 16", SIDE**2),
    "halving": Method(HALVING, ASHA),
    "asha": Method(f"{HALVING} --asynchronous", ASHA),
    "pbt": Method("--population pbt", SIDE**2),
    "grid-of-4-seeds": Method(seeds=SEEDS),
    "random-of-4-seeds": Method("", SIDE**2, SEEDS),
    "tpe-of-4-seeds": Method("--sampler tpe --batch 4", SIDE**2, SEEDS),
    "halving-of-4-seeds": Method(HALVING, ASHA, SEEDS),
    "pbt-of-4-populations": Method("--population pbt", SIDE**2, SEEDS),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What is compared, how long a run trains, and where run folders are kept."""

    methods: tuple[str, ...] = tuple(METHODS)
    repetitions: int = 5
    first: Annotated[int, tyro.conf.arg(help="number of the first repetition")] = 0
    env_steps: int = 15_000
    confirm: Annotated[int, tyro.conf.arg(help="seeds that score what was found")] = 16
    out: Annotated[
        str | None, tyro.conf.arg(help="folder for run folders; none is kept if not given")
    ] = None


def command_of(method: str, repetition: int, arguments: Arguments) -> list[str]:
    """The command that searches once."""
    flags, runs, count = METHODS[method]
    words = flags.split()
    if runs:
        ranges = RANGES
        words += ["--search", str(runs // count), "--search-seed", str(repetition)]
    else:
        rate, gamma, side = np.geomspace, np.linspace, int(SIDE / count**0.5)
        ranges = {
            "learning-rate": rate(*RANGES["learning-rate"], side),
            "gamma": gamma(*RANGES["gamma"], side),
        }
    seeds = "".join(f"{seed}," for seed in range(count * repetition, count * (repetition + 1)))
    for name, values in ranges.items():
        words += [f"--{name}", *(f"{value:.4g}" for value in values)]
    return [
        sys.executable, str(DQN), *words, "--seeds", seeds, "--env-steps",
        str(arguments.env_steps), "--confirm", str(arguments.confirm), "--name",
        f"{method}-{repetition}",
    ]  # fmt: skip


def search(method: str, repetition: int, arguments: Arguments, folder: Path) -> dict[str, Any]:
    """Searches once, and returns the score that was confirmed, the one that chose, and the steps
    that were trained."""
    path = folder / "runs" / f"{method}-{repetition}"
    command = command_of(method, repetition, arguments)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{method}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    (found,) = read_confirmed(path)
    rows = pd.read_parquet(path / "metrics", columns=["run", "work"])
    return {
        "method": method,
        "repetition": repetition,
        "confirmed": found.score[0] if found.score else float("nan"),
        "chosen_by": found.chosen_by,
        "env_steps": int(rows.groupby("run")["work"].max().sum()),
    }


def table(found: list[dict[str, Any]]) -> str:
    """A row for each method, the best first, as Markdown."""
    rows = pd.DataFrame(found)
    lines = [
        "| search | confirmed return, mean [95%] | return where it was chosen | M env steps |",
        "| --- | ---: | ---: | ---: |",
    ]
    by_method = sorted(rows.groupby("method"), key=lambda one: -one[1]["confirmed"].mean())
    for method, some in by_method:
        mean, low, high = within(mean_interval(some["confirmed"].to_numpy(np.float64)), 0.0, 500.0)
        lines.append(
            f"| {method} | {mean:.1f} [{low:.1f}, {high:.1f}] | {some['chosen_by'].mean():.1f} | "
            f"{some['env_steps'].mean() / 1e6:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Arguments) -> None:
    """Prints a table of all methods."""
    if unknown := [one for one in arguments.methods if one not in METHODS]:
        raise UserError(f"--methods {unknown[0]}: there are {shortlist(METHODS, 10)}")
    console, found = Console(), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.out or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for repetition in range(arguments.first, arguments.first + arguments.repetitions):
            for method in arguments.methods:
                found.append(search(method, repetition, arguments, folder))
                say(console, json.dumps(found[-1]))
    device = device_facts()
    print_text(
        f"\n{arguments.repetitions} repetitions, {arguments.env_steps} env steps a run, "
        f"{arguments.confirm} seeds to confirm, {device['count']} x {device['kind']} "
        f"({device['processor']}), jax {versions()['jax']}\n\n{table(found)}\n"
    )


if __name__ == "__main__":
    with plain_exit():
        main(tyro.cli(Arguments, description=__doc__))
