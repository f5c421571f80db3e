"""Reads the trained nets of a run folder, and what else the tools of MLPs share."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from research.atomic import write_bytes
from research.cli.own_tasks import ProblemMaker, problem_maker
from research.errors import UserError
from research.folders import file_name
from research.limits import as_int, as_seed
from research.mlp import Config, HParams, make_problem
from research.mlp.data import load
from research.mlp.dataset import Dataset, Split
from research.mlp.task import fit_to, param_shapes
from research.report.one_run import one_run
from research.report.problems import by_problem, ranked_settings
from research.report.read import RunFolderData
from research.report.settings import Setting, settings
from research.report.statistics import iqm_interval
from research.runs.experiment import Experiment, restore_config
from research.runs.params import load_all_params


class Trained(NamedTuple):
    """The trained nets of one setting, those that diverged left out.

    Attributes:
      setting: the setting, as the report has it.
      config: their config, with the loss that the data decides.
      shared: the data that they were trained on.
      facts: what the run folder records of the data.
      runs: the numbers of the runs, int [R].
      seeds: their seeds, int [R].
      params: their params; every leaf is [R, ...].
    """

    setting: Setting
    config: Config
    shared: Dataset
    facts: dict[str, Any]
    runs: np.ndarray
    seeds: np.ndarray
    params: Any

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of the outputs; none of a regression."""
        return self.facts["classes"]


def finished_settings(data: RunFolderData) -> dict[str, list[Setting]]:
    """Returns the settings with a finite run by the title of their data set, the best by the key
    metric first; settings that a halving stopped are left out. One data set alone has no title.

    Raises:
      UserError: if there is none.
    """
    parts = {title: ranked_settings(data, some) for title, some in by_problem(data).items()}
    parts = {title: some for title, some in parts.items() if some}
    if not parts:
        raise UserError(f"{data.path} has no finite run that was evaluated yet")
    return parts


def only_data_set(data: RunFolderData) -> list[Setting]:
    """Returns the finished settings of a run folder of one data set.

    Raises:
      UserError: if there are several, of which none is the best of all.
    """
    parts = finished_settings(data)
    if len(parts) > 1:
        raise UserError(
            f"{data.path} has settings of {', '.join(parts)}, which are not compared: this tool "
            "takes the best of one data set, swept alone"
        )
    return next(iter(parts.values()))


def load_trained(
    data: RunFolderData, setting: Setting, experiment: Experiment | None = None
) -> Trained:
    """Returns the nets of one setting, and their data.

    Args:
      data: the run folder.
      setting: of it.
      experiment: that made it, if its code is in no file.

    Raises:
      UserError: if they have not ended, or the data is not what they were trained on.
    """
    rows = setting.rows.drop_duplicates("run").sort_values("run")
    runs, seeds = rows["run"].to_numpy(), rows["seed"].to_numpy()
    first = one_run(data, int(runs[0]))
    usual = ProblemMaker(Config(), HParams(), make_problem)
    maker = experiment or problem_maker(data.manifest, data.path, usual)
    config = restore_config(first.config, maker.config)
    recorded = data.manifest["data"][first.group : first.group + 1]
    if "categorical" not in first.config:
        config = read_as_recorded(config, recorded[0] if recorded else {})
    shared, facts = load(config.choice)
    if [one.get("sha256") for one in recorded] != [facts["sha256"]]:
        raise UserError(f"--data {config.data} is not what the runs of {data.path} were trained on")
    config = fit_to(config, shared)
    params = load_all_params(data.path, runs, param_shapes(config, shared), data.params)
    return Trained(setting, config, shared, facts, runs, seeds, params)


def read_as_recorded(config: Config, facts: Mapping[str, Any]) -> Config:
    """The config of a run folder, with which its table is read as it was for training: an older
    version took dates, ids and percents for categories or numbers, and recorded which."""
    columns = facts.get("columns") if config.target else None  # bundled sets have no target
    kinds: dict[str, list[str]] = {"category": [], "number": []}
    for column in columns or ():
        kinds[column["kind"]].append(column["name"])
    return dataclasses.replace(
        config, categorical=tuple(kinds["category"]), numeric=tuple(kinds["number"])
    )


def load_one(data: RunFolderData, number: int, experiment: Experiment | None = None) -> Trained:
    """Returns the net of one run, every leaf of its params [1, ...]; else as `load_trained`."""
    setting = next(one for one in settings(data) if number in set(one.rows["run"]))
    trained = load_trained(data, setting, experiment)
    at = np.flatnonzero(trained.runs == number)
    params = jax.tree.map(lambda leaf: leaf[at], trained.params)
    return trained._replace(runs=trained.runs[at], seeds=trained.seeds[at], params=params)


def first_rows(trained: Trained, part: str, most: int) -> Split:
    """Returns the first rows of a part."""
    split = getattr(trained.shared, part)
    return Split(split.x[:most], split.y[:most])


def at_once(config: Config) -> int:
    """Returns how many runs to compute side by side: few with convolutions, which need memory."""
    return 2 if config.channels else 16


def named_after(name: str, title: str, suffix: str = ".png") -> str:
    """Returns the name of a figure of one data set, with its title if there are several."""
    return f"{name}-{file_name(title)}{suffix}" if title else f"{name}{suffix}"


def summary(values_R: np.ndarray) -> str:
    """Returns median, interquartile mean and its interval over runs, as the cell of a table."""
    iqm, low, high = map(float, iqm_interval(values_R))
    return f"{np.median(values_R):.4g} {iqm:.4g} [{low:.4g}, {high:.4g}]"


def table_path(run_folder: Path, name: str) -> Path:
    """Returns the path of `evaluation/NAME.parquet` of a run folder."""
    return run_folder / "evaluation" / f"{name}.parquet"


def write_table(run_folder: Path, name: str, table: pd.DataFrame) -> Path:
    """Writes `evaluation/NAME.parquet` of a run folder and returns its path.

    Raises:
      OSError: if it cannot be written.
    """
    path = table_path(run_folder, name)
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, table.to_parquet(index=False))
    return path


def check_choice(part: str, seed: int, **counts: int | None) -> None:
    """Checks the flags of tools that look at rows of a part.

    Raises:
      UserError: naming what is out of range.
    """
    for name, count in counts.items():
        if count is not None:
            as_int(f"--{name}", count, low=1)
    if part not in ("train", "validation", "test"):
        raise UserError(f"--part {part}: there are train, validation, test")
    as_seed("--seed", seed)
