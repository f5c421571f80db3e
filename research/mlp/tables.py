"""Tables, as columns and a target, from CSV, TSV and Parquet files and from scikit-learn.

Shape letters: N rows.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets

from research.errors import UserError, did_you_mean, shortlist
from research.mlp.cells import (
    MISSING_IN_TEXT,
    Cells,
    MissingRule,
    column_flag,
    missing_rule,
    read_cells,
)
from research.mlp.column_notes import is_id, number_like, text_reason
from research.mlp.column_problems import ColumnProblems, find_columns, quoted
from research.mlp.columns import BadColumn, Column, join, parse
from research.mlp.exported_predict import clean_name
from research.plain_text import count_of

MIN_ROWS = 10  # with fewer, a split into three parts makes no sense
MOST_CLASSES = 20  # a target of more different whole numbers is a regression target


class Table(NamedTuple):
    """Columns to predict from, and the target.

    Attributes:
      columns: all columns but the target.
      y: int64 [N] for classification, float64 [N] for regression.
      class_names: the name of each class; empty for regression.
      source: the name of the table in errors.
      dropped: how many rows were left out because their target is missing.
      test_rows: how many rows at the end are the test part; if 0, one is drawn.
      rows: int [N], the index of each row in its file, the rows of a test file counted after those
        of the training file; None if the table is not from a file.
      rule: which cells are missing.
      missing_words: column -> word -> how many cells hold it and count as missing.
      left_out: the columns that --drop named; None if --drop does not apply.
      ids: the columns that are left out because they look like ids.
      chosen: the columns whose kind the user chose.
      image: (height, width, channels) if a row is an image, else ().
      brightest: the largest value of a pixel.
    """

    columns: tuple[Column, ...]
    y: np.ndarray
    class_names: list[str]
    source: str
    dropped: int = 0
    test_rows: int = 0
    rows: np.ndarray | None = None
    rule: MissingRule = MISSING_IN_TEXT
    missing_words: Mapping[str, Mapping[str, int]] = {}
    left_out: tuple[str, ...] | None = None
    ids: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    image: tuple[int, ...] = ()
    brightest: float = 1.0


def read_bundled(name: str) -> Table:
    """The table of one of scikit-learn's bundled data sets."""
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
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
) -> Table:
    """The table of a file, or of a training file and a test file.

    Args:
      path: a CSV file with a header line (.tsv: separated by tabs), or a Parquet file.
      target: the column to predict. Words are classes, and so are at most 20 different whole
        numbers; other numbers are a regression target.
      test_path: a file with the same columns, whose rows are the test part.
      drop: columns to leave out; an item that is no column is read as several between commas.
      target_type: `classes` or `numbers` (regression), where `auto` would choose the other.
      missing: the words of missing cells, as in `missing_rule`.
      categorical: columns whose cells are categories, whatever they hold; written as `drop` is.
      numeric: columns whose cells are numbers, though they look like something else.

    Returns:
      The table without the rows whose target is missing, and without columns that look like ids.

    Raises:
      UserError: naming the file, line and column of invalid cells, for all columns at once.
    """
    rule, target = missing_rule(missing, path), clean_name(target)
    given = read_cells(path)
    left_out = find_columns("--drop", path, [cells.name for cells in given], target, drop)
    kinds = _find_kinds(path, given, target, left_out, categorical, numeric)
    cells, target_cells = _cut(path, given, target, left_out)
    labels = _parse_target(path, target_cells, rule)
    bad = ColumnProblems(path, left_out, kinds)
    columns, test_rows = bad.parse(path, cells, rule), 0
    _check_size(path, labels, target)
    if test_path:
        more, more_cells = _cut(test_path, read_cells(test_path), target, left_out)
        more_labels = _parse_target(test_path, more_cells, rule, labels)
        columns = bad.join(columns, test_path, more, rule)
        labels, test_rows = join(labels, more_labels), _known_rows(test_path, more_labels)
    rows = np.flatnonzero(~labels.missing)
    dropped = len(labels.values) - len(rows)
    columns, labels = [column.take(rows) for column in columns], labels.take(rows)
    ids = tuple(one.name for one in columns if one.name not in kinds and is_id(one))
    columns = [one for one in columns if one.name not in ids]
    bad.check_text(columns)
    bad.check([one.name for one in cells])
    if not columns:
        raise UserError(
            f"{path}: every value of {quoted(ids)} differs, as of an id, and no other column is "
            f"left to predict from; {column_flag('--numeric', ids)} keeps numbers"
        )
    y, class_names = _read_target(path, labels, target_type)
    taken = {one.name: one.missing_words for one in [*columns, labels] if one.missing_words}
    return Table(
        tuple(columns), y, class_names, path, dropped, test_rows, rows, rule, taken,
        left_out, ids, tuple(kinds),
    )  # fmt: skip


