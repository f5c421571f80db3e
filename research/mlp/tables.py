"""Tables from files, as columns and a target: CSV, TSV and Parquet files, and
scikit-learn's bundled sets.

Shape letters: N rows.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets

from research.errors import UserError, shortlist
from research.mlp.columns import (
    MISSING_IN_TEXT,
    BadColumn,
    Cells,
    Column,
    Rule,
    join,
    missing_rule,
    number_like,
    parse,
    read_cells,
    why_text,
)
from research.mlp.exported_predict import clean_name
from research.mlp.unusable import Unusable, find_dropped, quoted

MIN_ROWS = 10  # below that, no split into three parts makes sense
MOST_CLASSES = 20  # so many whole numbers are classes, more are a quantity


class Table(NamedTuple):
    """Columns to predict from, and what to predict.

    Attributes:
      columns: all but the target.
      y: int64 [N], classes; or float64 [N], numbers.
      class_names: of each class; empty for numbers.
      source: what errors call the table.
      dropped: how many rows it had whose target is missing.
      tests: how many rows at its end are the test part; 0: that is drawn.
      rows: int [N], which rows of its file these are, those of a test file counted on; None: all.
      rule: of what is missing.
      taken: column -> word -> how many cells are missing because it stands there.
      left_out: the columns that --drop named; None: it can name none.
      image: (height, width, channels), where a row is an image; () where it is none.
      brightest: the largest number of an image.
    """

    columns: tuple[Column, ...]
    y: np.ndarray
    class_names: list[str]
    source: str
    dropped: int = 0
    tests: int = 0
    rows: np.ndarray | None = None
    rule: Rule = MISSING_IN_TEXT
    taken: Mapping[str, Mapping[str, int]] = {}
    left_out: tuple[str, ...] | None = None
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
    pixels = {"image": (8, 8, 1), "brightest": 16.0} if name == "digits" else {}
    return Table(tuple(columns), np.asarray(bunch.target), class_names, name, **pixels)


def read_files(
    path: str,
    target: str,
    test_path: str = "",
    drop: Sequence[str] = (),
    target_type: str = "auto",
    missing: Sequence[str] = (),
) -> Table:
    """A table from a file, or from one file to train on and another to test with.

    Args:
      path: a CSV file with a header line (.tsv: between tabs), or a Parquet file.
      target: the column to predict. Words are classes; whole numbers, at most 20 of them, too;
        others are numbers.
      test_path: a file with the same columns, whose rows are the test part.
      drop: columns to leave out; one that is no column may be several between commas.
      target_type: `classes` or `numbers`, where `auto` would choose the other.
      missing: words that stand for missing cells, as `missing_rule` takes them.

    Returns:
      The table, without the rows whose target is missing.

    Raises:
      UserError: naming file, line and column of what cannot be used, all columns at once.
    """
    rule, target = missing_rule(missing, path), clean_name(target)
    given = read_cells(path)
    left_out = find_dropped(path, [cells.name for cells in given], target, drop)
    cells, target_cells = _cut(path, given, target, left_out)
    labels = _parse_target(path, target_cells, rule)
    bad = Unusable(path, left_out)
    columns, tests = bad.parse(path, cells, rule), 0
    _check_size(path, labels, target)
    if test_path:
        more, more_cells = _cut(test_path, read_cells(test_path), target, left_out)
        more_labels = _parse_target(test_path, more_cells, rule, labels)
        columns = bad.join(columns, test_path, more, rule)
        labels, tests = join(labels, more_labels), int((~more_labels.missing).sum())
        if tests == 0:
            raise UserError(f"{test_path} has no rows after cleaning: {target} is always missing")
    rows = np.flatnonzero(~labels.missing)
    dropped = len(labels.values) - len(rows)
    columns, labels = [column.take(rows) for column in columns], labels.take(rows)
    bad.check_text(columns)
    bad.check([one.name for one in cells])
    y, class_names = _read_target(path, labels, target_type)
    taken = {one.name: one.taken for one in [*columns, labels] if one.taken}
    return Table(tuple(columns), y, class_names, path, dropped, tests, rows, rule, taken, left_out)


def read_columns(path: str, missing: Sequence[str] = ()) -> list[Column]:
    """All columns of a file.

    Raises:
      UserError: if it is missing, empty or ragged, or a cell is not what its column is.
    """
    given = read_cells(path)
    bad = Unusable(path, ())
    columns = bad.parse(path, given, missing_rule(missing, path))
    bad.check([])
    return columns


def _cut(
    path: str, given: Sequence[Cells], target: str, left_out: Sequence[str]
) -> tuple[list[Cells], Cells]:
    """The columns to predict from, and the one to predict."""
    given = [cells for cells in given if cells.name not in left_out]
    have = quoted(cells.name for cells in given)
    if not target:
        raise UserError(f"--target is missing for {path}; the columns are {have}")
    if target not in [cells.name for cells in given]:
        flag = f"--target {shlex.quote(target)}"
        raise UserError(f"{flag}: no such column in {path}; the columns are {have}")
    targets = [cells for cells in given if cells.name == target]
    if len(targets) > 1:
        raise UserError(f"{path} has several columns named {target!r}: rename all but one")
    rest = [cells for cells in given if cells.name != target]
    if not rest:
        raise UserError(f"{path} has no column beside the target {target}")
    return rest, targets[0]


def _parse_target(path: str, cells: Cells, rule: Rule, like: Column | None = None) -> Column:
    try:
        return parse(cells, rule, like)
    except BadColumn as error:
        raise UserError(f"{path}, {error}") from error


def _check_size(path: str, labels: Column, target: str) -> None:
    dropped = int(labels.missing.sum())
    rows = len(labels.values) - dropped
    if rows == 0:
        raise UserError(f"{path} has no rows after cleaning: the target {target} is always missing")
    if rows < MIN_ROWS:
        without = f", without {dropped} whose target is missing" if dropped else ""
        raise UserError(f"{path} has {rows} rows of data{without}; at least {MIN_ROWS} are needed")


def _read_target(path: str, labels: Column, target_type: str) -> tuple[np.ndarray, list[str]]:
    """Returns class labels 0 to K - 1 and the class names; for regression, numbers and no names."""
    if labels.is_words:
        _check_words(path, labels, target_type)
    values, y = np.unique(labels.values, return_inverse=True)
    if len(values) < 2:
        only = values[0] if labels.is_words else f"{values[0]:g}"
        gone = [f"{word!r} ({count})" for word, count in labels.taken.items()]
        taken = f"; taken for missing: {shortlist(gone)}; --missing names what is" if gone else ""
        raise UserError(f"{path}: the target {labels.name} is {only} in every row{taken}")
    if labels.is_words:
        return y, [str(value) for value in values]
    whole = bool(np.all(values == np.round(values)))
    if target_type == "classes" and not whole:
        raise UserError(f"--target-type classes: {labels.name} of {path} holds fractions")
    few = target_type == "auto" and whole and len(values) <= MOST_CLASSES
    if target_type == "classes" or few:
        return y, [str(int(value)) for value in values]
    return labels.values, []


def _check_words(path: str, labels: Column, target_type: str) -> None:
    """Words can be classes.

    Raises:
      UserError: if they are asked to be numbers, look like numbers, or are text.
    """
    like, name, reason = number_like(labels), labels.name, why_text(labels)
    if like and target_type != "classes":
        classes = "" if reason else ", or take the words for classes with --target-type classes"
        raise UserError(
            f"{path}: the target {name} looks like numbers but is words, such as {like!r}: write "
            f"them as 1200 or 0.5{classes}"
        )
    if target_type == "numbers":
        raise UserError(f"--target-type numbers: {name} of {path} holds words")
    if reason:
        raise UserError(f"{path}, column {name}: {reason}; predict another column with --target")
