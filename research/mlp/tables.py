"""Tables as people have them, read into columns and a target: CSV, TSV and Parquet files, and
scikit-learn's bundled sets.

Shape letters: N rows.
"""

import csv
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets

from research.errors import UserError, shortlist

MIN_ROWS = 10  # below that, no split into three parts makes sense
LARGEST = 1e30  # of a number: beyond, squares leave float32, and something else is meant
MOST_CLASSES = 20  # so many whole numbers are classes, more are a quantity
MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none"}


class Column(NamedTuple):
    """One column.

    Attributes:
      name: of the column.
      values: float64 [N], NaN where missing; or words, object [N], None where missing.
    """

    name: str
    values: np.ndarray

    @property
    def is_words(self) -> bool:
        return self.values.dtype == object

    @property
    def missing(self) -> np.ndarray:
        """bool [N]."""
        return np.asarray(pd.isna(self.values))

    def take(self, rows: np.ndarray) -> "Column":
        return Column(self.name, self.values[rows])


class Table(NamedTuple):
    """Columns to predict from, and what to predict.

    Attributes:
      columns: all but the target.
      y: int64 [N], classes; or float64 [N], numbers.
      class_names: of each class; empty for numbers.
      source: what errors call the table.
      dropped: how many rows it had whose target is missing.
      tests: how many rows at its end are the test part; 0: that is drawn.
      image: (height, width, channels), where a row is a picture; () where it is none.
      brightest: the largest number of a picture.
    """

    columns: tuple[Column, ...]
    y: np.ndarray
    class_names: list[str]
    source: str
    dropped: int = 0
    tests: int = 0
    image: tuple[int, ...] = ()
    brightest: float = 1.0


def read_bundled(name: str) -> Table:
    """One of scikit-learn's bundled sets."""
    bunch: Any = getattr(datasets, f"load_{name}")()
    class_names = [str(label) for label in getattr(bunch, "target_names", [])]
    columns = [
        Column(str(feature), np.asarray(bunch.data[:, index], float))
        for index, feature in enumerate(bunch.feature_names)
    ]
    picture = {"image": (8, 8, 1), "brightest": 16.0} if name == "digits" else {}
    return Table(tuple(columns), np.asarray(bunch.target), class_names, name, **picture)


def read_files(
    path: str, target: str, test_path: str = "", drop: str = "", target_type: str = "auto"
) -> Table:
    """A table from a file, or from one file to train on and another to test with.

    Args:
      path: a CSV file with a header line (.tsv: between tabs), or a Parquet file.
      target: the column to predict. Words are classes; whole numbers, at most 20 of them, too;
        others are numbers.
      test_path: a file with the same columns, whose rows are the test part.
      drop: columns to leave out, between commas.
      target_type: `classes` or `numbers`, where `auto` would choose the other.

    Returns:
      The table, without the rows whose target is missing.

    Raises:
      UserError: naming file, line and column of what cannot be used.
    """
    columns, labels = _cut(path, read_columns(path), target, drop)
    tests = 0
    _check_size(path, labels, target)
    if test_path:
        more, more_labels = _cut(test_path, read_columns(test_path), target, drop)
        columns = _join(path, columns, test_path, more)
        (labels,) = _join(path, [labels], test_path, [more_labels])
        tests = int((~more_labels.missing).sum())
        if tests == 0:
            raise UserError(f"{test_path} has no rows after cleaning: {target} is always missing")
    if dropped := int(labels.missing.sum()):
        known = ~labels.missing
        columns, labels = [column.take(known) for column in columns], labels.take(known)
    for column in columns:
        _check_no_text(path, column, f"--drop {column.name} leaves it out")
    y, class_names = _read_target(path, labels, target_type)
    return Table(tuple(columns), y, class_names, path, dropped, tests)


def read_columns(path: str) -> list[Column]:
    """All columns of a file.

    Raises:
      UserError: if it is missing, empty or ragged, or a cell is not what its column is.
    """
    if Path(path).suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    header, lines = _read_lines(path)
    for number, line in lines:
        if len(line) != len(header):
            raise UserError(f"{path}, line {number}: {len(line)} cells under {len(header)} columns")
    numbers = [number for number, _ in lines]
    cells = zip(*(line for _, line in lines), strict=True)
    return [
        _parse(path, name, [cell.strip() for cell in column], numbers)
        for name, column in zip(header, cells, strict=True)
    ]


