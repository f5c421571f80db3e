"""Tests of what the metrics of a run folder must hold."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from research.errors import UserError
from research.report.metrics_table import check_columns, check_rows

MANIFEST = {
    "config_axes": {"kind": ["a"]},
    "hparams_axes": {"rate": [0.1, 0.2]},
    "key_metric": "score",
    "groups": [{"runs": 4}],
}


def make(**changes):
    """The rows of two settings with two runs each, at two steps."""
    columns = {
        "run": [0, 1, 2, 3] * 2,
        "seed": [0, 1, 0, 1] * 2,
        "kind": ["a"] * 8,
        "rate": [0.1, 0.1, 0.2, 0.2] * 2,
        "step": [1] * 4 + [2] * 4,
        "diverged": pa.array([None] * 7 + [1], pa.int64()),
        "work": [5] * 4 + [10] * 4,
        "loss": pa.array([1.0] * 7 + [np.nan], pa.float32()),
        "score": pa.array([None] * 4 + [1.0] * 4, pa.float32()),
    }
    return pa.table({name: one for name, one in (columns | changes).items() if one is not None})


def check(table):
    check_columns(table.schema, MANIFEST, "metrics")
    nullable = lambda kind: pd.ArrowDtype(kind) if pa.types.is_floating(kind) else None
    check_rows(table.to_pandas(types_mapper=nullable), MANIFEST, "metrics")


def test_rows_of_a_sweep_are_right():
    check(make())
    check(make(diverged=None))  # of an older version


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rate": None}, "column rate is missing"),
        ({"score": None}, "column score is missing"),
        ({"work": None, "seed": None}, "column seed is missing"),
        ({"run": [0.0, 1, 2, 3] * 2}, "column run holds double, not whole numbers"),
        ({"score": ["x"] * 8}, "column score holds string, not numbers"),
        ({"kind": [["a"]] * 8}, r"column kind holds list<.*>, not numbers or words"),
        ({"kind": [None, *["a"] * 7]}, "column kind lacks a value"),
        ({"rate": [np.nan, *[0.1] * 7]}, "column rate lacks a value"),
        ({"step": [1, 1, 1, 1, 1, 2, 2, 2]}, "two rows are of the same run and step"),
        ({"run": [0, 1, 2, 4] * 2}, "a row is of run 4, and there are 4 runs"),
        ({"work": [-1] * 8}, "column work is out of range"),
        ({"seed": [0] * 8}, "each run has one seed and one setting"),
        ({"rate": [0.1] * 4 + [0.2] * 4}, "each run has one seed and one setting"),
        ({"loss": [np.inf, *[1.0] * 7]}, "column loss is not finite in a run that has not"),
        ({"loss": [1e39, *[1.0] * 7]}, "column loss is not finite in a run that has not"),
    ],
)
def test_rows_of_no_sweep_are_refused(changes, says):
    with pytest.raises(UserError, match=f"metrics is damaged: {says}"):
        check(make(**changes))


def test_a_setting_that_stands_among_the_metrics_is_refused():
    table = make()
    names = [name for name in table.column_names if name != "rate"]
    with pytest.raises(UserError, match="metrics, and no other columns, stand after"):
        check(table.select([*names, "rate"]))
