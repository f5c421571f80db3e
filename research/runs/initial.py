"""What runs begin with instead of random params: params or whole states of another run folder. They
are kept in the new one, so that a resume needs nothing else.

    init/GROUP.safetensors   what runs of the other folder give, and which run begins with which
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from research.engine.one_run import trace_one_run, with_run_axis
from research.errors import UserError
from research.recorded import RecordedInitial, RecordedProgress, checked, read_manifest
from research.runs.checkpoints import Checkpoint, Checkpoints
from research.runs.early_stop import stops_of
from research.runs.experiment import Part
from research.runs.held import Held, held_shapes
from research.runs.jobs import Job
from research.runs.manifest import seal_of
from research.runs.params import load_all_params
from research.runs.run_folder import RunFolder, load_file
from research.runs.tensors import load_facts, load_tree, save_tree
from research.task import Problem


class InitFrom(NamedTuple):
    """Where runs take what they begin with.

    Attributes:
      asked: as the user gave it.
      folder: the other run folder.
      choose: seeds -> the number of a run of that folder for each.
      states: whether they take whole states, and continue at their step; else params, from step
        0 on.
    """

    asked: str
    folder: Path
    choose: Callable[[Sequence[int]], Sequence[int]]
    states: bool = False


class Initial(NamedTuple):
    """What the runs of one group begin with.

    Attributes:
      tree: params or states, every leaf [N, ...], of N runs of the other folder.
      runs: the numbers of these.
      rows: for each run of the group, which of them it takes.
      step: at which it begins.
    """

    tree: Any
    runs: list[int]
    rows: list[int]
    step: int


def take_initial(init_from: InitFrom, parts: Sequence[Part]) -> dict[int, Initial]:
    """Returns what all runs begin with, by group.

    Raises:
      UserError: if the folder or a run is not there, has not ended, or is of another model.
    """
    found = {}
    for part in parts:
        chosen = init_from.choose([int(seed) for seed in part.group.runs.seeds])
        numbers = sorted(set(chosen))
        _check_files(part.problem, init_from.folder, numbers)
        step = 0
        if init_from.states:
            tree, step = _load_states(init_from.folder, numbers, part)
        else:
            like = trace_one_run(part.problem, part.group.runs).state
            tree = load_all_params(init_from.folder, numbers, like.params)
        rows = [numbers.index(one) for one in chosen]
        found[part.number] = Initial(tree, numbers, rows, step)
    return found


def save_initial(folder: Path, initial: Mapping[int, Initial]) -> None:
    """Writes what runs begin with into a run folder that is being made."""
    (folder / "init").mkdir()
    for group, (tree, runs, rows, step) in initial.items():
        facts = {"group": group, "runs": runs, "rows": rows, "step": step}
        save_tree(_path(folder, group), tree, facts)


def load_initial(folder: Path, part: Part, places: Sequence[int], states: bool) -> Any:
    """Returns what some runs of a group begin with, every leaf [runs, ...].

    Args:
      folder: of the sweep.
      part: the group.
      places: of the runs in it.
      states: whether it is whole states, or params.

    Raises:
      UserError: if it is missing or damaged.
    """
    path = _path(folder, part.number)
    facts = load_facts(path, RecordedInitial)
    rows, count = facts["rows"], len(facts["runs"])
    if len(rows) != len(part.group.runs) or max(rows) >= count:
        raise UserError(f"{path} is damaged: rows: should be one of {count} for each run")
    one = trace_one_run(part.problem, part.group.runs).state
    like = jax.tree.map(lambda leaf: with_run_axis(leaf, count), one if states else one.params)
    tree = load_tree(path, like)
    return jax.tree.map(lambda leaf: leaf[np.array(rows)[list(places)]], tree)


def _load_states(path: Path, runs: Sequence[int], part: Part) -> tuple[Any, int]:
    """The last states of runs of a folder, every leaf [runs, ...], for a group of the same model;
    and the step that they are of.

    Raises:
      UserError: if they were not kept, are of several steps, or of another model.
    """
    folder = RunFolder.open(path)
    recorded, ended = folder.manifest(), folder.ended_jobs()
    last: dict[int, Job] = {}
    for job in folder.plan().jobs:
        if job.name in ended:
            last |= {
                run: max(job, last.get(run, job), key=lambda one: one.stop) for run in job.runs
            }
    if missing := [run for run in runs if run not in last]:
        raise UserError(f"--init-from {path}: run {missing[0]} has not ended yet")
    jobs = {last[run] for run in runs}
    states = {job: _states_of(folder, recorded, job, part) for job in jobs}
    reached = {run: _step_of(states[last[run]], last[run], run) for run in runs}
    if len(steps := sorted(set(reached.values()))) > 1:
        raise UserError(
            f"--init-from {path}: its runs have {steps[0]:,} to {steps[-1]:,} steps; take one "
            "with :N"
        )
    rows = [
        jax.tree.map(lambda leaf: leaf[job.runs.index(run)], Held.of(states[job].states).states)  # noqa: B023
        for run, job in ((run, last[run]) for run in runs)
    ]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *rows), steps[0]


def _step_of(saved: Checkpoint, job: Job, run: int) -> int:
    """The step of a run in the last checkpoint of its job: that at which it stopped, if it did."""
    stopped = stops_of(saved.facts["position"].get("stopped", []))
    return stopped.get(job.runs.index(run), (job.stop, ""))[0]


def _states_of(folder: RunFolder, recorded: Mapping[str, Any], job: Job, part: Part) -> Checkpoint:
    """The states in which a job has left its runs, which are like those of a group."""
    runs = part.group.runs.take(np.zeros(len(job.runs), np.int64))
    keeps_best, changes = recorded.get("keep") == "best", bool(recorded.get("population"))
    template = held_shapes(part.problem, runs, keeps_best, changes)
    with Checkpoints(folder.checkpoints(job.name), seal_of(recorded, job.runs)) as checkpoints:
        if job.stop not in checkpoints.steps():
            raise UserError(
                f"--init-from {folder.path}: it does not hold the last states of its runs: "
                "--keep-states keeps them; or take only their params"
            )
        saved = checkpoints.load(job.stop, template)
    checked(saved.facts, RecordedProgress, checkpoints.folder)
    return saved


def _path(folder: Path, group: int) -> Path:
    return folder / "init" / f"{group}.safetensors"


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
