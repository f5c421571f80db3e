"""Checks of a data set before training: constant columns, leaks, duplicates, class imbalance.

Shape letters: N rows, F features.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from research.errors import shortlist
from research.mlp.cells import column_title
from research.mlp.column_problems import drop_flag
from research.mlp.config import Config

LOOKED_AT = 2_000  # training rows that are searched for leaks
MOST_COLUMNS = 300  # beyond, leaks are not searched for
FOLDS = 3  # of the cross-validation
LEAK = 0.99  # score from which on a single column counts as a leak of the target
UNEVEN = 3.0  # ratio of class sizes that is worth a note

Report = dict[str, Any]  # JSON types


def inspect(
    x: np.ndarray,
    y: np.ndarray,
    rows: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    columns: Mapping[str, np.ndarray] | None = None,
) -> Report:
    """A report on what makes results misleading.

    Args:
      x: [N, F], the features as the net reads them.
      y: classes 0 to K - 1, or a regression target.
      rows: part -> row indices.
      class_names: empty for regression.
      columns: column -> its features; None if single features have no meaning, as pixels.

    Returns:
      `columns`: the number of columns. `constant`: columns with one value in all training rows.
      `leaks`: column -> the score of predicting the target from it alone. `duplicates`: part -> how
      many of its rows are also training rows. `contradictions`: how many training rows have the
      features of another, but another target. `class_rows`: class -> number of training rows.
    """
    train = rows["train"]
    known = columns or {}
    return {
        "columns": len(known),
        "constant": [name for name, at in known.items() if _is_constant(x[np.ix_(train, at)])],
        "leaks": _find_leaks(x[train], y[train], bool(class_names), known),
        **_find_copies(x, y, rows),
        "class_rows": {name: int(np.sum(y[train] == k)) for k, name in enumerate(class_names)},
    }


def describe(report: Report, table: str, left_out: Sequence[str] | None = None) -> list[str]:
    """The notes of a report, one line each.

    Args:
      report: as `inspect` returns it.
      table: the name of the data, which begins each line.
      left_out: the columns that --drop names already; None if --drop does not apply.
    """
    lines = []
    if constant := report["constant"]:
        lines.append(f"constant in the training rows: {shortlist(constant)}")
    if leaks := report["leaks"]:
        lines.append(_describe_leaks(leaks, left_out, report["columns"]))
    for part, count in report["duplicates"].items():
        if count:
            rows, also = ("row", "is") if count == 1 else ("rows", "are")
            lines.append(f"{count} {rows} of the {part} part {also} also in the training part")
    if count := report["contradictions"]:
        lines.append(f"{count} training rows have the features of another one, but another target")
    counts = report["class_rows"]
    if is_imbalanced(report):
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        share = counts[few] / sum(counts.values())
        lines.append(
            f"imbalanced classes: {counts[many]} training rows of {many}, {counts[few]} of {few} "
            f"({100 * share:.2g}%)"
        )
    return [f"{table}: {line}" for line in lines]


def is_imbalanced(report: Report) -> bool:
    """Whether the largest class has at least `UNEVEN` times the rows of the smallest."""
    counts = report["class_rows"].values()
    return bool(counts) and max(counts) >= UNEVEN * min(counts)


def advice(report: Report, config: Config) -> list[str]:
    """A note on what to try where classes are imbalanced and settings are ordered by accuracy."""
    if not is_imbalanced(report) or config.key_metric not in ("auto", "accuracy"):
        return []
    counts = report["class_rows"].values()
    says = f"accuracy says little, {max(counts) / sum(counts):.2g} without looking at any column"
    tried = "--key-metric roc_auc orders settings by the ROC AUC"
    if config.class_weights == "none":
        tried += "; --class-weights balanced gives rare classes more weight"
    return [f"{config.data}: {says}; {tried}"]


def _describe_leaks(
    leaks: Mapping[str, float], left_out: Sequence[str] | None, columns: int
) -> str:
    scores = [f"{column_title(name)} (score {score:.3f} of 1)" for name, score in leaks.items()]
    line = f"alone, each of these predicts the target: {shortlist(scores)}. Do they leak it?"
    if len(leaks) == 1:
        line = f"alone, {scores[0]} predicts the target. Does it leak it?"
    if left_out is None or len(leaks) == columns:
        return line
    them = "it" if len(leaks) == 1 else "them"
    return f"{line} {drop_flag([*left_out, *leaks])} leaves {them} out"


def _is_constant(x_NxF: np.ndarray) -> bool:
    return bool(np.all(x_NxF == x_NxF[:1]))


def _find_leaks(
    x: np.ndarray, y: np.ndarray, classifies: bool, columns: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """The columns that predict the target alone, by a small tree or a line: column -> score."""
    if len(columns) < 2 or len(columns) > MOST_COLUMNS:
        return {}
    some = np.random.default_rng(0).permutation(len(y))[:LOOKED_AT]
    x, y = x[some], y[some]
    counts = np.unique(y, return_counts=True)[1]
    if len(counts) < 2 or (classifies and counts.max() < FOLDS):
        return {}
    if classifies:
        tree: Any = DecisionTreeClassifier(max_leaf_nodes=64, random_state=0)
    else:
        tree = DecisionTreeRegressor(min_samples_leaf=2, random_state=0)
    scoring = "balanced_accuracy" if classifies else "r2"
    leaks = {}
    for name, at in columns.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than folds
            score = float(np.mean(cross_val_score(tree, x[:, at], y, cv=FOLDS, scoring=scoring)))
        if not classifies:
            score = max(score, _squared_correlation(x[:, at[0]], y))
        if score >= LEAK:
            leaks[name] = score
    return leaks


def _squared_correlation(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def _find_copies(x: np.ndarray, y: np.ndarray, rows: Mapping[str, np.ndarray]) -> Report:
    """Counts of rows that are also training rows, and of contradicting training rows."""
    targets: dict[bytes, set[Any]] = {}
    for row in rows["train"]:
        targets.setdefault(x[row].tobytes(), set()).add(y[row].item())
    duplicates = {
        part: sum(x[row].tobytes() in targets for row in rows[part])
        for part in ("validation", "test")
    }
    contradictions = sum(len(targets[x[row].tobytes()]) > 1 for row in rows["train"])
    return {"duplicates": duplicates, "contradictions": contradictions}
