"""What schedulers have decided, as rows in the run folder, and what they knew, read back from it.

    decisions/JOB-STEP.parquet     one row for each run that stopped or took over another's state
    decisions/rung-N-STEP.parquet  one for each run that stopped after rung N of a halving

A row has the step, before which the run was trained otherwise: its number, the number of its parent
(null: it stopped), the reason, the scores of both by then, and the hyper-parameters from there on.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from research.engine.metrics import as_typed
from research.engine.schedule import Decision, Seen
from research.runs.parquet import open_tables, reading


def decision_table(seen: Seen, decision: Decision) -> pa.Table:
    """Returns the rows of a decision: of the runs that stop, or take over another's state."""
    places = np.arange(len(seen.runs))
    changed = np.flatnonzero(decision.stops | (decision.parents != places))
    last = seen.scores[-1] if len(seen.scores) else np.full(len(places), np.nan, np.float32)
    parents, stops = decision.parents[changed], decision.stops[changed]
    columns = {
        "step": pa.array(np.full(len(changed), seen.step), pa.int64()),
        "run": pa.array(seen.runs[changed], pa.int32()),
        "parent": pa.array(seen.runs[parents], pa.int32(), mask=stops),
        "why": pa.array([decision.why[place] for place in changed.tolist()], pa.string()),
        "score": _nullable(last[changed]),
        "parent_score": _nullable(np.where(stops, np.nan, last[parents])),
    }
    for field in dataclasses.fields(decision.hparams):
        columns[field.name] = pa.array(as_typed(getattr(decision.hparams, field.name)[changed]))
    return pa.table(columns)


def read_scores(
    metrics: Path, runs: Sequence[int], key_metric: str, steps: Sequence[int]
) -> np.ndarray:
    """Returns the key metric of some runs at some steps, as it was recorded: float32 [E, R], NaN
    where it was not defined.

    Args:
      metrics: the folder with the metrics of a sweep.
      runs: their numbers, in increasing order.
      key_metric: its column.
      steps: E steps, in increasing order.

    Raises:
      UserError: if the metrics are damaged.
    """
    scores = np.full((len(steps), len(runs)), np.nan, np.float32)
    tables = open_tables(metrics) if len(steps) else None
    if tables is None:
        return scores
    wanted = pc.field("run").isin(list(runs)) & pc.field("step").isin(list(steps))
    with reading(metrics):
        rows = tables.to_table(["run", "step", key_metric], filter=wanted)
    at = np.searchsorted(steps, rows["step"].to_numpy())
    of = np.searchsorted(runs, rows["run"].to_numpy())
    scores[at, of] = rows[key_metric].to_numpy()
    return scores


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values.astype(np.float32), pa.float32(), mask=np.isnan(values))
