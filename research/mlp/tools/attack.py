"""Measures the scores of trained MLPs whose inputs are attacked, by FGSM and by PGD.

    scripts/attack RUN
    scripts/attack RUN --radius 0.05 0.1 0.2 --steps 40

A radius is how far every feature may move (the maximum norm), in standard deviations of the
feature, or in images as a share of the way from black to white. Categories and dates are not moved.
FGSM (Goodfellow et al., 2015) takes one step. PGD (Madry et al., 2018) takes the worst of all
points on its ways from FGSM's point and from a random one, so it is never weaker. To train on
attacks:

    scripts/run experiments/mlp.py --adversarial-steps 5 --adversarial-radius 0.03 0.1
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import tyro
from jax import lax
from rich.console import Console

from research.cli.tool import run_tool
from research.console import print_line, print_table
from research.effects import flag_field
from research.errors import UserError
from research.flags import check_writable
from research.limits import as_float
from research.mlp.robustness import robustness
from research.mlp.tools.trained import (
    Trained,
    at_once,
    check_choice,
    finished_settings,
    first_rows,
    load_trained,
    named_after,
    summary,
    table_path,
    write_table,
)
from research.mlp.views import plots
from research.parsing import Unbounded, WhichParams
from research.plain_text import count_of
from research.report.read import read_run_of
from research.report.statistics import iqm_interval
from research.task import make_key

MOST_LINES = 6  # settings in the figure


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which trained MLPs to attack, and how strongly."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder of mlp")
    ]
    params: WhichParams = "last"
    radius: Annotated[tuple[float, ...], tyro.conf.arg(help="how far inputs may move")] = (
        0.01, 0.03, 0.1, 0.3,
    )  # fmt: skip
    steps: Annotated[int, tyro.conf.arg(help="steps of PGD from each of its two starts")] = (
        flag_field(20, usual=10_000)
    )
    rows: Annotated[int, tyro.conf.arg(help="most rows of the part, from its first on")] = 1_000
    part: Annotated[
        str, tyro.conf.arg(metavar="{train,validation,test}", help="part of the data")
    ] = "test"
    seed: Annotated[int, tyro.conf.arg(help="seed of PGD's random starts")] = 0
    unbounded: Unbounded = False

    def check(self) -> None:
        """Checks the numbers.

        Raises:
          UserError: naming what is out of range.
        """
        for radius in self.radius:
            if as_float("--radius", radius) < 0:
                raise UserError(f"--radius {radius:g}: must be at least 0")
        check_choice(self.part, self.seed, steps=self.steps, rows=self.rows)


def main(args: Arguments) -> Path:
    """Prints a table, draws a figure and returns the file with the numbers of every run."""
    args.check()
    data = read_run_of(args.folder, "mlp")._replace(params=args.params)
    check_writable(table_path(data.path, "attacks"), parents=True)
    radii = np.unique(np.array([0.0, *args.radius], np.float32))
    found, figures = [], []
    for title, some in finished_settings(data).items():
        nets = [load_trained(data, setting) for setting in some]
        part = [(trained, attack_runs(trained, radii, args)) for trained in nets]
        score = "accuracy" if nets[0].class_names else "rmse"
        for trained, scores in part:
            print_setting(trained, scores, radii, score, args)
        path = data.path / named_after("attacks", title)
        figures.append(draw(path, part, radii, f"{args.part} {score}"))
        found += part
    print_line("IQM: interquartile mean over seeds, its 95% bootstrap interval.")
    table = pd.concat(numbers_table(trained, radii, *scores) for trained, scores in found)
    numbers = write_table(data.path, "attacks", table)
    for path in figures:
        print_line(f"figure: {path}")
    print_line(f"numbers: {numbers}")
    return numbers


def draw(path: Path, found: list[tuple[Trained, Any]], radii: np.ndarray, score: str) -> Path:
    """Draws the scores of the best settings of one data set against the radius."""
    lines = {}
    for trained, (fast_RxM, pgd_RxM) in found[:MOST_LINES]:
        label = trained.setting.label
        if len(found) == 1:
            lines[f"{label}, FGSM"] = iqm_interval(fast_RxM)
        lines[f"{label}, PGD"] = iqm_interval(pgd_RxM)
    plots.draw_lines(path, radii.tolist(), lines, "radius of the attack", score)
    return path


def attack_runs(trained: Trained, radii: np.ndarray, args: Arguments) -> tuple[Any, Any]:
    """Returns scores under FGSM and under PGD, float32 [R, M] each, from the same random draws."""
    rows = first_rows(trained, args.part, args.rows)

    @jax.jit
    def all_runs(shared, all_params, rows, radii, key):
        def one_run(params):
            return robustness(trained.config, shared, params, rows, radii, args.steps, key)

        return lax.map(one_run, all_params, batch_size=at_once(trained.config))

    key = make_key(args.seed)
    scores = all_runs(trained.shared, trained.params, rows, jnp.asarray(radii), key)
    return tuple(map(np.asarray, scores))


def print_setting(
    trained: Trained, scores: tuple[Any, Any], radii: np.ndarray, score: str, args: Arguments
) -> None:
    """Prints a table with a row for each radius."""
    rows = min(args.rows, len(getattr(trained.shared, args.part).y))
    of = f"{count_of(len(trained.runs), 'run')}, {count_of(rows, f'{args.part} row')}"
    title = f"{trained.setting.label}: {score} of {of}"
    pgd = f"PGD, {count_of(args.steps, 'step')}"
    names = ("radius", "FGSM\nmedian IQM [95%]", f"{pgd}\nmedian IQM [95%]")
    lines = [
        (f"{radius:g}", *(summary(one_RxM[:, at]) for one_RxM in scores))
        for at, radius in enumerate(radii)
    ]
    print_table(Console(), names, lines, title=title)


def numbers_table(trained: Trained, radii: np.ndarray, fast_RxM: Any, pgd_RxM: Any) -> pd.DataFrame:
    """Returns a row for each run and radius."""
    runs, many = len(trained.runs), len(radii)
    return pd.DataFrame(
        {
            "run": np.repeat(trained.runs, many),
            "seed": np.repeat(trained.seeds, many),
            **trained.setting.values,
            "radius": np.tile(radii, runs),
            "fgsm": fast_RxM.ravel(),
            "pgd": pgd_RxM.ravel(),
        }
    )


def run(argv: list[str] | None = None, prog: str = "scripts/attack") -> None:
    """Parses the command line and attacks the nets that it names."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
