"""Lengthens the runs of a run folder, where a longer run begins as they do.

The result is what one sweep of that length gives, to the bit: the runs continue from their last
states, at the same cadence, and none of their schedules ends with the run. Only the evaluation with
which the shorter runs ended is there as well, and their last logged mean stays apart, where these
are not on the cadence.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from research.engine.axes import check_holds
from research.errors import UserError
from research.recorded import read_manifest
from research.runs import manifest
from research.runs.checkpoints import Checkpoints
from research.runs.experiment import Experiment, Part
from research.runs.jobs import Plan
from research.runs.run_folder import RunFolder


def pace_of(path: Path, lengthen: bool) -> list[int]:
    """Returns, for each group of a run folder, the steps that its cadence was made for: those of
    its runs when it was made.

    Args:
      path: of the folder, which need not be there.
      lengthen: whether its runs may be lengthened; if not, only those that have been count.
    """
    if not (path / "manifest.json").is_file():
        return []
    groups = read_manifest(path)["groups"]
    steps = [group["steps"] if lengthen else None for group in groups]
    return [group["paced_for"] or step or 0 for group, step in zip(groups, steps, strict=True)]


def lengthen(
    folder: RunFolder,
    experiment: Experiment,
    parts: Sequence[Part],
    asked: Mapping[str, Any],
    words: Sequence[str],
) -> None:
    """Has the runs of a folder train to the end of those of `parts`.

    Args:
      folder: which nobody else is at work in.
      experiment, parts: what it was made for, but longer.
      asked: the manifest of these.
      words: of the command line, for later ones.

    Raises:
      UserError: if something else differs, too, or the runs cannot be lengthened.
    """
    recorded = folder.manifest()
    changes = _changes(recorded, asked, experiment)
    manifest.check_same(recorded | changes, asked, folder.path)
    _check_extends(folder, recorded, parts)
    given = [*recorded["arguments"], *_without_resume(words)]
    folder.record(status="stopped", arguments=given, **changes)
    prolong_jobs(folder, parts)


def prolong_jobs(folder: RunFolder, parts: Sequence[Part]) -> None:
    """Prolongs the jobs of a folder to the end of their runs, if that is not where they end."""
    if extend_plan(folder.plan(), parts, folder.ended_jobs()) != folder.plan():
        folder.change_plan(lambda plan: extend_plan(plan, parts, folder.ended_jobs()))


def _without_resume(words: Sequence[str]) -> list[str]:
    """The words of a command line without `--resume` and its value."""
    names = [index for index, word in enumerate(words) if word == "--resume"]
    dropped = {index + place for index in names for place in (0, 1)}
    return [
        word
        for index, word in enumerate(words)
        if index not in dropped and not word.startswith("--resume=")
    ]


def is_longer(recorded: Mapping[str, Any], parts: Sequence[Part]) -> bool:
    """Whether runs of an experiment are to train for longer than a run folder was made for."""
    groups = recorded["groups"]
    return len(groups) == len(parts) and any(
        group.get("steps") and part.steps > group["steps"]
        for group, part in zip(groups, parts, strict=True)
    )


def _changes(
    recorded: Mapping[str, Any], asked: Mapping[str, Any], experiment: Experiment
) -> dict[str, Any]:
    """What changes in a manifest whose runs get the length of `asked`. Checkpoints stay sealed as
    they are."""
    fields = dataclasses.fields(experiment.config)
    lengths = {field.name for field in fields if field.metadata.get("length")}
    config = {name: asked["config"][name] for name in lengths & recorded["config"].keys()}
    groups = [
        {**old, **{name: new[name] for name in ("steps", "paced_for") if name in new}}
        for old, new in zip(recorded["groups"], asked["groups"], strict=True)
    ]
    seal = recorded.get("sealed_as") or manifest.digest_of(recorded)
    return {"config": recorded["config"] | config, "groups": groups, "sealed_as": seal}


def _check_extends(folder: RunFolder, recorded: Mapping[str, Any], parts: Sequence[Part]) -> None:
    """Raises a `UserError` if a schedule, or halving, depends on the length of runs, or if their
    last states were not kept."""
    cannot = f"{folder.path}: its runs cannot be lengthened"
    if recorded.get("halving"):
        raise UserError(f"{cannot}: the rungs of --halving follow from their length")
    begun = {run for job in folder.plan().jobs for run in job.runs}
    if len(begun) < sum(len(part.group.runs) for part in parts):
        raise UserError(f"{cannot} before the last batch of its search was proposed")
    for group, part in zip(recorded["groups"], parts, strict=True):
        if part.steps < group["steps"]:
            raise UserError(f"{cannot}: {part.steps:,} steps are fewer than {group['steps']:,}")
        try:
            _check_schedules(part)
        except UserError as error:
            raise UserError(f"{cannot}: {error}") from None
    ended = folder.ended_jobs()
    for job in folder.plan().jobs:
        is_over = job.name in ended and job.stop == recorded["groups"][job.group]["steps"]
        if is_over and job.stop not in Checkpoints(folder.checkpoints(job.name)).steps():
            raise UserError(
                f"{cannot}, since their last states were not kept: --keep-states keeps them"
            )


def _check_schedules(part: Part) -> None:
    """Raises a `UserError` if a schedule of the runs ends with them."""
    task, runs = part.problem.task, part.group.runs
    if task.extends is not None:
        check_holds(task.extends(runs.hparams), runs, part.name)
    elif task.steps is not None:
        raise UserError("the task does not say that none of its schedules ends with the run")


def extend_plan(plan: Plan, parts: Sequence[Part], ended: Collection[str]) -> Plan:
    """Returns the plan with every job that is the last of its runs prolonged to the end of them:
    one that has ended is continued by another, one that has not ends later."""
    sources = {name for job in plan.jobs for name in job.sources}
    jobs = []
    for job in plan.jobs:
        stop = parts[job.group].steps
        is_last = job.name not in sources and job.stop < stop
        if is_last and job.name not in ended:
            job = job._replace(stop=stop)
        jobs.append(job)
        if is_last and job.name in ended:
            jobs.append(job._replace(start=job.stop, stop=stop, sources=(job.name,)))
    return plan._replace(jobs=tuple(jobs))
