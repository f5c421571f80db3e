"""Turns the metrics of a chunk into tidy rows: one per run and logged step."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from research.engine.axes import Runs
from research.engine.metrics import Record, as_typed, value
from research.errors import UserError, shortlist
from research.task import Mean


def table_schema(
    hparams: Any, config_columns: Mapping[str, Any], metrics: Sequence[str]
) -> pa.Schema:
    """Returns the columns of the metrics of an experiment, in order.

    Raises:
      UserError: if a metric is named like a hyper-parameter or like another column.
    """
    columns = [("run", pa.int32()), ("seed", pa.int64())]
    columns += [(name, pa.array([sample]).type) for name, sample in config_columns.items()]
    for field in dataclasses.fields(hparams):
        columns.append((field.name, pa.array(as_typed(getattr(hparams, field.name))).type))
    columns += [("step", pa.int64()), ("diverged", pa.int64()), ("work", pa.int64())]
    taken = {name for name, _ in columns}
    if both := sorted(taken & set(metrics)):
        raise UserError(f"metrics named like other columns: {shortlist(both)}; rename them")
    return pa.schema(columns + [(name, pa.float32()) for name in metrics])


def row_labels(
    runs: Runs, numbers: np.ndarray, config_columns: Mapping[str, Any] = {}
) -> dict[str, np.ndarray]:
    """Returns the columns that identify a run in every row: column -> values [R].

    Args:
      runs: the runs.
      numbers: what they are called, [R].
      config_columns: swept config field -> value.
    """
    swept = {name: np.full(len(runs), value) for name, value in config_columns.items()}
    hparams = {
        field.name: as_typed(getattr(runs.hparams, field.name))
        for field in dataclasses.fields(runs.hparams)
    }
    return {"run": numbers, "seed": runs.seeds} | swept | hparams


def labels_of(labels: Mapping[str, np.ndarray], record: Record) -> Mapping[str, np.ndarray]:
    """Returns the labels of the runs that a record is of, from those of all runs."""
    if record.places is None:
        return labels
    return {name: values[record.places] for name, values in labels.items()}


def record_table(
    record: Record,
    labels: Mapping[str, np.ndarray],
    schema: pa.Schema,
    work_after: Callable[[Any], Any] = lambda step: step,
) -> pa.Table:
    """Returns a record as rows, ordered by step, then run. What was not measured is null.

    The column `diverged` has the status of the run: the first step, counted from 0, at which it
    was not finite; null before that step and in a run that has always been finite.

    Args:
      record: of a chunk.
      labels: as `row_labels` gives them, of its runs.
      schema: the columns, in order.
      work_after: step -> the work that is done by then.
    """
    logs, count = record.chunk.logs, len(labels["run"])
    step = record.chunk.start + record.chunk.log_every * (1 + np.arange(logs))
    step = np.minimum(step, record.chunk.end).repeat(count)
    columns = {name: np.tile(values, logs) for name, values in labels.items()}
    columns |= {"step": step, "work": work_after(step)}
    first_bad = np.tile(record.diverged.astype(np.int64), logs)
    arrays = []
    for field in schema:
        if field.name == "diverged":
            arrays.append(pa.array(first_bad, field.type, mask=first_bad >= step))
        elif field.name in columns:
            arrays.append(pa.array(columns[field.name], field.type))
        elif field.name in record.logged:
            arrays.append(_nullable(record.logged[field.name]))
        elif field.name in record.evaluated:
            arrays.append(_in_last_log(record.evaluated[field.name], logs))
        else:
            arrays.append(pa.nulls(len(step), field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _nullable(mean: Mean) -> pa.Array:
    absent = np.asarray(mean.weight) == 0
    return pa.array(value(mean).ravel(), pa.float32(), mask=absent.ravel())


def _in_last_log(mean: Mean, logs: int) -> pa.Array:
    """Evaluated values [R] as [logs, R] with nothing before the last log."""

    def pad(leaf):
        leaf = np.asarray(leaf)
        return np.concatenate([np.zeros((logs - 1, *leaf.shape), leaf.dtype), leaf[None]])

    return _nullable(Mean(pad(mean.total), pad(mean.weight)))