def _read_lines(path: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the other lines with their numbers; blank lines are skipped."""
    tabs = Path(path).suffix.lower() == ".tsv"
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter="\t" if tabs else ",")
            lines = [(reader.line_num, line) for line in reader if any(map(str.strip, line))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from error
    if len(lines) < 2:
        raise UserError(f"{path} is empty: a header line and rows are needed")
    header = [name.strip() for name in lines[0][1]]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise UserError(f"{path} has several columns named {twice[0]!r}: rename all but one")
    return header, lines[1:]


def _parse(path: str, name: str, cells: list[str], lines: Sequence[int]) -> Column:
    """Cells as numbers, if all are, or as words."""
    known = [cell.casefold() not in MISSING for cell in cells]
    numbers = [_number(cell) if is_known else np.nan for cell, is_known in zip(cells, known)]
    bad = [i for i, number in enumerate(numbers) if known[i] and number is None]
    good = sum(known) - len(bad)
    if bad and good > len(bad):
        raise UserError(
            f"{path}, line {lines[bad[0]]}, column {name}: {cells[bad[0]]!r} is not a number, as "
            f"{good} other cells of the column are"
        )
    if bad:
        return Column(
            name, np.array([cell if k else None for cell, k in zip(cells, known)], object)
        )
    values = np.array(numbers, np.float64)
    too_large = np.abs(values) > LARGEST
    if too_large.any():
        first = int(np.argmax(too_large))
        raise UserError(
            f"{path}, line {lines[first]}, column {name}: {cells[first]!r} is above {LARGEST:g}"
        )
    return Column(name, values)


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _read_parquet(path: str) -> list[Column]:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are among those
        raise UserError(f"{path} cannot be read as Parquet: {error}") from error
    if frame.empty:
        raise UserError(f"{path} is empty: it has no rows")
    return [_typed(path, str(name), frame[name]) for name in frame.columns]


def _typed(path: str, name: str, series: Any) -> Column:
    """A column that has a type already."""
    types = pd.api.types
    if types.is_bool_dtype(series) or types.is_numeric_dtype(series):
        values = series.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        if (np.abs(values) > LARGEST).any():
            raise UserError(f"{path}, column {name}: holds numbers above {LARGEST:g}")
        return Column(name, values)
    known = series.notna()
    if all(isinstance(value, bool | int | float | Decimal) for value in series[known]):
        return _typed(path, name, series.map(float, na_action="ignore").astype(float))
    if not all(isinstance(value, str) for value in series[known]):
        raise UserError(f"{path}, column {name}: its {series.dtype} is neither numbers nor words")
    return Column(name, np.array(series.astype(object).where(known, None), object))


def _cut(path: str, columns: list[Column], target: str, drop: str) -> tuple[list[Column], Column]:
    """The columns to predict from, and the one to predict."""
    by_name = {column.name: column for column in columns}
    have = shortlist(by_name)
    if target not in by_name:
        flag = f"--target {target}: no such column in" if target else "--target is missing for"
        raise UserError(f"{flag} {path}; the columns are {have}")
    dropped = [name.strip() for name in drop.split(",") if name.strip()]
    for name in dropped:
        if name not in by_name or name == target:
            raise UserError(f"--drop {name}: no column of {path} to leave out; there are {have}")
    rest = [column for column in columns if column.name not in (target, *dropped)]
    if not rest:
        raise UserError(f"{path} has no column beside the target {target}")
    return rest, by_name[target]


def _join(
    path: str, columns: Sequence[Column], test_path: str, more: Sequence[Column]
) -> list[Column]:
    """The columns of two files, one under the other.

    Raises:
      UserError: naming one that the second lacks, or that is of another kind there.
    """
    others, joined = {column.name: column for column in more}, []
    for column in columns:
        other = others.get(column.name)
        if other is None:
            raise UserError(f"{test_path} has no column {column.name}, which {path} has")
        if other.is_words != column.is_words and not other.missing.all():
            kinds = ["words" if c.is_words else "numbers" for c in (other, column)]
            raise UserError(
                f"{test_path}, column {column.name}: {kinds[0]}, and {kinds[1]} in {path}"
            )
        values = other.values.astype(column.values.dtype)
        if column.is_words:
            values[other.missing] = None
        joined.append(Column(column.name, np.concatenate([column.values, values])))
    return joined


def _check_size(path: str, labels: Column, target: str) -> None:
    dropped = int(labels.missing.sum())
    rows = len(labels.values) - dropped
    if rows == 0:
        raise UserError(f"{path} has no rows after cleaning: the target {target} is always missing")
    if rows < MIN_ROWS:
        without = f", without {dropped} whose target is missing" if dropped else ""
        raise UserError(f"{path} has {rows} rows of data{without}; at least {MIN_ROWS} are needed")


def _check_no_text(path: str, column: Column, instead: str) -> None:
    """Words of which nearly every row has its own say nothing of the others.

    Raises:
      UserError: if a column holds such.
    """
    if not column.is_words:
        return
    words = column.values[~column.missing]
    kinds, rows = len(set(words)), len(words)
    if (rows and kinds > max(1, rows / 2)) or kinds > max(50, rows / 10):
        raise UserError(
            f"{path}, column {column.name}: {kinds} different words in {rows} rows are text, not "
            f"categories; {instead}"
        )


def _read_target(path: str, labels: Column, target_type: str) -> tuple[np.ndarray, list[str]]:
    """The target as classes 0 to K - 1 and their names, or as numbers and no names."""
    if labels.is_words:
        if target_type == "numbers":
            raise UserError(f"--target-type numbers: {labels.name} of {path} holds words")
        _check_no_text(path, labels, "predict another column with --target")
    values, y = np.unique(labels.values, return_inverse=True)
    if len(values) < 2:
        only = values[0] if labels.is_words else f"{values[0]:g}"
        raise UserError(f"{path}: the target {labels.name} is {only} in every row")
    if labels.is_words:
        return y, [str(value) for value in values]
    whole = bool(np.all(values == np.round(values)))
    if target_type == "classes" and not whole:
        raise UserError(f"--target-type classes: {labels.name} of {path} holds fractions")
    few = target_type == "auto" and whole and len(values) <= MOST_CLASSES
    if target_type == "classes" or few:
        return y, [str(int(value)) for value in values]
    return labels.values, []
