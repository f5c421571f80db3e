"""Cells of CSV, TSV and Parquet files by column, not yet parsed, and the rule of which are missing.

How the cells of a text file are read is defined in `exported_predict`, since exported programs read
tables, too. `pandas.read_csv` does not fit: it pads short rows, and tells no line numbers.
"""

import csv
import io
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from research.errors import UserError
from research.mlp.exported_predict import BadTable, clean_name, read_lines

MissingRule = Mapping[str, Any]  # which words are missing cells, see `is_missing_word`; JSON types

MISSING_IN_TEXT: MissingRule = {
    "words": ["?", "n/a", "na", "nan", "none", "null"], "any_case": True, "numbers": ["-"],
}  # fmt: skip
MISSING_IN_PARQUET: MissingRule = {"words": [], "any_case": False, "numbers": []}  # it has nulls


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


def column_flag(flag: str, names: Iterable[str]) -> str:
    """A flag with these columns, quoted for a shell."""
    names = list(names)
    if not any(name.startswith("-") for name in names):
        return " ".join([flag, *map(shlex.quote, names)])
    line = io.StringIO()  # a name that looks like a flag must follow an equals sign
    csv.writer(line, lineterminator="").writerow(names)
    return f"{flag}={shlex.quote(line.getvalue())}"


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
