"""Finds out which columns trained MLPs depend on, and whether all seeds depend on the same.

    scripts/explain RUN
    scripts/explain RUN --top 3 --rows 200

For every run of the best setting there are integrated gradients (Sundararajan et al., 2017): how
much a column adds to or takes from the logit of the true class, on average over rows, starting from
the mean of the training rows. And permutation importance: how much accuracy (R^2 of a regression)
is lost when the column's values are shuffled among rows. The first says what a net uses, the second
what it needs. The steps of the integral are increased until the columns' shares add up to the
difference of outputs, to 1e-3 of it in every row and run (completeness).
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import pandas as pd
import tyro
from jax import lax
from rich.console import Console

from research.cli.tool import run_tool
from research.console import print_line, print_table, print_text
from research.effects import flag_field
from research.errors import shortlist
from research.mlp.attribution import explain, in_top, permutation_importance, rank_correlation
from research.mlp.dataset import Split
from research.mlp.tools.trained import (
    Trained,
    at_once,
    check_choice,
    first_rows,
    load_trained,
    only_data_set,
    write_table,
)
from research.mlp.views import plots
from research.parsing import Unbounded
from research.report.read import read_run_of
from research.task import make_key

COMPLETE = 1e-3
MOST_SHUFFLED = 300  # columns; of more, as of pixels, one tells little
MOST_DRAWN, MOST_PRINTED = 20, 10


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which trained MLPs to explain, and how exactly."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder of mlp")
    ]
    top: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N",
            help="how many columns seeds should agree on; 5, or half of all, if not given",
        ),
    ] = None
    rows: Annotated[int, tyro.conf.arg(help="most rows of the part, from its first on")] = 200
    part: Annotated[str, tyro.conf.arg(help="part of the data: train, validation or test")] = "test"
    steps: Annotated[int, tyro.conf.arg(help="most steps of the integral")] = flag_field(
        4_096, usual=2**18
    )
    repeats: Annotated[int, tyro.conf.arg(help="how often a column is shuffled")] = flag_field(
        5, usual=10_000
    )
    seed: Annotated[int, tyro.conf.arg(help="seed of the shuffling")] = 0
    unbounded: Unbounded = False

    def check(self) -> None:
        """Checks the numbers.

        Raises:
          UserError: naming what is out of range.
        """
        counts = {name: getattr(self, name) for name in ("top", "rows", "steps", "repeats")}
        check_choice(self.part, self.seed, **counts)


def main(args: Arguments) -> Path:
    """Prints a table, draws a figure and returns the file with the numbers of every run."""
    args.check()
    data = read_run_of(args.folder, "mlp")
    trained = load_trained(data, only_data_set(data)[0])
    rows = first_rows(trained, args.part, args.rows)
    names, members_CxF = columns_of(trained)
    by_run = {"integrated gradients": integrate(trained, rows, members_CxF, args)}
    if len(names) <= MOST_SHUFFLED:
        by_run["lost when shuffled"] = shuffle(trained, rows, members_CxF, args)
    top = args.top or min(5, -(-len(names) // 2))
    for measure, values in by_run.items():
        print_measure(trained, names, measure, values, top)
    figure = draw(trained, names, by_run, data.path)
    numbers = write_table(data.path, "importance", numbers_table(trained, names, by_run))
    print_line(f"figure: {figure}")
    print_line(f"numbers: {numbers}")
    return numbers


def columns_of(trained: Trained) -> tuple[list[str], np.ndarray]:
    """Returns the names of the columns, and which features each consists of: bool [C, F]."""
    columns, features = trained.facts.get("columns"), trained.shared.train.x.shape[1]
    if columns is None:  # images by name
        return [str(pixel) for pixel in range(features)], np.eye(features, dtype=bool)
    widths = [
        1 + column["indicator"] if column["kind"] == "number"
        else len(column["categories"]) + bool(column["other"])
        for column in columns
    ]  # fmt: skip
    owners = np.repeat(np.arange(len(columns)), widths)
    return [column["name"] for column in columns], owners == np.arange(len(columns))[:, None]


def integrate(
    trained: Trained, rows: Split, members_CxF: np.ndarray, args: Arguments
) -> np.ndarray:
    """Returns the mean size of each column's integrated gradients over rows, float32 [R, C]."""

    @partial(jax.jit, static_argnames="steps")
    def all_runs(shared, all_params, rows, members_CxF, steps):
        def one_run(params):
            attributions_BxF, gap_B = explain(trained.config, shared, params, rows, steps)
            by_column_BxC = attributions_BxF @ members_CxF.T.astype(np.float32)
            return abs(by_column_BxC).mean(axis=0), gap_B.max()

        return lax.map(one_run, all_params, batch_size=at_once(trained.config))

    given, steps = (trained.shared, trained.params, rows, members_CxF), min(256, args.steps)
    while True:
        found, gaps = map(np.asarray, all_runs(*given, steps))
        if gaps.max() <= COMPLETE or steps == args.steps:
            print_line(
                f"integrated gradients: {steps} steps; completeness holds to {gaps.max():.1e}"
            )
            return found
        steps = min(4 * steps, args.steps)


