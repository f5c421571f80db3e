"""Computes every metric of trained MLPs: of each run alone, and of all runs of a setting together.

    scripts/evaluate RUN
    scripts/evaluate RUN --settings best --part validation

Metrics are scikit-learn's, from the predictions of the final params. They are printed for each
setting, the best by the sweep's key metric first. All numbers and predictions are written to
RUN/evaluation as plain files; for the best setting there are figures: ROC and precision-recall
curves, the confusion matrix, ensembles by their size.
"""

import dataclasses
import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import tyro
from jax import lax
from rich.console import Console

from research.cli.tool import run_tool
from research.console import print_line, print_paragraph, print_table
from research.errors import UserError
from research.flags import check_writable
from research.mlp.ensembles import average, by_size, gains
from research.mlp.scores import score
from research.mlp.task import key_metric_of, predictions
from research.mlp.tools.trained import (
    Trained,
    at_once,
    finished_settings,
    load_trained,
    named_after,
    summary,
    table_path,
    write_table,
)
from research.mlp.views import plots
from research.parsing import WhichParams
from research.plain_text import count_of
from research.report.problems import problem_titles
from research.report.read import read_run_of
from research.report.statistics import mean_interval
from research.runs.ranking import problem_name
from research.runs.tensors import save_tree

PARTS = ("validation", "test")
SHOWN = (
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "precision_macro",
    "recall_macro", "f1_macro", "f1_micro", "roc_auc", "average_precision",
    "log_loss", "brier", "calibration_error", "rmse", "mae", "r2",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which trained MLPs to evaluate, and what to print."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder of mlp")
    ]
    params: WhichParams = "last"
    settings: Annotated[str, tyro.conf.arg(metavar="{all,best}", help="settings to evaluate")] = (
        "all"
    )
    part: Annotated[
        str, tyro.conf.arg(metavar="{validation,test}", help="part to print and draw")
    ] = "test"
    by_class: Annotated[bool, tyro.conf.arg(help="print the metrics of each class as well")] = False


class Evaluated(NamedTuple):
    """The predictions and scores of one setting.

    Attributes:
      trained: the runs of the setting.
      predicted: part -> what each run predicts, float32 [R, N, K]; see `predictions`.
      targets: part -> the true classes or values, [N].
      alone: part -> the scores of each run.
      together: part -> the scores of all runs as an ensemble.
    """

    trained: Trained
    predicted: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    alone: dict[str, list[dict[str, float]]]
    together: dict[str, dict[str, float]]


def main(args: Arguments) -> Path:
    """Prints a table for each setting, draws figures, and returns the folder with the numbers."""
    if args.settings not in ("all", "best"):
        raise UserError(f"--settings {args.settings}: give all or best")
    if args.part not in PARTS:
        raise UserError(f"--part {args.part}: there are {', '.join(PARTS)}")
    data = read_run_of(args.folder, "mlp")._replace(params=args.params)
    check_writable(table_path(data.path, "scores"), parents=True)
    parts = {
        title: [
            evaluate(load_trained(data, setting))
            for setting in (some[:1] if args.settings == "best" else some)
        ]
        for title, some in finished_settings(data).items()
    }
    found = [one for part in parts.values() for one in part]
    folder = write_table(data.path, "scores", pd.concat(map(scores_table, found))).parent
    for one in found:
        print_setting(one, args.part, args.by_class)
        save_predictions(one, folder)
    best = {title: part[0] for title, part in parts.items()}
    sizes = {title: ensembles_table(one, args.part) for title, one in best.items()}
    write_table(data.path, "ensembles", pd.concat(sizes.values()))
    for title, one in best.items():
        figures = draw(one, sizes[title], data.path, args.part, title)
        print_line(f"figures of {one.trained.setting.label}: {', '.join(map(str, figures))}")
    print_line(f"numbers: {folder}")
    return folder


def files_of(manifest: Mapping[str, Any]) -> list[str]:
    """Returns the files that `main` writes into a run folder, as patterns."""
    of_classes = manifest["data"][0]["classes"]
    figures = ("roc", "precision_recall", "confusion") if of_classes else ("predicted",)
    numbers = ("scores.parquet", "ensembles.parquet", "predictions-*.safetensors")
    names = dict.fromkeys(problem_name(facts) for facts in manifest["data"])
    titles = problem_titles(list(names))
    return [
        *(
            glob.escape(named_after(name, title))
            for name in (*figures, "ensembles")
            for title in titles
        ),
        *(f"evaluation/{name}" for name in numbers),
    ]


def evaluate(trained: Trained) -> Evaluated:
    """Returns the predictions and scores of the runs of a setting."""
    predicted = {part: predict(trained, getattr(trained.shared, part).x) for part in PARTS}
    targets = {part: true_targets(trained, part) for part in PARTS}
    names = trained.class_names
    alone = {part: [score(targets[part], one, names) for one in predicted[part]] for part in PARTS}
    together = {part: score(targets[part], average(predicted[part]), names) for part in PARTS}
    return Evaluated(trained, predicted, targets, alone, together)


