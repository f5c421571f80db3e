"""Compares our MLPs with scikit-learn's MLPs and gradient boosting on the same splits.

Each method's setting is chosen by its loss on the validation part; scores are of the test part.

    scripts/run scripts/compare/mlp_against_sklearn.py
    scripts/run scripts/compare/mlp_against_sklearn.py --data wine --seeds 8 --splits 1

Ours: a grid of learning rates x dropout x weight decay with all seeds in one program, and when to
stop; then the seeds of the best setting, alone and as an ensemble. scikit-learn's: a grid of
learning rates x alpha x epochs, or of learning rates x iterations x leaves, each setting with a few
seeds; then the best one with all seeds, one after the other.
"""

import dataclasses
import itertools
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import tyro
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from research.cli.machine import configure_jax
from research.engine import Cadence, sweep
from research.errors import UserError, plain_exit
from research.mlp import Config, HParams, make_problem
from research.mlp.data import load
from research.mlp.ensembles import average, gains
from research.mlp.scores import losses_by_row, score
from research.mlp.task import fit_to, predictions
from research.report.statistics import interquartile_mean, mean_interval
from research.runs.session import device_facts, versions

HIDDEN = {"digits": (128,), "breast_cancer": (64,), "wine": (64,), "diabetes": (64,)}
STEPS, EVERY = 2_000, 50
GRID: dict[str, Any] = {
    "learning_rate": [1e-3, 3e-3, 1e-2],
    "dropout": [0.0, 0.25, 0.5],
    "weight_decay": [0.0, 1e-1],
}
MLP_GRID = {
    "learning_rate_init": [1e-3, 3e-3, 1e-2],
    "alpha": [1e-4, 1e-1, 1.0],
    "max_iter": [25, 100],
}
BOOSTING_GRID = {
    "learning_rate": [0.03, 0.1, 0.3],
    "max_iter": [50, 200],
    "max_leaf_nodes": [7, 31],
}
TRIED = 3  # seeds with which scikit-learn's settings are compared


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which data sets, seeds and splits to compare on."""

    data: Annotated[tuple[str, ...], tyro.conf.arg(help="bundled data sets")] = tuple(HIDDEN)
    seeds: Annotated[int, tyro.conf.arg(help="of every best setting")] = 64
    splits: Annotated[int, tyro.conf.arg(help="into training, validation and test")] = 3


class Row(NamedTuple):
    """What one method predicts: a row of the table."""

    method: str
    setting: str
    predicted: np.ndarray  # [R, N, K] of the test part
    seconds: float  # for all seeds of the setting


class Rows(NamedTuple):
    """The data in the form that scikit-learn takes."""

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    classes: list[str]
    dataset: Any


def load_rows(name: str, split_seed: int) -> Rows:
    """Standardized features, and classes or regression targets in their own unit."""
    dataset, facts = load(Config(data=name, split_seed=split_seed).choice)
    parts = {part: getattr(dataset, part) for part in ("train", "validation", "test")}
    unit = (1, 0) if dataset.classes else (float(dataset.target_scale), float(dataset.target_mean))
    y = {part: np.asarray(split.y) for part, split in parts.items()}
    if not dataset.classes:
        y = {part: one.astype(np.float64) * unit[0] + unit[1] for part, one in y.items()}
    x = {part: np.asarray(split.x) for part, split in parts.items()}
    return Rows(x, y, facts["classes"], dataset)


def ours(config: Config, rows: Rows, seeds: int) -> Row:
    """The best setting and step by the validation loss, trained again to that step."""
    problem = make_problem(config)
    cadence = Cadence(EVERY, EVERY, 5 * EVERY)
    found = sweep(problem.task, problem.shared, HParams(), seeds, STEPS, axes=GRID, cadence=cadence)
    columns = [*GRID, "step"]
    losses: Any = found.metrics.groupby(columns)["validation_loss"].apply(
        lambda some: float(interquartile_mean(some.to_numpy(np.float64)))
    )
    best: Any = dict(zip(columns, losses.idxmin(), strict=True))
    steps = int(best.pop("step"))
    began = time.perf_counter()
    hparams = HParams(**best)
    states = sweep(problem.task, problem.shared, hparams, seeds, steps).states
    seconds = time.perf_counter() - began
    fitted = fit_to(config, rows.dataset)

    @jax.jit
    def predict(params):
        one = lambda params: predictions(fitted, rows.dataset, params, rows.x["test"])
        return jax.lax.map(one, params)

    return Row(
        "Seedbed MLP", _words(best | {"steps": steps}), np.asarray(predict(states.params)), seconds
    )


def theirs(
    method: str, make: Callable[..., Any], grid: Mapping[str, list[Any]], rows: Rows, seeds: int
) -> Row:
    """The best setting of a scikit-learn model by the validation loss, then all seeds of it."""

    def predicted(setting, seed, part):
        model = make(**setting, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is part of the setting
            model.fit(rows.x["train"], rows.y["train"])
        return model.predict_proba(rows.x[part]) if rows.classes else model.predict(rows.x[part])

    def loss(setting):
        tried = [predicted(setting, seed, "validation") for seed in range(TRIED)]
        return np.mean([_loss(rows.y["validation"], one) for one in tried])

    settings = [
        dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*grid.values())
    ]
    best = min(settings, key=loss)
    began = time.perf_counter()
    all_seeds = np.stack([predicted(best, seed, "test") for seed in range(seeds)])
    seconds = time.perf_counter() - began
    return Row(method, _words(best), all_seeds.reshape(seeds, len(rows.y["test"]), -1), seconds)


def run_split(name: str, split_seed: int, seeds: int) -> tuple[Rows, list[Row]]:
    """Trains all methods on one split."""
    rows = load_rows(name, split_seed)
    batch = min(64, len(rows.x["train"]))
    config = Config(data=name, hidden=HIDDEN[name], batch_size=batch, split_seed=split_seed)
    boosting: Any = HistGradientBoostingClassifier
    mlp: Any = MLPClassifier
    if not rows.classes:
        boosting, mlp = HistGradientBoostingRegressor, MLPRegressor
    fixed = {"hidden_layer_sizes": config.hidden, "batch_size": batch, "n_iter_no_change": 10**6}
    with threadpool_limits(1):  # small tables: more threads would wait for each other
        boosted = theirs("gradient boosting", boosting, BOOSTING_GRID, rows, 1)
    found = [
        ours(config, rows, seeds),
        theirs("scikit-learn MLP", partial(mlp, **fixed), MLP_GRID, rows, seeds),
        boosted,
    ]
    for row in found:
        print(f"{name}, split {split_seed}: {row.method}: {row.setting}; {row.seconds:.1f} s")
    return rows, found


def print_table(name: str, splits: list[tuple[Rows, list[Row]]]) -> None:
    """Prints a Markdown table of one data set: mean, smallest and largest over the splits."""
    rows, _ = splits[0]
    shown = ("accuracy", "log_loss", "roc_auc") if rows.classes else ("rmse", "mae", "r2")
    print(f"\n{name}: {len(rows.y['train'])} rows to train on, {len(rows.y['test'])} to test\n")
    print(f"| method | {' | '.join(shown)} |\n|---|{'---|' * len(shown)}")
    for place, row in enumerate(splits[0][1]):
        alone, together = [], []
        for rows, found in splits:
            y, predicted = rows.y["test"], found[place].predicted
            scores = [score(y, one, rows.classes) for one in predicted]
            alone.append({m: interquartile_mean(np.array([s[m] for s in scores])) for m in shown})
            together.append(score(y, average(predicted), rows.classes))
        print(f"| {row.method} | {_cells(alone, shown)} |")
        if len(row.predicted) > 1:
            print(f"| ensemble of its {len(row.predicted)} seeds | {_cells(together, shown)} |")
    gained = [gains(rows.y["test"], found[0].predicted) for rows, found in splits]
    for metric in gained[0]:
        rows_of_all = np.concatenate([one[metric] for one in gained])
        mean, low, high = map(float, mean_interval(rows_of_all))
        print(f"\nOur ensemble lowers {metric} by {mean:.3g} [{low:.3g}, {high:.3g}].", flush=True)


def main(args: Arguments) -> None:
    """Prints a table for each data set."""
    if unknown := set(args.data) - set(HIDDEN):
        raise UserError(f"--data {' '.join(sorted(unknown))}: there are {', '.join(HIDDEN)}")
    for flag in ("seeds", "splits"):
        if getattr(args, flag) < 1:
            raise UserError(f"--{flag} {getattr(args, flag)}: must be at least 1")
    print(device_facts(), versions())
    for name in args.data:
        print_table(name, [run_split(name, seed, args.seeds) for seed in range(args.splits)])


def _cells(scores: list[dict[str, Any]], shown: tuple[str, ...]) -> str:
    cells = []
    for metric in shown:
        values = [float(one[metric]) for one in scores]
        cells.append(f"{np.mean(values):.4g} [{min(values):.4g}, {max(values):.4g}]")
    return " | ".join(cells)


def _loss(y_N: np.ndarray, predicted: np.ndarray) -> float:
    by_row = losses_by_row(y_N, predicted.reshape(len(y_N), -1))
    return float(np.mean(by_row["log_loss" if "log_loss" in by_row else "squared_error"]))


def _words(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in setting.items())


if __name__ == "__main__":
    with plain_exit():
        given = tyro.cli(Arguments, prog="scripts/compare/mlp_against_sklearn", description=__doc__)
        configure_jax()
        main(given)
