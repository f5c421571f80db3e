"""Columns that are left out by `--drop`, and those that cannot be used, which are named all at once
with the `--drop` that leaves them out."""

import csv
import io
import shlex
from collections.abc import Iterable, Sequence

from research.errors import UserError, shortlist
from research.mlp.columns import (
    BadColumn,
    Cells,
    Column,
    Rule,
    join,
    number_like,
    parse,
    title,
    why_text,
)
from research.mlp.exported_predict import clean_name

MOST_TOLD = 5  # columns of a file, each with its reason


def drop_flag(names: Iterable[str]) -> str:
    """`--drop` with these columns, as the user types it into a shell."""
    names = list(names)
    if not any(name.startswith("-") for name in names):
        return " ".join(["--drop", *map(shlex.quote, names)])
    line = io.StringIO()  # a name that begins as a flag does has to stand after an equals sign
    csv.writer(line, lineterminator="").writerow(names)
    return f"--drop={shlex.quote(line.getvalue())}"


def quoted(names: Iterable[str]) -> str:
    """A shortlist of columns, each as the user types it into a shell."""
    return shortlist(map(shlex.quote, names))


def find_dropped(
    path: str, names: Sequence[str], target: str, drop: Sequence[str]
) -> tuple[str, ...]:
    """The columns that `--drop` names.

    Args:
      path: of the file.
      names: of its columns.
      target: which cannot be left out.
      drop: names, or one string; what is no name is read as names between commas, as in a CSV file.

    Raises:
      UserError: if there is no such column.
    """
    found: list[str] = []
    for word in [drop] if isinstance(drop, str) else drop:
        several = [clean_name(one) for one in next(csv.reader([word], skipinitialspace=True), [])]
        known = clean_name(word) in names
        found += [clean_name(word)] if known else [one for one in several if one or one in names]
    if unknown := [name for name in found if name not in names]:
        raise UserError(
            f"{drop_flag(unknown)}: no column of {path} to leave out; there are {quoted(names)}"
        )
    if target in found:
        raise UserError(f"{drop_flag([target])}: it is the target, which cannot be left out")
    return tuple(dict.fromkeys(found))


class Unusable:
    """The columns that cannot be used, as they are found.

    Attributes:
      path: of the file to train on.
      left_out: the columns that are left out already.
      problems: file -> what is wrong with its columns.
      names: of the columns.
    """

    def __init__(self, path: str, left_out: Sequence[str]):
        self.path, self.left_out = path, left_out
        self.problems: dict[str, list[str]] = {}
        self.names: list[str] = []

    def add(self, path: str, name: str, problem: str) -> None:
        """Notes what is wrong with a column of a file."""
        self.problems.setdefault(path, []).append(problem)
        self.names.append(name)

    def parse(self, path: str, cells: Sequence[Cells], rule: Rule) -> list[Column]:
        """The columns of a file that can be used."""
        columns = []
        for one in self._unique(path, cells):
            try:
                columns.append(parse(one, rule))
            except BadColumn as error:
                self.add(path, one.name, str(error))
        return columns

    def join(
        self, columns: Sequence[Column], path: str, more: Sequence[Cells], rule: Rule
    ) -> list[Column]:
        """The columns with those of the test file below them."""
        names, joined = {column.name for column in columns}, []
        others = self._unique(path, [cells for cells in more if cells.name in names])
        by_name = {cells.name: cells for cells in others}
        for column in columns:
            try:
                if column.name in by_name:
                    joined.append(join(column, parse(by_name[column.name], rule, column)))
                elif column.name not in self.names:
                    raise BadColumn(f"{title(column.name)} is only in {self.path}")
            except BadColumn as error:
                self.add(path, column.name, str(error))
        return joined

    def check_text(self, columns: Sequence[Column]) -> None:
        """Finds words that are no categories."""
        for column in columns:
            if reason := why_text(column):
                if like := number_like(column):
                    reason += f" ({like!r} is no number: write 1200 or 0.5)"
                self.add(self.path, column.name, f"{title(column.name)}: {reason}")

    def check(self, names: Sequence[str]) -> None:
        """Refuses what was found.

        Args:
          names: of all columns beside the target.

        Raises:
          UserError: naming every column that cannot be used.
        """
        if not self.names:
            return
        told = []
        for path, problems in self.problems.items():
            more = len(problems) - MOST_TOLD
            told.append(f"{path}, {'; '.join(problems[:MOST_TOLD])}")
            told += [f"and {more} more columns"] if more > 0 else []
        if set(names) - set(self.names):
            them = "it" if len(self.names) == 1 else "them"
            told.append(f"{drop_flag([*self.left_out, *self.names])} leaves {them} out")
        elif names:
            told.append("no other column is left to predict from")
        raise UserError("; ".join(told))

    def _unique(self, path: str, cells: Sequence[Cells]) -> list[Cells]:
        """Those whose name no other has."""
        names = [one.name for one in cells]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                self.add(path, name, f"several columns named {name!r}: rename all but one")
        return [one for one in cells if names.count(one.name) == 1]
