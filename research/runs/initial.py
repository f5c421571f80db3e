"""Params that runs begin with instead of random ones: taken from another run folder and kept in
their own, so that a resume needs nothing else.

    init/GROUP.safetensors   params of the other folder's runs, and which run begins with which
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from research.engine.axes import Runs
from research.engine.one_run import trace_one_run
from research.errors import UserError
from research.recorded import RecordedInitial, read_manifest
from research.runs.experiment import Part
from research.runs.run_folder import load_all_params, load_file
from research.runs.tensors import load_facts, load_tree, save_tree
from research.task import Problem


class InitFrom(NamedTuple):
    """Where runs take their first params from.

    Attributes:
      asked: as the user gave it.
      folder: the other run folder.
      choose: seeds -> the number of a run of that folder for each.
    """

    asked: str
    folder: Path
    choose: Callable[[Sequence[int]], Sequence[int]]


class Initial(NamedTuple):
    """The first params of the runs of one group.

    Attributes:
      params: every leaf [N, ...], of N runs of the other folder.
      runs: the numbers of these.
      rows: for each run of the group, which of them it takes.
    """

    params: Any
    runs: list[int]
    rows: list[int]


def take_initial(init_from: InitFrom, parts: Sequence[Part]) -> dict[int, Initial]:
    """Returns the first params of all runs, by group.

    Raises:
      UserError: if the folder or a run is not there, has not ended, or is of another model.
    """
    found = {}
    for part in parts:
        runs = part.group.runs
        chosen = init_from.choose([int(seed) for seed in runs.seeds])
        numbers = sorted(set(chosen))
        _check_files(part.problem, init_from.folder, numbers)
        like = _params_like(part.problem, runs)
        params = load_all_params(init_from.folder, numbers, like)
        found[part.number] = Initial(params, numbers, [numbers.index(one) for one in chosen])
    return found


def save_initial(folder: Path, initial: Mapping[int, Initial]) -> None:
    """Writes first params into a run folder that is being made."""
    (folder / "init").mkdir()
    for group, (params, runs, rows) in initial.items():
        facts = {"group": group, "runs": runs, "rows": rows}
        save_tree(_path(folder, group), params, facts)


def load_initial(folder: Path, part: Part, places: Sequence[int]) -> Any:
    """Returns the first params of some runs of a group, every leaf [runs, ...].

    Args:
      folder: of the sweep.
      part: the group.
      places: of the runs in it.

    Raises:
      UserError: if they are missing or damaged.
    """
    path = _path(folder, part.number)
    facts = load_facts(path, RecordedInitial)
    rows, count = facts["rows"], len(facts["runs"])
    if len(rows) != len(part.group.runs) or max(rows) >= count:
        raise UserError(f"{path} is damaged: rows: should be one of {count} for each run")
    one = _params_like(part.problem, part.group.runs)
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), one)
    params = load_tree(path, like)
    return jax.tree.map(lambda leaf: leaf[np.array(rows)[list(places)]], params)


def _path(folder: Path, group: int) -> Path:
    return folder / "init" / f"{group}.safetensors"


def _params_like(problem: Problem, runs: Runs) -> Any:
    """The params of one run as `jax.ShapeDtypeStruct`."""
    return trace_one_run(problem, runs).state.params


def _check_files(problem: Problem, folder: Path, runs: Sequence[int]) -> None:
    """Raises a `UserError` if params of another run folder do not mean the same here, as with
    another vocabulary."""
    groups = read_manifest(folder)["groups"]
    for number in {
        max(i for i, one in enumerate(groups) if one["first_run"] <= run) for run in runs
    }:
        for name, content in problem.files.items():
            if load_file(folder, number, name) != content:
                raise UserError(
                    f"--init-from {folder}: its {name} is another, so that its params mean "
                    "something else here; train on the same data"
                )
