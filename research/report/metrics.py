"""What the name of a metric implies: range, whether higher is better, name on the test part."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from research.errors import UserError, shortlist
from research.report.read import RunFolderData, metric_names
from research.report.statistics import Interval

ANY = (-math.inf, math.inf)
RANGES = {
    "accuracy": (0.0, 1.0),
    "precision": (0.0, 1.0),
    "recall": (0.0, 1.0),
    "f1": (0.0, 1.0),
    "auc": (0.0, 1.0),
    "share": (0.0, 1.0),
    "r2": (-math.inf, 1.0),
    "perplexity": (1.0, math.inf),
    **dict.fromkeys(("bits", "nats", "rmse", "mae", "mse", "brier", "regret"), (0.0, math.inf)),
    **dict.fromkeys(("loss", "error"), (0.0, math.inf)),
}  # by a word of the name
LOWER_IS_BETTER = (
    "loss", "error", "perplexity", "bits", "nats", "rmse", "mae", "mse", "brier", "regret",
)  # fmt: skip


def possible_range(metric: str, scores: Any) -> tuple[float, float]:
    """The smallest and the largest value that a metric can have, infinite where that is not known.

    A name is a hint only: where a score is outside, as of a loss that may be negative, nothing is
    known.

    Args:
      metric: its name.
      scores: of finite runs.
    """
    known = [RANGES[word] for word in metric.lower().split("_") if word in RANGES]
    low, high = known[-1] if known else ANY
    values = np.asarray(scores, np.float64)
    return (low, high) if np.all((low <= values) & (values <= high)) else ANY


def within(interval: Interval, low: float, high: float) -> Interval:
    """The part of an interval that is possible; its coverage is the same."""
    return Interval(
        interval.estimate, np.clip(interval.low, low, high), np.clip(interval.high, low, high)
    )


def on_test_part(runs: Sequence[RunFolderData], metric: str) -> str:
    """The name of a validation metric on the test part; its own name where a folder has none."""
    name = metric.replace("validation_", "test_")
    return name if all(name in run.metrics for run in runs) else metric


def higher_is_better(run: RunFolderData, metric: str) -> bool:
    """Whether higher is better: of the key metric, on the test part too, as the manifest says; of
    another metric, by its name."""
    key = run.manifest["key_metric"]
    if metric in (key, on_test_part([run], key)):
        return run.manifest["higher_is_better"]
    return not any(word in metric for word in LOWER_IS_BETTER)


def common_metric(runs: Sequence[RunFolderData], metric: str | None) -> tuple[str, bool]:
    """The metric by which folders are compared, and whether higher is better.

    Args:
      runs: the folders.
      metric: a column of their metrics; the key metric if not given.

    Raises:
      UserError: if they are judged by different metrics, or one has no such metric.
    """
    keys = {run.manifest["key_metric"]: run.path for run in runs}
    if metric is None and len(keys) > 1:
        (one, first), (other, second), *_ = keys.items()
        raise UserError(
            f"{first} is judged by {one} and {second} by {other}: name one of both with --metric"
        )
    metric = str(metric or next(iter(keys)))
    for run in runs:
        if metric not in metric_names(run):
            raise UserError(f"--metric {metric}: {run.path} has {shortlist(metric_names(run), 20)}")
    senses = {higher_is_better(run, metric) for run in runs}
    if len(senses) > 1:
        raise UserError(f"--metric {metric}: higher is better in one of the folders only")
    return metric, senses.pop()