def shuffle(trained: Trained, rows: Split, members_CxF: np.ndarray, args: Arguments) -> np.ndarray:
    """Returns `permutation_importance` of every run, float32 [R, C], from the same shuffles."""

    @jax.jit
    def all_runs(shared, all_params, rows, members_CxF, key):
        def one_run(params):
            given = (shared, params, rows, members_CxF)
            return permutation_importance(trained.config, *given, args.repeats, key)

        return lax.map(one_run, all_params, batch_size=at_once(trained.config))

    key = make_key(args.seed)
    return np.asarray(all_runs(trained.shared, trained.params, rows, members_CxF, key))


def print_measure(
    trained: Trained, names: list[str], measure: str, values: np.ndarray, top: int
) -> None:
    """Prints a table of the columns that matter most, and which of them all runs agree on."""
    runs, order = len(trained.runs), np.argsort(-np.median(values, axis=0), kind="stable")
    title = f"{measure}, {trained.setting.label}: {runs} runs"
    counts, rows = in_top(values, top), []
    for column in order[:MOST_PRINTED]:
        some = values[:, column]
        cell = f"{np.median(some):.3g} [{some.min():.3g}, {some.max():.3g}]"
        rows.append((names[column], cell, f"{counts[column]} runs"))
    headings = ("column", "median [least, most]", f"in the top {top} of")
    print_table(Console(), headings, rows, title=title)
    agreed = [names[column] for column in order if counts[column] == runs]
    print_line(
        f"in the top {top} of all {runs} runs: {shortlist(agreed, 20) or 'none'}; mean rank "
        f"correlation of two runs: {rank_correlation(values):.2f}"
    )
    print_text("")


def most_important(by_run: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the numbers of the columns, the most important by the first measure first."""
    return np.argsort(-np.median(next(iter(by_run.values())), axis=0), kind="stable")


def draw(trained: Trained, names: list[str], by_run: dict[str, np.ndarray], folder: Path) -> Path:
    """Draws a dot for every run and column, or images of pixels, and returns the path."""
    path, image = folder / "importance.png", trained.shared.image
    if image:
        return plots.draw_pixels(
            path, {measure: values.reshape(-1, *image) for measure, values in by_run.items()}
        )
    order = most_important(by_run)[:MOST_DRAWN]
    chosen = {measure: values[:, order] for measure, values in by_run.items()}
    return plots.draw_importance(path, [names[column] for column in order], chosen)


def numbers_table(trained: Trained, names: list[str], by_run: dict[str, Any]) -> pd.DataFrame:
    """Returns a row for each run and column."""
    runs = len(trained.runs)
    return pd.DataFrame(
        {
            "run": np.repeat(trained.runs, len(names)),
            "seed": np.repeat(trained.seeds, len(names)),
            "column": names * runs,
            **{measure.replace(" ", "_"): values.ravel() for measure, values in by_run.items()},
        }
    )


def run(argv: list[str] | None = None, prog: str = "scripts/explain") -> None:
    """Parses the command line and explains the nets that it names."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
