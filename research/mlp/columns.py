"""Columns of CSV, TSV and Parquet files: cells are parsed as numbers or words, or are missing.

How the cells of a text file are read is defined in `exported_predict`, since exported programs read
tables, too. `pandas.read_csv` does not fit: it pads short rows, and tells no line numbers.

Shape letters: N rows.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.errors import UserError
from research.mlp.exported_predict import (
    LARGEST,
    BadTable,
    clean_name,
    is_missing_word,
    number,
    read_lines,
)

MissingRule = Mapping[str, Any]  # which words are missing cells, see `is_missing_word`; JSON types

MISSING_IN_TEXT: MissingRule = {
    "words": ["?", "n/a", "na", "nan", "none", "null"], "any_case": True, "numbers": ["-"],
}  # fmt: skip
MISSING_IN_PARQUET: MissingRule = {"words": [], "any_case": False, "numbers": []}  # it has nulls


class Column(NamedTuple):
    """A column of numbers or of words.

    Attributes:
      name: the name of the column.
      values: numbers, float64 [N], NaN where missing; or words, object [N], None where missing.
      missing_words: word -> how many cells hold it and count as missing.
      truth: whether the numbers were True and False in the file.
    """

    name: str
    values: np.ndarray
    missing_words: Mapping[str, int] = {}
    truth: bool = False

    @property
    def is_words(self) -> bool:
        """Whether the values are words."""
        return self.values.dtype == object

    @property
    def missing(self) -> np.ndarray:
        """Which values are missing: bool [N]."""
        return np.asarray(pd.isna(self.values))

    def take(self, rows: np.ndarray) -> "Column":
        """The column restricted to some rows, in the given order."""
        return self._replace(values=self.values[rows])


class Cells(NamedTuple):
    """The cells of one column, not yet parsed.

    Attributes:
      name: the name of the column.
      values: stripped words of a text file; a pandas Series of a Parquet file.
      lines: the line number of each cell; None for a Parquet file.
    """

    name: str
    values: Any
    lines: Sequence[int] | None

    def place(self, row: int) -> str:
        """The location of a cell, for errors."""
        where = f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
        return f"{where}, {column_title(self.name)}"


def column_title(name: str) -> str:
    """The name of a column in errors and notes."""
    return f"column {name}" if name else "the column without a name"


class BadColumn(Exception):
    """A column is neither numbers nor categories; the text names it and says why."""


def missing_rule(given: Sequence[str], path: str) -> MissingRule:
    """The rule for which cells of a file count as missing, besides empty ones.

    Args:
      given: the words of missing cells, written as in the file. If empty, the rule is
        `MISSING_IN_TEXT` or, for a Parquet file, `MISSING_IN_PARQUET`.
      path: the path of the file.
    """
    if given:
        return {"words": [word.strip() for word in given], "any_case": False, "numbers": []}
    return MISSING_IN_PARQUET if is_parquet(path) else MISSING_IN_TEXT


def is_parquet(path: str) -> bool:
    """Whether the file's name says that it is Parquet."""
    return Path(path).suffix.lower() in (".parquet", ".pq")


def read_cells(path: str) -> list[Cells]:
    """All columns of a file, not yet parsed.

    Raises:
      UserError: if it is missing, empty or ragged.
    """
    if is_parquet(path):
        return _read_parquet(path)
    try:
        names, rows, lines = read_lines(path)
    except BadTable as error:
        first, *others = error.problems
        more = f" (and {len(others)} more lines)" if others else ""
        raise UserError(first + more) from error
    columns = zip(*rows, strict=True)
    return [Cells(name, cells, lines) for name, cells in zip(names, columns, strict=True)]


def _read_parquet(path: str) -> list[Cells]:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are among those
        raise UserError(f"{path} cannot be read as Parquet: {error}") from error
    if frame.empty:
        raise UserError(f"{path} is empty: it has no rows")
    names = [clean_name(str(name)) for name in frame.columns]
    return [Cells(name, frame.iloc[:, at], None) for at, name in enumerate(names)]


def parse(cells: Cells, rule: MissingRule, like: Column | None = None) -> Column:
    """The column that the cells hold: numbers or words.

    Args:
      cells: the cells of the column.
      rule: which cells are missing.
      like: the same column of the training file, which determines the kind. If None, the column is
        numbers if all cells are, and words if at most half of them are numbers.

    Raises:
      BadColumn: if a cell is not of that kind, or a number is too large.
    """
    if isinstance(cells.values, pd.Series):
        return _parse_series(cells, rule, like)
    return _parse_words(cells, list(cells.values), rule, like)


