"""Tables to learn from: scikit-learn's bundled sets and CSV files, split, standardized, recorded.

Shape letters: N rows, F features.
"""

import csv
import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import struct
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from research.errors import UserError, shortlist

BUNDLED = {
    "digits": datasets.load_digits,
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
    "diabetes": datasets.load_diabetes,
}
DATA_HELP = f"{', '.join(BUNDLED)}, or a CSV file of numbers"
MIN_ROWS = 10  # below that, no split into three parts makes sense


class Split(NamedTuple):
    """Rows of one part: x float32 [N, F]; y int32 [N] (classes) or float32 [N] (numbers)."""

    x: Any
    y: Any


@struct.dataclass
class Dataset:
    """A table in three parts.

    Attributes:
      train, validation, test: `Split`s, standardized by the training part.
      target_scale: float32 scalar, the unit of a regression target; 1 for classes.
      classes: how many there are; 0 for regression. Static.
    """

    train: Split
    validation: Split
    test: Split
    target_scale: Any
    classes: int = struct.field(pytree_node=False)


class Table(NamedTuple):
    """A table as read: x float64 [N, F]; y int or float [N]; names of columns and classes."""

    x: np.ndarray
    y: np.ndarray
    features: list[str]
    class_names: list[str]  # empty for regression


@cache
def load_dataset(
    name: str, target: str = "", split_seed: int = 0
) -> tuple[Dataset, dict[str, Any]]:
    """The data set `name` in three parts of 60, 20 and 20%, stratified by class.

    Args:
      name: a bundled set, or the path of a CSV file with a header line.
      target: the column of the CSV file to predict. Whole numbers, at most 20 of them, are
        classes; anything else is a regression target.
      split_seed: draws the split.

    Returns:
      The data set, and what the run folder records of it: the rows of each part (numbers in the
      order of the table), the mean and scale of each feature, a checksum.

    Raises:
      UserError: if there is no such data, or a cell of it is no number.
    """
    table = read_bundled(name, target) if name in BUNDLED else read_csv(name, target)
    rows = _split_rows(table, split_seed)
    x_scaler: Any = StandardScaler().fit(table.x[rows["train"]])
    x = x_scaler.transform(table.x).astype(np.float32)
    y, y_mean, y_scale = table.y.astype(np.int32), 0.0, 1.0
    if not table.class_names:
        y_scaler: Any = StandardScaler().fit(table.y[rows["train"], None])
        y = y_scaler.transform(table.y[:, None])[:, 0].astype(np.float32)
        y_mean, y_scale = float(y_scaler.mean_[0]), float(y_scaler.scale_[0])
    splits = {part: Split(x[which], y[which]) for part, which in rows.items()}
    dataset = Dataset(**splits, target_scale=jnp.float32(y_scale), classes=len(table.class_names))
    facts = {
        "name": name,
        "sha256": hashlib.sha256(table.x.tobytes() + table.y.tobytes()).hexdigest(),
        "features": table.features,
        "classes": table.class_names,
        "split_seed": split_seed,
        "rows": {part: which.tolist() for part, which in rows.items()},
        "feature_mean": x_scaler.mean_.tolist(),
        "feature_scale": x_scaler.scale_.tolist(),
        "target_mean": y_mean,
        "target_scale": y_scale,
    }
    return dataset, facts


def read_bundled(name: str, target: str = "") -> Table:
    """One of scikit-learn's bundled sets.

    Raises:
      UserError: if a target is named; theirs are fixed.
    """
    if target:
        raise UserError(f"--target {target}: only a CSV file has a target to choose, not {name}")
    bunch: Any = BUNDLED[name]()
    class_names = [str(label) for label in getattr(bunch, "target_names", [])]
    features = [str(feature) for feature in bunch.feature_names]
    return Table(np.asarray(bunch.data, float), np.asarray(bunch.target), features, class_names)


def read_csv(path: str, target: str) -> Table:
    """A CSV file of numbers with a header line.

    Raises:
      UserError: if the file is missing, empty or ragged, has no such column, or a cell of it is
        no finite number; the line and the column are named.
    """
    header, lines = _read_lines(path)
    if target not in header:
        have = shortlist(header)
        flag = f"--target {target}: no such column in" if target else "--target is missing for"
        raise UserError(f"{flag} {path}; the columns are {have}")
    if len(header) < 2:
        raise UserError(f"{path} has no column beside the target {target}")
    if len(lines) < MIN_ROWS:
        raise UserError(f"{path} has {len(lines)} rows of data; at least {MIN_ROWS} are needed")
    cells = np.array([_numbers(path, header, number, line) for number, line in lines])
    column = header.index(target)
    y, x = cells[:, column], np.delete(cells, column, axis=1)
    features = [name for name in header if name != target]
    labels = np.unique(y)
    if len(labels) < 2:
        raise UserError(f"{path}: the target {target} is {labels[0]:g} in every row")
    if len(labels) <= 20 and np.all(labels == np.round(labels)):
        return Table(x, np.searchsorted(labels, y), features, [f"{label:g}" for label in labels])
    return Table(x, y, features, [])


def _read_lines(path: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the other lines with their numbers; blank lines are skipped."""
    if not Path(path).is_file():
        known = ", ".join(BUNDLED)
        raise UserError(f"--data {path}: neither a CSV file nor one of {known}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, line) for line in reader if any(map(str.strip, line))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--data {path} cannot be read as CSV: {error}") from error
    if len(lines) < 2:
        raise UserError(f"--data {path} is empty: a header line and rows of numbers are needed")
    return [name.strip() for name in lines[0][1]], lines[1:]


def _numbers(path: str, header: list[str], number: int, line: list[str]) -> list[float]:
    if len(line) != len(header):
        raise UserError(f"{path}, line {number}: {len(line)} cells under {len(header)} columns")
    values = []
    for name, cell in zip(header, line, strict=True):
        try:
            values.append(float(cell))
        except ValueError:
            values.append(np.nan)
        if not np.isfinite(values[-1]):
            raise UserError(f"{path}, line {number}, column {name}: {cell!r} is not a number")
    return values


def _split_rows(table: Table, split_seed: int) -> dict[str, np.ndarray]:
    """Row numbers of each part. A class too small to be in every part cannot be stratified."""
    rows = np.arange(len(table.y))
    counts = np.bincount(table.y) if table.class_names else np.array([])
    stratify = table.y if len(counts) and counts.min() >= 5 else None

    def split(rows, share) -> Any:
        labels = None if stratify is None else stratify[rows]
        return train_test_split(rows, test_size=share, random_state=split_seed, stratify=labels)

    rest, test = split(rows, 0.2)
    train, validation = split(rest, 0.25)
    return {"train": train, "validation": validation, "test": test}
