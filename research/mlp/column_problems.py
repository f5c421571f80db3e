"""Columns that flags such as `--drop` name, and columns that cannot be used.

The latter are named all at once, with the `--drop` that would leave them out.
"""

import csv
import shlex
from collections.abc import Iterable, Mapping, Sequence

from research.errors import UserError, did_you_mean, shortlist
from research.mlp.cells import Cells, MissingRule, column_flag, column_title
from research.mlp.column_notes import number_like, text_reason
from research.mlp.columns import BadColumn, Column, join, parse
from research.mlp.exported_predict import clean_name

MOST_SHOWN = 5  # columns of a file whose problem is shown


def drop_flag(names: Iterable[str]) -> str:
    """The flag `--drop` with these columns, quoted for a shell."""
    return column_flag("--drop", names)


def quoted(names: Iterable[str]) -> str:
    """A shortlist of columns, each quoted for a shell."""
    return shortlist(map(shlex.quote, names))


def find_columns(
    flag: str, path: str, names: Sequence[str], target: str, given: Sequence[str]
) -> tuple[str, ...]:
    """The columns that a flag names.

    Args:
      flag: `--drop`, `--categorical` or `--numeric`.
      path: the path of the file.
      names: the names of its columns.
      target: the target, which none of these flags is for.
      given: names, or one string; an item that is no column is read as names between commas, as in
        a line of a CSV file.

    Raises:
      UserError: if there is no such column, or it is the target.
    """
    found: list[str] = []
    for word in [given] if isinstance(given, str) else given:
        several = [clean_name(one) for one in next(csv.reader([word], skipinitialspace=True), [])]
        known = clean_name(word) in names
        found += [clean_name(word)] if known else [one for one in several if one or one in names]
    if unknown := [name for name in found if name not in names]:
        what = " to leave out" if flag == "--drop" else ""
        near = did_you_mean(unknown[0], names)
        right = f"{near} There are {quoted(names)}" if near else f"there are {quoted(names)}"
        raise UserError(f"{column_flag(flag, unknown)}: no column of {path}{what}; {right}")
    if target in found:
        instead = ", which cannot be left out" if flag == "--drop" else "; give --target-type"
        raise UserError(f"{column_flag(flag, [target])}: it is the target{instead}")
    return tuple(dict.fromkeys(found))


class ColumnProblems:
    """Collects the columns that cannot be used, and refuses them together.

    Attributes:
      path: the path of the training file.
      left_out: the columns that are left out already.
      problems: file -> the problems of its columns.
      names: of the columns.
      kinds: column -> how `parse` is to read it, where that was asked for.
    """

    def __init__(self, path: str, left_out: Sequence[str], kinds: Mapping[str, str] | None = None):
        self.path, self.left_out, self.kinds = path, left_out, kinds or {}
        self.problems: dict[str, list[str]] = {}
        self.names: list[str] = []

    def add(self, path: str, name: str, problem: str) -> None:
        """Adds a problem of a column of a file."""
        self.problems.setdefault(path, []).append(problem)
        self.names.append(name)

    def parse(self, path: str, cells: Sequence[Cells], rule: MissingRule) -> list[Column]:
        """The columns of a file that can be parsed; adds the problems of the others."""
        columns = []
        for one in self._unique(path, cells):
            try:
                kind = self.kinds.get(one.name, "auto")
                columns.append(parse(one, rule, kind=kind))
            except BadColumn as error:
                self.add(path, one.name, str(error))
        return columns

    def join(
        self, columns: Sequence[Column], path: str, more: Sequence[Cells], rule: MissingRule
    ) -> list[Column]:
        """The columns with those of the test file appended; adds the problems of the others."""
        names, joined = {column.name for column in columns}, []
        others = self._unique(path, [cells for cells in more if cells.name in names])
        by_name = {cells.name: cells for cells in others}
        for column in columns:
            try:
                if column.name in by_name:
                    kind = self.kinds.get(column.name, "auto")
                    joined.append(join(column, parse(by_name[column.name], rule, column, kind)))
                elif column.name not in self.names:
                    raise BadColumn(f"{column_title(column.name)} is only in {self.path}")
            except BadColumn as error:
                self.add(path, column.name, str(error))
        return joined

    def check_text(self, columns: Sequence[Column]) -> None:
        """Adds the columns of words that are text and not categories."""
        for column in columns:
            reason = text_reason(column)
            if reason and self.kinds.get(column.name) != "words":
                if like := number_like(column):
                    reason += f" ({like!r} is no number: write 1200 or 0.5)"
                self.add(self.path, column.name, f"{column_title(column.name)}: {reason}")

    def check(self, names: Sequence[str]) -> None:
        """Raises one error that names all problems, if there are any.

        Args:
          names: the names of all columns but the target.

        Raises:
          UserError: naming every column that cannot be used.
        """
        if not self.names:
            return
        lines = []
        for path, problems in self.problems.items():
            more = len(problems) - MOST_SHOWN
            lines.append(f"{path}, {'; '.join(problems[:MOST_SHOWN])}")
            lines += [f"and {more} more columns"] if more > 0 else []
        if set(names) - set(self.names):
            them = "it" if len(self.names) == 1 else "them"
            lines.append(f"{drop_flag([*self.left_out, *self.names])} leaves {them} out")
        elif names:
            lines.append("no other column is left to predict from")
        raise UserError("; ".join(lines))

    def _unique(self, path: str, cells: Sequence[Cells]) -> list[Cells]:
        """The columns with a unique name; adds the others as problems."""
        names = [one.name for one in cells]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                self.add(path, name, f"several columns named {name!r}: rename all but one")
        return [one for one in cells if names.count(one.name) == 1]