def _parse_series(cells: Cells, rule: MissingRule, like: Column | None) -> Column:
    """The column of a Parquet file, by the types of its values."""
    types, series = pd.api.types, cells.values
    known = series.notna()
    some = series[known]
    truth = types.is_bool_dtype(series) or (
        len(some) > 0 and all(isinstance(value, bool) for value in some)
    )
    if truth or types.is_numeric_dtype(series):
        column = Column(cells.name, series.astype("Float64").to_numpy(np.float64, na_value=np.nan))
    elif all(isinstance(value, bool | int | float | Decimal) for value in some):
        numbers = series.map(float, na_action="ignore").astype(float)
        column = Column(cells.name, numbers.to_numpy(np.float64, na_value=np.nan))
    elif all(isinstance(value, str) for value in some):
        words = series.astype(object).where(known, "")
        if like is None or like.is_words:
            return _as_words(cells, [word.strip() for word in words], rule)
        return _parse_words(cells, [word.strip() for word in words], rule, like)
    else:
        raise BadColumn(
            f"{column_title(cells.name)}: its {series.dtype} is neither numbers nor words"
        )
    if like is not None and like.is_words and known.any():
        raise BadColumn(
            f"{column_title(cells.name)}: holds numbers, but words in the training file"
        )
    _check_size(cells, column.values)
    return column._replace(truth=truth)


def _parse_words(cells: Cells, words: list[str], rule: MissingRule, like: Column | None) -> Column:
    if like is not None and like.is_words:
        return _as_words(cells, words, rule)
    is_missing = is_missing_word(rule, among_numbers=True)
    known = [not is_missing(word) for word in words]
    truth = like is not None and like.truth
    numbers = [number(word, truth) if is_known else np.nan for word, is_known in zip(words, known)]
    bad = [row for row, found in enumerate(numbers) if found is None]
    good = sum(known) - len(bad)
    if bad and (like is not None or good > len(bad)):
        others = f"{good} other cells of the column" if like is None else "all in the training file"
        raise BadColumn(
            f"{cells.place(bad[0])}: {words[bad[0]]!r} is not a number, as {others} are"
        )
    if bad:
        return _as_words(cells, words, rule)
    values = np.array(numbers, np.float64)
    _check_size(cells, values)
    return Column(cells.name, values, _count(words, is_missing))


def _as_words(cells: Cells, words: list[str], rule: MissingRule) -> Column:
    is_missing = is_missing_word(rule, among_numbers=False)
    values = np.array([None if is_missing(word) else word for word in words], object)
    return Column(cells.name, values, _count(words, is_missing))


def _count(words: Sequence[str], is_missing: Callable[[str], bool]) -> dict[str, int]:
    return dict(sorted(Counter(word for word in words if word and is_missing(word)).items()))


def _check_size(cells: Cells, values: np.ndarray) -> None:
    too_large = np.abs(values) > LARGEST
    if too_large.any():
        row = int(np.argmax(too_large))
        value = f"{values[row]:g}" if cells.lines is None else repr(cells.values[row])
        raise BadColumn(f"{cells.place(row)}: {value} is above {LARGEST:g}")


def join(column: Column, more: Column) -> Column:
    """The column of two files, `more` appended."""
    values = more.values.astype(column.values.dtype)
    if column.is_words:
        values[more.missing] = None
    counts = dict(Counter(column.missing_words) + Counter(more.missing_words))
    return column._replace(values=np.concatenate([column.values, values]), missing_words=counts)


def text_reason(column: Column) -> str:
    """Why a column of words is text: it has too many different words; "" if it is categories."""
    if not column.is_words:
        return ""
    words = column.values[~column.missing]
    kinds, rows = len(set(words)), len(words)
    if not ((rows and kinds > max(1, rows / 2)) or kinds > max(50, rows / 10)):
        return ""
    return f"{kinds} different words in {rows} rows are text, not categories"


def number_like(column: Column) -> str:
    """A word that resembles a number, such as 1,200 or 12%, if most words of a column do; or ""."""
    if not column.is_words:
        return ""
    words = sorted(set(column.values[~column.missing]))
    similar = [word for word in words if number(word) is None and _resembles_number(word)]
    plain = sum(number(word) is not None for word in words)
    return similar[0] if similar and len(similar) + plain > len(words) / 2 else ""


def _resembles_number(word: str) -> bool:
    """Whether a word is a number apart from separators, currency signs and non-ASCII digits."""
    word = unicodedata.normalize("NFKC", word)
    word = "".join(str(unicodedata.decimal(letter, letter)) for letter in word)
    bare = re.sub(r"[\s,_'\u2019%$\u20ac\u00a3\u00a5]", "", word)
    return number(bare) is not None or bool(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+", bare))