def predict(trained: Trained, x: Any) -> np.ndarray:
    """Returns what each run predicts for rows, float32 [R, N, K]; see `predictions`."""

    @jax.jit
    def all_runs(shared, params, x):
        one_run = lambda params: predictions(trained.config, shared, params, x)
        return lax.map(one_run, params, batch_size=at_once(trained.config))

    return np.asarray(all_runs(trained.shared, trained.params, x))


def true_targets(trained: Trained, part: str) -> np.ndarray:
    """Returns the true classes, or of a regression the true values in their own unit: [N]."""
    y, shared = np.asarray(getattr(trained.shared, part).y), trained.shared
    if shared.classes:
        return y
    return y.astype(np.float64) * float(shared.target_scale) + float(shared.target_mean)


def print_setting(found: Evaluated, part: str, by_class: bool) -> None:
    """Prints a table with a row for each metric."""
    runs, label = len(found.trained.runs), found.trained.setting.label
    rows = len(found.targets[part])
    lines = []
    for name in found.together[part]:
        if name in SHOWN or by_class:
            values = np.array([scores[name] for scores in found.alone[part]])
            lines.append((name, summary(values), f"{found.together[part][name]:.4g}"))
    headings = ("metric", "each alone\nmedian IQM [95%]", f"ensemble\nof {runs}")
    console = Console()
    print_table(
        console,
        headings,
        lines,
        title=f"{label}: {count_of(runs, 'run')}, {count_of(rows, f'{part} row')}",
    )
    if runs > 1:
        print_paragraph(console, gain_line(found, part))
    print_paragraph(console, "IQM: interquartile mean over seeds, its 95% bootstrap interval.\n")


def gain_line(found: Evaluated, part: str) -> str:
    """Returns how much better the ensemble is than its members, in words."""
    words = []
    for name, gain_N in gains(found.targets[part], found.predicted[part]).items():
        mean, low, high = map(float, mean_interval(gain_N))
        words.append(f"{name.replace('_', ' ')} {mean:.3g} [{low:.3g}, {high:.3g}]")
    return (
        f"What the ensemble saves, on average over its members and {part} rows: {'; '.join(words)}."
    )


def scores_table(found: Evaluated) -> pd.DataFrame:
    """Returns a row for each run and part, and one for the ensemble of all runs, which has neither
    run nor seed."""
    rows, values = [], found.trained.setting.values
    for part in PARTS:
        numbers = zip(found.trained.runs, found.trained.seeds, found.alone[part], strict=True)
        for run, seed, scores in numbers:
            rows.append({"run": run, "seed": seed, "members": 1, "part": part, **values, **scores})
        everyone = {"members": len(found.trained.runs), "part": part, **values}
        rows.append({"run": None, "seed": None, **everyone, **found.together[part]})
    return pd.DataFrame(rows).astype({"run": "Int64", "seed": "Int64"})


def ensembles_table(found: Evaluated, part: str) -> pd.DataFrame:
    """Returns a row for each ensemble, of every size."""
    names, values = found.trained.class_names, found.trained.setting.values
    made = by_size(found.targets[part], found.predicted[part], names)
    return pd.DataFrame(
        {"members": one.members, "number": one.number, "part": part, **values, **one.scores}
        for one in made
    )


def save_predictions(found: Evaluated, folder: Path) -> None:
    """Writes the predictions to `predictions-RUN.safetensors`, with the setting's first run."""
    trained = found.trained
    tensors = {"runs": trained.runs, "seeds": trained.seeds, **found.predicted}
    tensors |= {f"{part}_target": target for part, target in found.targets.items()}
    facts = {"setting": trained.setting.label, "classes": trained.class_names}
    save_tree(folder / f"predictions-{trained.runs[0]:06}.safetensors", tensors, facts)


def key_score(found: Evaluated) -> str:
    """Returns the name among the scores of the metric that settings are ordered by; accuracy where
    that is the loss."""
    name = key_metric_of(found.trained.config)[0]
    scores = found.together["validation"]
    return next((one for one in (name, f"{name}_macro") if one in scores), "accuracy")


def draw(
    found: Evaluated, sizes: pd.DataFrame, folder: Path, part: str, title: str = ""
) -> list[Path]:
    """Draws the figures of one setting and returns their paths.

    Args:
      found: of the setting.
      sizes: of its ensembles.
      folder: to put them in.
      part: validation or test.
      title: of its data set, if there are several.
    """
    y_N, predicted, names = found.targets[part], found.predicted[part], found.trained.class_names
    path = lambda name: folder / named_after(name, title)
    if names:
        given, measures = (y_N, predicted, names), (key_score(found), "log_loss")
        figures = [
            plots.draw_roc(path("roc"), *given),
            plots.draw_precision_recall(path("precision_recall"), *given),
            plots.draw_confusion(path("confusion"), *given),
        ]
    else:
        unit, measures = found.trained.config.target or "target", ("rmse", "r2")
        figures = [plots.draw_predicted(path("predicted"), y_N, predicted[:, :, 0], unit)]
    scores = {name: sizes[name].to_numpy() for name in measures if name in sizes}
    members = sizes["members"].tolist()
    return [*figures, plots.draw_by_size(path("ensembles"), members, scores, part)]


def run(argv: list[str] | None = None, prog: str = "scripts/evaluate") -> None:
    """Parses the command line and evaluates the nets that it names."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
