"""Finds out which columns trained MLPs depend on, and whether all seeds depend on the same.

    scripts/explain RUN
    scripts/explain RUN --top 3 --rows 200

For every run of the best setting there are integrated gradients (Sundararajan et al., 2017): how
much a column adds to or takes from the logit of the true class, on average over rows, starting from
the mean of the training rows. And permutation importance: how much of the key metric (accuracy, R^2
of a regression, or what --key-metric named) is lost when the column's values are shuffled among
rows. The first says what a net uses, the second what it needs.

The steps of the integral are increased until the columns' shares add up to the difference of
outputs, to 1e-3 of it in every row and run (completeness). Rows are added, unless --rows says how
many, until the 95% interval of every column's mean over rows is at most 5% of the largest mean to
either side; the shuffles take at least 2,000. How many were taken is printed.
"""

import dataclasses
import math
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
from research.flags import check_writable
from research.mlp.attribution import explain, in_top, permutation_importance, rank_correlation
from research.mlp.dataset import Split
from research.mlp.encoding import width
from research.mlp.task import key_metric_of
from research.mlp.tools.trained import (
    Trained,
    at_once,
    check_choice,
    first_rows,
    load_trained,
    only_data_set,
    table_path,
    write_table,
)
from research.mlp.views import plots
from research.parsing import Unbounded, WhichParams
from research.plain_text import count_of
from research.report.read import read_run_of
from research.task import make_key

COMPLETE = 1e-3
PRECISE = 0.05  # of the largest mean, what an interval may be wide to either side
ROWS_AT_ONCE, MOST_ROWS, LEAST_SHUFFLED_ROWS = 200, 10_000, 2_000
LOST = "lost when shuffled"
MOST_SHUFFLED = 300  # columns; of more, as of pixels, one tells little
MOST_DRAWN, MOST_PRINTED = 20, 10


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which trained MLPs to explain, and how exactly."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder of mlp")
    ]
    params: WhichParams = "last"
    top: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N",
            help="how many columns seeds should agree on; 5, or half of all, if not given",
        ),
    ] = None
    rows: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N",
            help="most rows of the part, from its first on; as many as intervals need if not given",
        ),
    ] = None
    part: Annotated[
        str, tyro.conf.arg(metavar="{train,validation,test}", help="part of the data")
    ] = "test"
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
    data = read_run_of(args.folder, "mlp")._replace(params=args.params)
    check_writable(table_path(data.path, "importance"), parents=True)
    trained = load_trained(data, only_data_set(data)[0])
    names, members_CxF = columns_of(trained)
    found, taken = integrate(trained, members_CxF, args)
    by_run, rows = {"integrated gradients": found}, {"integrated gradients": taken}
    if len(names) <= MOST_SHUFFLED:
        some = first_rows(trained, args.part, args.rows or max(taken, LEAST_SHUFFLED_ROWS))
        by_run[LOST] = shuffle(trained, some, members_CxF, args)
        rows[LOST] = len(some.y)
    top = args.top or min(5, -(-len(names) // 2))
    for measure, values in by_run.items():
        lost = f"{key_metric_of(trained.config)[0]} " * (measure == LOST)
        title = f"{lost}{measure}, {trained.setting.label}"
        print_measure(
            f"{title}: {len(found)} runs, {rows[measure]} {args.part} rows", names, values, top
        )
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
    widths = [width(column) for column in columns]
    owners = np.repeat(np.arange(len(columns)), widths)
    return [column["name"] for column in columns], owners == np.arange(len(columns))[:, None]


def integrate(trained: Trained, members_CxF: np.ndarray, args: Arguments) -> tuple[np.ndarray, int]:
    """Returns the mean size of each column's integrated gradients over rows, float32 [R, C], and
    the number of rows; without --rows, as many as intervals need."""

    @partial(jax.jit, static_argnames="steps")
    def all_runs(shared, all_params, rows, members_CxF, steps):
        def one_run(params):
            attributions_BxF, gap_B = explain(trained.config, shared, params, rows, steps)
            return abs(attributions_BxF @ members_CxF.T.astype(np.float32)), gap_B.max()

        sizes_RxBxC, gap_R = lax.map(one_run, all_params, batch_size=at_once(trained.config))
        return sizes_RxBxC.mean(axis=1), sizes_RxBxC.mean(axis=0), gap_R.max()

    every = first_rows(trained, args.part, args.rows or MOST_ROWS)
    steps, taken, largest_gap = min(256, args.steps), 0, 0.0
    sums_RxC, sizes_NxC, uncertain = 0.0, [], math.inf
    while taken < len(every.y):
        rows = Split(*(leaf[taken : taken + ROWS_AT_ONCE] for leaf in every))
        given = (trained.shared, trained.params, rows, members_CxF)
        found_RxC, sizes_BxC, gap = map(np.asarray, all_runs(*given, steps))
        while gap > COMPLETE and steps < args.steps:
            steps = min(4 * steps, args.steps)
            found_RxC, sizes_BxC, gap = map(np.asarray, all_runs(*given, steps))
        sums_RxC, taken = sums_RxC + len(rows.y) * found_RxC, taken + len(rows.y)
        sizes_NxC.append(sizes_BxC)
        largest_gap = max(largest_gap, float(gap))
        uncertain = uncertainty(np.concatenate(sizes_NxC))
        if args.rows is None and uncertain <= PRECISE:
            break
    whole = len(getattr(trained.shared, args.part).y)
    print_line(
        f"integrated gradients: {count_of(steps, 'step')}; completeness holds to "
        f"{largest_gap:.1e}; over {taken} of {whole} {args.part} rows, means are within "
        f"{uncertain:.1%} of the largest one (95%)"
    )
    return np.asarray(sums_RxC, np.float32) / taken, taken


def uncertainty(sizes_NxC: np.ndarray) -> float:
    """Returns half the widest 95% interval of the mean over rows of a column, as a share of the
    largest mean; 0 where all are 0, infinite for one row."""
    rows, largest = len(sizes_NxC), float(sizes_NxC.mean(axis=0).max())
    if rows < 2 or largest == 0:
        return math.inf if rows < 2 else 0.0
    return 1.96 * float(sizes_NxC.std(axis=0, ddof=1).max()) / math.sqrt(rows) / largest


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


def print_measure(title: str, names: list[str], values: np.ndarray, top: int) -> None:
    """Prints a table of the columns that matter most, and which of them all runs agree on."""
    runs, order = len(values), np.argsort(-np.median(values, axis=0), kind="stable")
    counts, rows = in_top(values, top), []
    for column in order[:MOST_PRINTED]:
        some = values[:, column]
        cell = f"{np.median(some):.3g} [{some.min():.3g}, {some.max():.3g}]"
        rows.append((names[column], cell, count_of(int(counts[column]), "run")))
    headings = ("column", "median [least, most]", f"in the top {top} of")
    print_table(Console(), headings, rows, title=title)
    agreed = [names[column] for column in order if counts[column] == runs]
    print_line(
        f"in the top {top} of {'all ' * (runs > 1)}{count_of(runs, 'run')}: "
        f"{shortlist(agreed, 20) or 'none'}; mean rank correlation of two runs: "
        f"{rank_correlation(values):.2f}"
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
