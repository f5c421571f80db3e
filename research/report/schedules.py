"""The hyper-parameters and scores of populations over time, as numbers to draw: of each member, and
of the history of the best."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from research.report.population import MEMBERS
from research.report.read import RunFolderData

MOST_FIELDS = 6  # hyper-parameters that are drawn
LOG_FROM = 30.0  # a ratio of the largest to the smallest value, from which an axis is logarithmic


class Path(NamedTuple):
    """Values along one line of a figure.

    Attributes:
      label: of a best member, its seed and number; empty for any other.
      at: [T], steps or work.
      values: float64 [T].
      taken: [K], where a state was taken over.
    """

    label: str
    at: np.ndarray
    values: np.ndarray
    taken: np.ndarray


class Schedule(NamedTuple):
    """One hyper-parameter, or the score, of populations of one config over time.

    Attributes:
      name: of the column.
      members: a line for each member.
      best: the history of the best member of each population, which is one of several members at
        different times.
      log: whether its axis is logarithmic.
      steps: whether values hold until they change, as those of hyper-parameters.
    """

    name: str
    members: list[Path]
    best: list[Path]
    log: bool
    steps: bool


def schedules(run: RunFolderData, group: int) -> list[Schedule]:
    """The score of the populations of one group, then each hyper-parameter that is searched."""
    assert run.members is not None
    assert run.decisions is not None
    key = str(run.manifest["key_metric"])
    first = run.manifest["groups"][group]["first_run"]
    numbers = range(first, first + run.manifest["groups"][group]["runs"])
    members = run.members[run.members["run"].isin(numbers)]
    best = run.metrics[run.metrics["run"].isin(numbers)]
    decisions = run.decisions[run.decisions["run"].isin(numbers)]
    found = [_scores(run, members, best, key)]
    names = list(run.manifest["hparams_axes"])[:MOST_FIELDS]
    return [*found, *(_values(run, members, best, decisions, name) for name in names)]


def _scores(run: RunFolderData, members: pd.DataFrame, best: pd.DataFrame, key: str) -> Schedule:
    measured = [table[table[key].notna()] for table in (members, best)]
    lines = [
        [_path(run, rows, rows[key], named) for _, rows in table.groupby("run")]
        for table, named in zip(measured, (False, True), strict=True)
    ]
    return Schedule(key, *lines, log=False, steps=False)


def _values(
    run: RunFolderData,
    members: pd.DataFrame,
    best: pd.DataFrame,
    decisions: pd.DataFrame,
    name: str,
) -> Schedule:
    """A hyper-parameter of all members: the columns have what each began with, and decisions what
    came after."""
    changed = {int(one): rows for one, rows in decisions.groupby("run")}
    lines = []
    for number, rows in members.groupby("run"):
        mine, steps = changed.get(int(number)), rows["step"].to_numpy()  # type: ignore[arg-type]
        values = np.full(len(rows), float(rows[name].iloc[0]))
        for step, value in [] if mine is None else mine[["step", name]].to_numpy(np.float64):
            values[steps > step] = value
        lines.append(_path(run, rows, pd.Series(values), named=False))
    paths = [_path(run, rows, rows[name], named=True) for _, rows in best.groupby("run")]
    every = np.concatenate([line.values for line in [*lines, *paths]])
    low, high = np.min(every), np.max(every)
    return Schedule(name, lines, paths, log=bool(low > 0 and high / low >= LOG_FROM), steps=True)


def _path(run: RunFolderData, rows: pd.DataFrame, values: pd.Series, named: bool) -> Path:
    at = rows["work" if run.manifest["in_work"] else "step"].to_numpy(np.float64)
    label, taken = "", np.zeros(0)
    if named:
        label = f"seed {rows['seed'].iloc[0]}, run {rows['run'].iloc[0]}"
        taken = at[_changes(rows, list(run.manifest["hparams_axes"]))]
    return Path(label, at, values.to_numpy(np.float64), taken)


def _changes(rows: pd.DataFrame, names: list[str]) -> np.ndarray:
    """The places of the last rows before a hyper-parameter of a history changes."""
    values = rows[names].to_numpy(np.float64)
    return np.flatnonzero(np.any(values[1:] != values[:-1], axis=1))


def title_of(run: RunFolderData, group: int) -> str:
    """What the populations of a group are, in words."""
    labels = [
        f"{name} {run.manifest['groups'][group][name]}" for name in run.manifest["config_axes"]
    ]
    size = int(run.metrics[MEMBERS].iloc[0])
    return ", ".join([f"populations of {size}", *labels])


def groups_with_rows(run: RunFolderData) -> Iterator[int]:
    """The groups that have been measured."""
    runs = set(run.metrics["run"].tolist())
    for number, group in enumerate(run.manifest["groups"]):
        if runs & {*range(group["first_run"], group["first_run"] + group["runs"])}:
            yield number
