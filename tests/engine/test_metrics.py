"""Tests of metrics as rows, and of the status of runs."""

import numpy as np
import pyarrow as pa
import pytest

from research.engine.axes import make_runs
from research.engine.cadence import Chunk
from research.engine.chunk import NEVER
from research.engine.metrics import Diverged, Record, as_status, diverged_runs, value
from research.engine.rows import record_table, row_labels, table_schema
from research.errors import UserError
from research.task import Mean
from tests.toy import ToyHParams

RUNS = make_runs(ToyHParams(), {"rate": [0.1, 0.2]}, [7])


def mean(total, weight):
    return Mean(np.float32(total), np.float32(weight))


def record(**changes):
    default = Record(
        chunk=Chunk(start=10, logs=2, log_every=5, evaluate=True),
        logged={
            "loss": mean([[5, 10], [15, np.nan]], [[5, 5], [5, 5]]),
            "event": mean([[0, 3], [0, 0]], [[0, 2], [0, 0]]),
        },
        evaluated={"score": mean([1, 2], [1, 1])},
        diverged=np.array([NEVER, 17], np.int32),
        seconds=1.0,
    )
    return default._replace(**changes)


def table(config_columns=None, metrics=("loss", "event", "score"), numbers=(0, 1), **options):
    config_columns = config_columns or {}
    schema = table_schema(RUNS.hparams, config_columns, metrics)
    labels = row_labels(RUNS, np.array(numbers), config_columns)
    return record_table(record(), labels, schema, **options)


def test_there_is_a_row_for_each_run_and_log_ordered_by_step():
    rows = table(numbers=(4, 9), work_after=lambda step: 3 * step)
    assert rows["run"].to_pylist() == [4, 9, 4, 9]
    assert rows["seed"].to_pylist() == [7, 7, 7, 7]
    assert rows["step"].to_pylist() == [15, 15, 20, 20]
    assert rows["work"].to_pylist() == [45, 45, 60, 60]
    assert rows["rate"].to_pylist() == [0.1, 0.2, 0.1, 0.2]


def test_unmeasured_values_are_null_and_non_finite_values_nan():
    rows = table()
    assert rows["event"].to_pylist() == [None, 1.5, None, None]
    assert rows["score"].to_pylist() == [None, None, 1, 2]
    loss = rows["loss"].to_pylist()
    assert loss[:3] == [1, 2, 3]
    assert np.isnan(loss[3])
    assert rows["loss"].null_count == 0


def test_a_metric_of_another_group_is_null():
    assert table(metrics=("loss", "other"))["other"].null_count == 4


def test_swept_config_fields_are_columns():
    rows = table(config_columns={"width": 64, "kind": "relu"})
    assert rows["width"].to_pylist() == [64] * 4
    assert rows["kind"].to_pylist() == ["relu"] * 4
    assert rows.schema.field("width").type == pa.int64()


@pytest.mark.parametrize("name", ["rate", "step", "seed"])
def test_a_metric_named_like_a_column_is_refused(name):
    with pytest.raises(UserError, match=name):
        table_schema(RUNS.hparams, {}, ("loss", name))


def test_value_is_total_over_weight_and_nan_without_warning_at_weight_0():
    np.testing.assert_array_equal(value(mean([3, 0, np.inf], [2, 0, 1])), [1.5, np.nan, np.inf])


def test_status_and_named_divergences_convert_back_and_forth():
    status = np.array([NEVER, 17, 0], np.int32)
    named = diverged_runs(status)
    assert named == [Diverged(run=1, step=17), Diverged(run=2, step=0)]
    np.testing.assert_array_equal(as_status([list(one) for one in named], 3), status)


@pytest.mark.parametrize(
    ("step", "column"),
    [
        (14, [None, 14, None, 14]),  # the last of the first log
        (15, [None, None, None, 15]),
        (3, [None, 3, None, 3]),  # before this chunk
        (NEVER, [None] * 4),
    ],
)
def test_rows_have_the_status_from_the_log_in_which_a_run_diverged(step, column):
    one = record(diverged=np.array([NEVER, step], np.int32))
    schema = table_schema(RUNS.hparams, {}, ("loss",))
    rows = record_table(one, row_labels(RUNS, np.array([0, 1])), schema)
    assert rows["diverged"].to_pylist() == column
