"""Reading a run folder: its manifest and metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from research.errors import UserError
from research.folders import named
from research.recorded import read_manifest
from research.report.metrics_table import check_columns, check_rows
from research.report.population import MEMBERS, best_paths, is_population, read_decisions
from research.runs.early_stop import stops_of
from research.runs.parquet import open_tables, reading

MOST_CELLS = 2**32  # of the metrics; a file of a few bytes can claim any number of them


class NothingYet(UserError):
    """A run folder that has no metrics yet."""


class RunFolderData(NamedTuple):
    """A run folder in memory.

    Attributes:
      path: of the folder.
      manifest: what was run, on what, and how it went.
      metrics: one row a run and logged step; null (NA) is a number that was not measured. Of a
        run that has diverged, `diverged` has the step from there on. Of a population, the
        history of its best member alone, as one run.
      members: the metrics of all members of populations; None where there are none.
      decisions: what a scheduler decided about them; None where there is none.
      params: which params of a run are loaded: the last, or those of its best evaluation.
      stopped: each run that was stopped early -> the step, and why.
    """

    path: Path
    manifest: dict[str, Any]
    metrics: pd.DataFrame
    members: pd.DataFrame | None = None
    decisions: pd.DataFrame | None = None
    params: str = "last"
    stopped: Mapping[int, tuple[int, str]] = {}

    @property
    def all_rows(self) -> pd.DataFrame:
        """The metrics of all runs that were trained, members of populations included."""
        return self.metrics if self.members is None else self.members


def read_run_folder(path: str | Path) -> RunFolderData:
    """Reads the manifest and the metrics of a run folder.

    Raises:
      UserError: if it is no run folder, or a file in it is damaged.
      NothingYet: if it holds no metrics yet.
    """
    path = named(Path(path))
    manifest = read_manifest(path)
    table = _read_metrics(path / "metrics", manifest)
    if table is None or not len(table):
        raise NothingYet(f"{path} has no metrics yet")
    check_rows(table, manifest, path / "metrics")
    if not is_population(manifest):
        return RunFolderData(path, manifest, table, stopped=_read_stops(path, manifest))
    decisions = read_decisions(path, manifest)
    paths = best_paths(table, decisions, manifest)
    return RunFolderData(path, manifest, paths, table, decisions)


def _read_stops(path: Path, manifest: Mapping[str, Any]) -> dict[int, tuple[int, str]]:
    """The runs that were stopped early: by the results of jobs that have ended, and by what was
    decided in the others."""
    if not manifest.get("early_stop"):
        return {}
    found: dict[int, tuple[int, str]] = {}
    if tables := open_tables(path / "decisions"):
        with reading(path / "decisions"):
            found = {
                int(row["run"]): (int(row["step"]), str(row["why"]))
                for row in tables.to_table(["run", "step", "parent", "why"]).to_pylist()
                if row["parent"] is None
            }
    for result in manifest["results"]:
        found |= stops_of(result["stopped"])
    return found


def _read_metrics(folder: Path, manifest: Mapping[str, Any]) -> pd.DataFrame | None:
    """The metrics of a run folder, of columns that a sweep has; None where there are none."""
    data = open_tables(folder)
    if data is None:
        return None
    check_columns(data.schema, manifest, folder)
    with reading(folder):
        if data.count_rows() * len(data.schema) > MOST_CELLS:
            raise UserError(f"{folder} is damaged: {data.count_rows():,} rows are too many")
        return data.to_table().to_pandas(types_mapper=_nullable)


def workload_of(manifest: Mapping[str, Any]) -> str:
    """The name of the workload of a run folder; in older ones, that of the experiment."""
    return str(manifest.get("workload") or manifest["experiment"])


def read_run_of(path: str | Path, *workloads: str) -> RunFolderData:
    """The run folder of a certain workload, as `read_run_folder` reads it.

    Args:
      path: of the run folder.
      workloads: the name of the workload, and those of its experiments in older folders.

    Raises:
      UserError: if it is of another.
    """
    run = read_run_folder(path)
    if (found := workload_of(run.manifest)) not in workloads:
        raise UserError(
            f"{run.path} is a run folder of {found}, not of {workloads[0]}; "
            "scripts/README.md says which tools take it"
        )
    return run


def swept(manifest: dict[str, Any]) -> list[str]:
    """The columns that tell one setting from another. A population is one setting, whatever the
    hyper-parameters of its members."""
    if is_population(manifest):
        return [*manifest["config_axes"], MEMBERS]
    return swept_fields(manifest)


def swept_fields(manifest: dict[str, Any]) -> list[str]:
    """The config fields and hyper-parameters that have several values."""
    return [*manifest["config_axes"], *manifest["hparams_axes"]]


def stopped_runs(manifest: dict[str, Any]) -> set[int]:
    """The runs that a successive halving ended before the others."""
    return {run for rung in manifest.get("rungs", []) for run in rung["stopped_runs"]}


class RungCounts(NamedTuple):
    """How many settings ended a rung of a halving, and how many trained on from there.

    Attributes:
      rung: its number; the first is 1.
      step: where it ended; several where the groups differ.
      settings, kept: how many.
      batches: in how many they were promoted one after the other; 0 where all waited for the last.
    """

    rung: int
    step: str
    settings: int
    kept: int
    batches: int

    def in_words(self) -> str:
        """It as a part of a sentence."""
        return f"{self.kept:,} of {self.settings:,} from step {self.step}"


def rung_counts(manifest: Mapping[str, Any]) -> list[RungCounts]:
    """How many settings ended each rung of a halving that has begun to thin them out."""
    return [
        RungCounts(
            number,
            " or ".join(f"{step:,}" for step in sorted(set(rung["steps"]))),
            rung["settings"],
            rung["kept"],
            len(rung.get("promotions", [])),
        )
        for number, rung in enumerate(manifest.get("rungs", []), start=1)
        if rung.get("steps") and rung.get("settings") and rung.get("kept") is not None
    ]


def is_asynchronous(manifest: Mapping[str, Any]) -> bool:
    """Whether the settings were promoted before all had ended a rung."""
    return bool((manifest.get("halving") or {}).get("asynchronous"))


def diverged_runs(run: RunFolderData) -> set[int]:
    """The runs that became non-finite, in all groups, as the engine recorded it: in the metrics
    while they are trained, and in the manifest, which is all that older folders have."""
    found = {one["run"] for one in named_divergences(run.manifest)}
    if "diverged" in run.metrics:
        found |= set(run.metrics["run"][run.metrics["diverged"].notna()].tolist())
    return found


def named_divergences(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Each run that became non-finite, of the jobs that have ended, in order, with its step, seed
    and setting. One that several jobs trained is named by all after it diverged, and given once."""
    results = manifest.get("results", [])
    first: dict[int, dict[str, Any]] = {}
    for one in (one for result in results for one in result["diverged"]):
        first.setdefault(one["run"], one)
    return [first[run] for run in sorted(first)]


def metric_names(run: RunFolderData) -> list[str]:
    """The columns that hold metrics."""
    columns = list(run.metrics.columns)
    return columns[columns.index("work") + 1 :]


def _nullable(dtype: pa.DataType) -> Any:
    """Keeps null apart from NaN, which pandas' own floats confuse."""
    return pd.ArrowDtype(dtype) if pa.types.is_floating(dtype) else None
