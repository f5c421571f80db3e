"""What the user should know of a table before a net is trained on it.

Shape letters: N rows, F features.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from research.errors import shortlist
from research.mlp.columns import title
from research.mlp.unusable import drop_flag

LOOKED_AT = 2_000  # training rows, to find leaks in
MOST_COLUMNS = 300  # to look for leaks in
FOLDS = 3  # predicted from the others
LEAK = 0.99  # how well a column that leaks the target predicts it alone
UNEVEN = 3.0  # so many times as many rows of one class as of another are worth a line

Report = dict[str, Any]  # JSON types


def inspect(
    x: np.ndarray,
    y: np.ndarray,
    rows: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    columns: Mapping[str, np.ndarray] | None = None,
) -> Report:
    """Looks for what makes results worse than they seem, or better.

    Args:
      x: [N, F], the features as the net reads them.
      y: classes 0 to K - 1, or numbers.
      rows: part -> its rows.
      class_names: empty for numbers.
      columns: name -> its features; None: features have no meaning by themselves, as pixels.

    Returns:
      `columns`: how many there are. `constant`: columns that are the same in all training rows.
      `leaks`: column -> how well it predicts the target alone. `duplicates`: part -> how many of
      its rows stand among the training rows. `contradictions`: training rows whose like has another
      target. `class_rows`: class -> training rows.
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
    """A line for each thing that was found.

    Args:
      report: of `inspect`.
      table: what the lines call it.
      left_out: the columns that are left out already; None: none can be.
    """
    lines = []
    if constant := report["constant"]:
        lines.append(f"the same in all training rows, and so of no use: {shortlist(constant)}")
    if leaks := report["leaks"]:
        lines.append(_describe_leaks(leaks, left_out, report["columns"]))
    for part, count in report["duplicates"].items():
        if count:
            rows = "row" if count == 1 else "rows"
            lines.append(f"{count} {rows} of the {part} part also among the training rows")
    if count := report["contradictions"]:
        lines.append(f"{count} training rows have the features of another with another target")
    counts = report["class_rows"]
    if counts and max(counts.values()) >= UNEVEN * min(counts.values()):
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        lines.append(
            f"uneven classes: {counts[many]} training rows of {many}, {counts[few]} of {few}; look "
            "at balanced accuracy, and try --class-weights balanced"
        )
    return [f"{table}: {line}" for line in lines]


def _describe_leaks(
    leaks: Mapping[str, float], left_out: Sequence[str] | None, columns: int
) -> str:
    scores = [f"{title(name)} (score {score:.3f} of 1)" for name, score in leaks.items()]
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
    """Columns from which a small tree alone, or a line, predicts the target of other rows."""
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
    """Rows that the training part has as well, and training rows that contradict each other."""
    targets: dict[bytes, set[Any]] = {}
    for row in rows["train"]:
        targets.setdefault(x[row].tobytes(), set()).add(y[row].item())
    duplicates = {
        part: sum(x[row].tobytes() in targets for row in rows[part])
        for part in ("validation", "test")
    }
    contradictions = sum(len(targets[x[row].tobytes()]) > 1 for row in rows["train"])
    return {"duplicates": duplicates, "contradictions": contradictions}