def _find_kinds(
    path: str,
    given: Sequence[Cells],
    target: str,
    left_out: Sequence[str],
    categorical: Sequence[str],
    numeric: Sequence[str],
) -> dict[str, str]:
    """Column -> how it is to be parsed, of the columns that --categorical and --numeric name."""
    names = [cells.name for cells in given if cells.name not in left_out]
    words = find_columns("--categorical", path, names, target, categorical)
    numbers = find_columns("--numeric", path, names, target, numeric)
    if both := [name for name in words if name in numbers]:
        raise UserError(
            f"{column_flag('--categorical', both)} {column_flag('--numeric', both)}: choose one"
        )
    return dict.fromkeys(words, "words") | dict.fromkeys(numbers, "numbers")


def read_columns(path: str, missing: Sequence[str] = ()) -> list[Column]:
    """All columns of a file, parsed.

    Raises:
      UserError: if it is missing, empty or ragged, or a cell is not of the kind of its column.
    """
    given = read_cells(path)
    bad = ColumnProblems(path, ())
    columns = bad.parse(path, given, missing_rule(missing, path))
    bad.check([])
    return columns


def _cut(
    path: str, given: Sequence[Cells], target: str, left_out: Sequence[str]
) -> tuple[list[Cells], Cells]:
    """The cells of the columns to predict from, and those of the target."""
    given = [cells for cells in given if cells.name not in left_out]
    have = quoted(cells.name for cells in given)
    if not target:
        raise UserError(f"--target is missing for {path}; the columns are {have}")
    if target not in [cells.name for cells in given]:
        flag = f"--target {shlex.quote(target)}"
        near = did_you_mean(target, (cells.name for cells in given))
        right = f"{near} The columns are {have}" if near else f"the columns are {have}"
        raise UserError(f"{flag}: no such column in {path}; {right}")
    targets = [cells for cells in given if cells.name == target]
    if len(targets) > 1:
        raise UserError(f"{path} has several columns named {target!r}: rename all but one")
    rest = [cells for cells in given if cells.name != target]
    if not rest:
        raise UserError(f"{path} has no column besides the target {target}")
    return rest, targets[0]


def _parse_target(path: str, cells: Cells, rule: MissingRule, like: Column | None = None) -> Column:
    try:
        return parse(cells, rule, like, "plain")
    except BadColumn as error:
        raise UserError(f"{path}, {error}") from error


def _known_rows(path: str, labels: Column) -> int:
    """How many rows of a test file have a target.

    Raises:
      UserError: if there are none.
    """
    count = int((~labels.missing).sum())
    if count == 0:
        raise UserError(f"{path} has no rows after cleaning: {labels.name} is always missing")
    return count


def _check_size(path: str, labels: Column, target: str) -> None:
    dropped = int(labels.missing.sum())
    rows = len(labels.values) - dropped
    if rows == 0:
        raise UserError(f"{path} has no rows after cleaning: the target {target} is always missing")
    if rows < MIN_ROWS:
        without = f", without {dropped} whose target is missing" if dropped else ""
        raise UserError(
            f"{path} has {count_of(rows, 'row')} of data{without}; at least {MIN_ROWS} are needed"
        )


def _read_target(path: str, labels: Column, target_type: str) -> tuple[np.ndarray, list[str]]:
    """Class labels 0 to K - 1 and the class names; for regression, the target and no names."""
    if labels.is_words:
        _check_words(path, labels, target_type)
    values, y = np.unique(labels.values, return_inverse=True)
    if len(values) < 2:
        only = values[0] if labels.is_words else f"{values[0]:g}"
        gone = [f"{word!r} ({count})" for word, count in labels.missing_words.items()]
        taken = f"; read as missing: {shortlist(gone)}; --missing names other words" if gone else ""
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
    """Checks that a target of words can be classes.

    Raises:
      UserError: if the words look like numbers or are text, or `target_type` is numbers.
    """
    like, name, reason = number_like(labels), labels.name, text_reason(labels)
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
