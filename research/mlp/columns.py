"""Columns of CSV, TSV and Parquet files: cells are parsed as numbers, dates or words.

How numbers and dates are read is defined in `exported_predict`, since exported programs do so, too.

Shape letters: N rows.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import compress
from typing import NamedTuple

import numpy as np
import pandas as pd

from research.mlp.cells import Cells, MissingRule, column_flag, column_title
from research.mlp.exported_predict import (
    DATES,
    LARGEST,
    TRUTH,
    as_word,
    is_missing_word,
    number,
)

NUMBER_FORMS = ("thousands", "percent")
BOTH_WAYS = ("day/month/year", "month/day/year")
EPOCH = pd.Timestamp("1970-01-01", tz="UTC")


class Column(NamedTuple):
    """A column of numbers, of dates or of words.

    Attributes:
      name: the name of the column.
      values: numbers, float64 [N], NaN where missing; dates, as seconds since 1970; or words,
        object [N], None where missing.
      missing_words: word -> how many cells hold it and count as missing.
      form: how numbers and dates are written in the file, as `number` has it.
      example: a cell that is written in this form, for notes.
    """

    name: str
    values: np.ndarray
    missing_words: Mapping[str, int] = {}
    form: str = ""
    example: str = ""

    @property
    def is_words(self) -> bool:
        """Whether the values are words."""
        return self.values.dtype == object

    @property
    def is_dates(self) -> bool:
        """Whether the values are dates."""
        return self.form in DATES

    @property
    def missing(self) -> np.ndarray:
        """Which values are missing: bool [N]."""
        return np.asarray(pd.isna(self.values))

    def take(self, rows: np.ndarray) -> "Column":
        """The column restricted to some rows, in the given order."""
        return self._replace(values=self.values[rows])


class BadColumn(Exception):
    """A column is neither numbers nor categories; the text names it and says why."""


def parse(
    cells: Cells, rule: MissingRule, like: Column | None = None, kind: str = "auto"
) -> Column:
    """The column that the cells hold: numbers, dates or words.

    Args:
      cells: the cells of the column.
      rule: which cells are missing.
      like: the same column of the training file, which determines the kind and the form. If None,
        the column is what all cells are, and words if at most half of them are anything else.
      kind: `words` or `numbers`, where `auto` might choose the other; `plain`: numbers in digits
        alone, or words.

    Raises:
      BadColumn: if a cell is not of that kind, or a number is too large.
    """
    if isinstance(cells.values, pd.Series):
        return _parse_series(cells, rule, like, kind)
    return _parse_words(cells, list(cells.values), rule, like, kind)


def _parse_series(cells: Cells, rule: MissingRule, like: Column | None, kind: str) -> Column:
    """The column of a Parquet file, by the types of its values."""
    types, series = pd.api.types, cells.values
    known = series.notna()
    some = series[known]
    if kind == "words" or (all(isinstance(value, str) for value in some) and len(some)):
        words = [as_word(value) if there else "" for value, there in zip(series, known)]
        if like is None:  # or words such as 01 would lose their zeros
            kind = {"auto": "typed words", "plain": "words"}.get(kind, kind)
        return _parse_words(cells, words, rule, like, kind)
    form = ""
    if types.is_datetime64_any_dtype(series) or all(isinstance(value, date) for value in some):
        moments = pd.to_datetime(series, utc=True)
        values = ((moments - EPOCH) / pd.Timedelta(seconds=1)).to_numpy(np.float64)
        form = "year-month-day"
    elif types.is_numeric_dtype(series):
        values = series.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        form = "truth" if types.is_bool_dtype(series) else ""
    elif all(isinstance(value, bool | int | float | Decimal) for value in some):
        numbers = series.map(float, na_action="ignore").astype(float)
        values = numbers.to_numpy(np.float64, na_value=np.nan)
        form = "truth" if all(isinstance(value, bool) for value in some) else ""
    else:
        raise BadColumn(
            f"{column_title(cells.name)}: its {series.dtype} is neither numbers nor words"
        )
    column = Column(cells.name, values, {}, form if known.any() else "")
    _check_kind(cells, column, like, kind)
    _check_size(cells, column.values)
    return column


def _check_kind(cells: Cells, column: Column, like: Column | None, kind: str) -> None:
    """Checks that a typed column is of the kind of the training file, or that was asked for."""
    if column.missing.all():
        return
    name, what = column_title(cells.name), "dates" if column.is_dates else "numbers"
    if kind in ("plain", "numbers") and column.is_dates:
        raise BadColumn(f"{name}: holds dates, not numbers")
    if like is not None and (like.is_words or like.is_dates != column.is_dates):
        other = "words" if like.is_words else "dates" if like.is_dates else "numbers"
        raise BadColumn(f"{name}: holds {what}, but {other} in the training file")


def _parse_words(
    cells: Cells, words: list[str], rule: MissingRule, like: Column | None, kind: str
) -> Column:
    if kind == "words" or (like is not None and like.is_words):
        return _as_words(cells, words, rule)
    is_missing = is_missing_word(rule, among_numbers=True)
    known = [not is_missing(word) for word in words]
    form = like.form if like else _find_form(cells, Counter(compress(words, known)), kind)
    numbers = [number(word, form) if is_known else np.nan for word, is_known in zip(words, known)]
    bad = [row for row, found in enumerate(numbers) if found is None]
    good = sum(known) - len(bad)
    if bad and (like is not None or kind == "numbers" or good > len(bad)):
        raise _bad_cell(cells, bad[0], words[bad[0]], form, good if like is None else None, kind)
    if bad or (kind == "typed words" and not form):
        return _as_words(cells, words, rule)
    values = np.array(numbers, np.float64)
    _check_size(cells, values)
    example = next((word for word in compress(words, known) if _is_special(word)), "")
    return Column(cells.name, values, _count(words, is_missing), form, example)


def _bad_cell(
    cells: Cells, row: int, word: str, form: str, good: int | None, kind: str
) -> BadColumn:
    """The error about a cell of another form than `good` others, or than the training file."""
    what = "a date" if form in DATES else "a number"
    others = "all in the training file are"
    if good is not None:
        others = f"{good} other cells of the column are"
        if kind in ("auto", "typed words"):
            flag = column_flag("--categorical", [cells.name])
            others += f" ({flag} takes all for categories)"
    return BadColumn(f"{cells.place(row)}: {word!r} is not {what}, as {others}")


def _is_special(word: str) -> bool:
    """Whether a word is no number in digits alone, or one that begins with 0, as codes do."""
    return number(word) is None or (word.isdecimal() and len(word) > 1 and word[0] == "0")


def _find_form(cells: Cells, words: Counter[str], kind: str) -> str:
    """The form in which most words are numbers or dates; "" where there is a tie.

    Raises:
      BadColumn: if all words are dates with the day first, and with the month first, too.
    """
    count = lambda form: sum(many for word, many in words.items() if number(word, form) is not None)
    forms = ["", *(() if kind == "plain" else NUMBER_FORMS)]
    if kind in ("auto", "typed words"):
        forms += [*DATES, *(["truth"] if all(word.casefold() in TRUTH for word in words) else [])]
    read: dict[str, int] = {}
    for form in forms:
        read[form] = count(form)
        if read[form] == words.total():
            break
    best = max(read, key=read.__getitem__)
    if best in BOTH_WAYS and all(count(form) == words.total() for form in BOTH_WAYS):
        raise BadColumn(
            f"{column_title(cells.name)}: dates such as {next(iter(words))!r} may have the day or "
            "the month first; write them as 2020-01-31"
        )
    return best


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
