"""Reads the folders of Parquet files in a run folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from research.errors import UserError
from research.folders import check_is_file, files_in


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turns the errors that damaged files raise into one that names their folder.

    Raises:
      UserError: for a file that cannot be read.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
        raise UserError(f"{folder} is damaged: {error}") from error


def open_tables(folder: Path) -> ds.Dataset | None:
    """Opens all tables of a folder as one, whose rows are read later; None where there are none.

    Raises:
      UserError: if one is damaged, or no plain file.
    """
    paths = files_in(folder, "*.parquet")
    if not paths:
        return None
    with reading(folder):
        for path in paths:
            check_is_file(path)
        return ds.dataset([str(path) for path in paths])
