"""What the metrics of a run folder must hold, whoever made it: the columns and rows of a sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa

from research.errors import UserError

COUNTS = ("run", "seed", "step", "work")  # columns of whole numbers that no row lacks
MOST_COUNT = 2**53
MOST_FLOAT = float(np.finfo(np.float32).max)


def check_columns(schema: pa.Schema, manifest: Mapping[str, Any], path: Path) -> None:
    """Checks that the columns are those of a sweep, before anything is made of them.

    Args:
      schema: of the metrics.
      manifest: of the run folder.
      path: of the metrics, for the error.

    Raises:
      UserError: for a column that is missing, there twice, or of another type.
    """
    names, axes = list(schema.names), _axes(manifest)
    if twice := [name for name in names if names.count(name) > 1]:
        _damaged(path, f"column {twice[0]} is there twice")
    for name in [*COUNTS, *axes, manifest["key_metric"]]:
        if name not in names:
            _damaged(path, f"column {name} is missing")
    metrics = names[names.index("work") + 1 :]
    if manifest["key_metric"] not in metrics or {*COUNTS, *axes} & {*metrics}:
        _damaged(path, "metrics, and no other columns, stand after the column work")
    for name in names:
        fits, what = _is_scalar, "numbers or words"
        if name in (*COUNTS, "diverged"):
            fits, what = pa.types.is_integer, "whole numbers"
        elif name in metrics:
            fits, what = _is_number, "numbers"
        if not fits(kind := schema.field(name).type):
            _damaged(path, f"column {name} holds {kind}, not {what}")


def check_rows(table: pd.DataFrame, manifest: Mapping[str, Any], path: Path) -> None:
    """Checks that each row is of a run of the sweep, at a step of its own, and finite unless the
    run has diverged.

    Args:
      table: the metrics, of columns that `check_columns` has checked.
      manifest: of the run folder.
      path: of the metrics, for the error.

    Raises:
      UserError: naming what is wrong.
    """
    axes = _axes(manifest)
    for name in [*COUNTS, *axes]:
        if table[name].isna().any() or not _is_finite(table[name]):
            _damaged(path, f"column {name} lacks a value")
    for name in COUNTS:
        if table[name].min() < 0 or table[name].max() >= MOST_COUNT:
            _damaged(path, f"column {name} is out of range")
    runs = sum(group["runs"] for group in manifest["groups"])
    if (last := table["run"].max()) >= runs:
        _damaged(path, f"a row is of run {last}, and there are {runs} runs")
    if table.duplicated(["step", "run"]).any():
        _damaged(path, "two rows are of the same run and step")
    if not _is_one_run_each(table, runs, ["seed", *axes]):
        _damaged(path, "each run has one seed and one setting, which no other run has")
    if "diverged" in table:  # not in folders of older versions
        _check_metrics(table, path)


def _is_one_run_each(table: pd.DataFrame, runs: int, names: list[str]) -> bool:
    """Whether all rows of a run have the same values of some columns, and no two runs have."""
    run = table["run"].to_numpy()
    row_of = np.zeros(runs, np.int64)
    row_of[run] = np.arange(len(run))  # any of its rows
    for name in names:
        values = table[name].to_numpy()
        if not np.array_equal(values, values[row_of[run]]):
            return False
    return not table.iloc[np.unique(row_of[run])].duplicated(names).any()


def _check_metrics(table: pd.DataFrame, path: Path) -> None:
    """Checks that all metrics of runs that have not diverged are finite."""
    diverged = table["run"][table["diverged"].notna()].unique()
    rows = table[~table["run"].isin(diverged)]
    for name in table.columns[list(table.columns).index("work") + 1 :]:
        if not _is_finite(rows[name]):
            _damaged(path, f"column {name} is not finite in a run that has not diverged")


def _is_finite(column: pd.Series) -> bool:
    """Whether every number of a column is finite as a float32; columns of text always are."""
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return True
    with np.errstate(invalid="ignore"):  # of signalling NaN
        values = column.dropna().to_numpy(np.float64)
    return bool((np.abs(values) <= MOST_FLOAT).all())


def _axes(manifest: Mapping[str, Any]) -> list[str]:
    return [*manifest["config_axes"], *manifest["hparams_axes"]]


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _is_scalar(kind: pa.DataType) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return text or _is_number(kind) or pa.types.is_boolean(kind)


def _damaged(path: Path, reason: str) -> NoReturn:
    raise UserError(f"{path} is damaged: {reason}")
