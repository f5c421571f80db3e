"""Populations in a report: each counts as one run, that of its best member at the end.

What came of a population is the agent that it ends with. Its history is that of its state, which
was trained in several members, each for a while: their rows make the learning curve.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa

from research.errors import UserError
from research.runs.lineage import Segment, lineage
from research.runs.parquet import open_tables, reading

MEMBERS = "population"  # the column that stands for all hyper-parameters that are searched
_is_text = lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind)
_is_count = pa.types.is_integer
COLUMNS = {"step": _is_count, "run": _is_count, "parent": _is_count, "why": _is_text}


def is_population(manifest: Mapping[str, Any]) -> bool:
    """Whether the settings of a run folder were trained as populations."""
    return bool(manifest.get("population"))


def read_decisions(path: Path, manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Reads what a scheduler decided about the runs of a folder, in the order of steps; no rows
    where it has not decided anything yet.

    Raises:
      UserError: if a file is damaged.
    """
    folder, names = path / "decisions", list(manifest["hparams_axes"])
    tables = open_tables(folder)
    if tables is None:
        return pd.DataFrame({name: [] for name in [*COLUMNS, *names]})
    with reading(folder):
        table = tables.to_table()
    for name in [*COLUMNS, *names]:
        if table.column_names.count(name) != 1:
            _damaged(folder, f"column {name} is missing, or there twice")
        kind = table.schema.field(name).type
        number = (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        )
        if not COLUMNS.get(name, lambda _: number)(kind):  # noqa: B023
            _damaged(folder, f"column {name} holds {kind}")
    decisions = table.to_pandas().sort_values(["step", "run"], ignore_index=True)
    _check_rows(decisions, manifest, folder)
    return decisions


def _check_rows(decisions: pd.DataFrame, manifest: Mapping[str, Any], folder: Path) -> None:
    """Checks that each decision is of a run of the sweep, and that its parent is of the same
    population."""
    if decisions[["step", "run"]].isna().any(axis=None) or (decisions["step"] < 1).any():
        _damaged(folder, "a decision has no run or no step")
    if decisions.duplicated(["step", "run"]).any():
        _damaged(folder, "two decisions are of the same run and step")
    runs = sum(group["runs"] for group in manifest["groups"])
    moved = decisions[decisions["parent"].notna()]
    for name, numbers in (("run", decisions["run"]), ("parent", moved["parent"])):
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < runs:
            _damaged(folder, f"column {name} has a run that there is not")
    group, seeds = group_of(manifest, runs), len(manifest["seeds"])
    child, parent = moved["run"].to_numpy(np.int64), moved["parent"].to_numpy(np.int64)
    if np.any(group[child] != group[parent]) or np.any(child % seeds != parent % seeds):
        _damaged(folder, "a run takes over from one of another population")
    for name in manifest["hparams_axes"]:
        if not np.isfinite(moved[name].to_numpy(np.float64)).all():
            _damaged(folder, f"column {name} lacks a value")


def group_of(manifest: Mapping[str, Any], runs: int) -> np.ndarray:
    """The number of the group of each run: int [runs]."""
    firsts = [group["first_run"] for group in manifest["groups"]]
    return np.searchsorted(firsts, np.arange(runs), side="right") - 1


def best_paths(
    members: pd.DataFrame, decisions: pd.DataFrame, manifest: Mapping[str, Any]
) -> pd.DataFrame:
    """The metrics of populations, each as one run: the rows that trained the state which its best
    member has now, under the number of that member, with the hyper-parameters that were used.

    Args:
      members: the metrics of all runs.
      decisions: what was decided on the way.
      manifest: of the run folder.
    """
    names, seeds = list(manifest["hparams_axes"]), len(manifest["seeds"])
    group = group_of(manifest, int(members["run"].max()) + 1)[members["run"].to_numpy()]
    apart = members.groupby([group, members["run"] % seeds], sort=True)
    paths = []
    for _, rows in apart:
        best = best_member(rows, decisions, manifest)
        paths.append(_path(rows, decisions, best, names))
    found = pd.concat(paths, ignore_index=True)
    size = np.array([group["runs"] // seeds for group in manifest["groups"]])
    place = group_of(manifest, sum(group["runs"] for group in manifest["groups"]))
    found.insert(2, MEMBERS, size[place[found["run"].to_numpy()]])
    return found


def best_member(rows: pd.DataFrame, decisions: pd.DataFrame, manifest: Mapping[str, Any]) -> int:
    """The member with the best key metric at the last step at which any finite one has it, of the
    rows of one population; the first member where none has.

    Of equal ones, as where all have solved their problem, it is the one whose history scored best
    on average: a schedule that was good from early on is more likely to be good on other seeds.
    """
    key = manifest["key_metric"]
    measured = rows[rows[key].notna()]
    if "diverged" in rows:
        measured = measured[measured["diverged"].isna()]
    if not len(measured):
        return int(rows["run"].min())
    last = measured[measured["step"] == measured["step"].max()].sort_values("run")
    sign = 1.0 if manifest["higher_is_better"] else -1.0
    scores = sign * last[key].to_numpy(np.float64)
    equal = last["run"].to_numpy()[scores == np.max(scores)].tolist()
    if len(equal) == 1:
        return int(equal[0])
    paths = [_path(rows, decisions, one, []) for one in equal]
    return int(equal[int(np.argmax([sign * path[key].mean() for path in paths]))])


def _path(
    rows: pd.DataFrame, decisions: pd.DataFrame, run: int, names: Sequence[str]
) -> pd.DataFrame:
    """The rows that trained the state that a member has now, as its own."""
    last = int(rows["step"].max())
    history = lineage(decisions, run, last, names)
    return pd.concat([_trained(rows, segment, run) for segment in history], ignore_index=True)


def _trained(rows: pd.DataFrame, segment: Segment, best: int) -> pd.DataFrame:
    """The rows of one stretch, as those of the best member."""
    step = rows["step"]
    mine = rows[(rows["run"] == segment.run) & (step > segment.start) & (step <= segment.stop)]
    return mine.assign(run=best, **(segment.hparams or {}))


def values_now(
    members: pd.DataFrame, decisions: pd.DataFrame, run: int, names: Sequence[str]
) -> dict[str, Any]:
    """The hyper-parameters that a run has now: field -> value."""
    mine = decisions[(decisions["run"] == run) & decisions["parent"].notna()]
    row = mine.iloc[-1] if len(mine) else members[members["run"] == run].iloc[0]
    return {name: row[name] for name in names}


def _damaged(folder: Path, reason: str) -> NoReturn:
    raise UserError(f"{folder} is damaged: {reason}")
