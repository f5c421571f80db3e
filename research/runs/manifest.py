"""Writes and compares manifest.json: what was run, on what, how long it took, what diverged."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from research.engine.metrics import Diverged, as_typed, diverged_runs
from research.engine.program import Program
from research.errors import UserError
from research.runs.early_stop import EarlyStop, stopped_runs
from research.runs.experiment import Experiment, Part, cell
from research.runs.jobs import Job
from research.runs.metrics_writer import MetricsWriter, plain
from research.runs.recipe_code import describe_code
from research.runs.session import now


def describe(experiment: Experiment, parts: Sequence[Part]) -> dict[str, Any]:
    """Returns everything that is known before training, in JSON types.

    Raises:
      UserError: if the groups are judged by different metrics.
    """
    tasks = [part.problem.task for part in parts]
    if len({task.key_metric for task in tasks}) > 1:
        names = " and ".join(sorted({task.key_metric for task in tasks}))
        raise UserError(f"the settings are judged by {names}: sweep them apart")
    return {
        "status": "running",
        "experiment": experiment.name,
        "workload": parts[0].problem.workload or experiment.name,
        "config": dataclasses.asdict(experiment.config),
        "hparams": dataclasses.asdict(experiment.hparams),
        "config_axes": {
            name: [cell(value) for value in values]
            for name, values in experiment.config_axes.items()
        },
        "hparams_axes": {name: list(values) for name, values in experiment.hparams_axes.items()},
        "seeds": list(experiment.seeds),
        "search": experiment.search and experiment.search.to_json(),
        "search_from": experiment.search_from and experiment.search_from.asked,
        "halving": _describe_halving(experiment),
        "population": experiment.population and experiment.population._asdict(),
        "schedule": [[step, dict(values)] for step, values in experiment.schedule] or None,
        "early_stop": experiment.early_stop and as_facts(experiment.early_stop),
        "keep": "best" if experiment.keep_best else None,
        "init_from": experiment.init_from and experiment.init_from.asked,
        "init_states": bool(experiment.init_from and experiment.init_from.states) or None,
        "key_metric": tasks[0].key_metric,
        "higher_is_better": tasks[0].higher_is_better,
        "work_unit": tasks[0].work_unit,
        "in_work": experiment.in_work,
        "groups": [_describe_part(part) for part in parts],
        "data": [dict(part.problem.facts) for part in parts],
        "code": describe_code(experiment),
    }


def _describe_halving(experiment: Experiment) -> dict[str, Any] | None:
    """The halving, as it was recorded before there were asynchronous ones if it is none."""
    halving = experiment.halving
    if halving is None or halving.asynchronous:
        return halving and halving._asdict()
    return {"factor": halving.factor, "rungs": halving.rungs}


def as_facts(early_stop: EarlyStop) -> dict[str, Any]:
    """Returns when runs stop early, in JSON types."""
    return early_stop._asdict() | {"when": early_stop.when and early_stop.when._asdict()}


def differences(recorded: Mapping[str, Any], session: Mapping[str, Any]) -> list[str]:
    """Returns lines about what differs between this machine and the one a sweep was started on."""
    lines = []
    for name in ("versions", "jax_settings", "device", "git_commit"):
        there, here = recorded.get(name), session[name]
        if name == "jax_settings" and there is None:
            continue  # of a folder that was begun before they were recorded
        if there != here:
            lines.append(
                f"{_difference(name, there, here)}; numbers may differ from those of one machine"
            )
    return lines


IDENTITY = (
    "experiment", "config", "hparams", "config_axes", "hparams_axes", "seeds", "search", "halving",
    "population", "early_stop", "schedule", "keep", "init_from", "init_states", "search_from",
    "key_metric", "groups", "data", "parallel",
)  # fmt: skip


def seal_of(recorded: Mapping[str, Any], runs: Sequence[int]) -> dict[str, Any]:
    """Returns what checkpoints of some runs are sealed with, in JSON types: the runs, and a digest
    of what their folder was made for, before its runs were lengthened."""
    return {"experiment": recorded.get("sealed_as") or digest_of(recorded), "runs": list(runs)}


def digest_of(recorded: Mapping[str, Any]) -> str:
    """Returns a digest of what a folder was made for."""
    identity = {name: recorded[name] for name in IDENTITY if name in recorded}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def check_same(recorded: Mapping[str, Any], asked: Mapping[str, Any], path: Path) -> None:
    """Raises a `UserError` that names the first difference between what a folder was made for and
    what is asked for. What an older version did not record is no difference."""
    for name in IDENTITY:
        there, here = recorded.get(name), _as_json(asked.get(name))
        if name == "config":
            there = _config_as_now(there or {}, here)
        elif name == "data":
            there, here = _in_both(there, here), _in_both(here, there)
        if there != here:
            raise UserError(
                f"{path} is of another experiment: {_difference(name, there, here)}; give another "
                "--name"
            )


def _config_as_now(there: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    """A recorded config with the fields that are newer than it, and a list for a field that was
    one word when it was recorded."""
    lists = {name for name, value in here.items() if isinstance(value, list)}
    words = {name for name, value in there.items() if isinstance(value, str)}
    return here | there | {name: [there[name]] if there[name] else [] for name in lists & words}


def _in_both(facts: Any, others: Any) -> Any:
    """The facts that both records have, without those that change nothing in training: notes for
    the user, and the goal that scores are compared with."""
    if isinstance(facts, dict) and isinstance(others, dict):
        names = [name for name in facts if name in others and name not in ("notes", "goal")]
        return {name: _in_both(facts[name], others[name]) for name in names}
    if isinstance(facts, list) and isinstance(others, list) and len(facts) == len(others):
        return [_in_both(one, other) for one, other in zip(facts, others, strict=True)]
    return facts


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _difference(name: str, there: Any, here: Any) -> str:
    """Describes where two JSON values differ, as deep as both have the same keys."""
    while isinstance(there, dict) and isinstance(here, dict) and there.keys() == here.keys():
        key = next(key for key in there if there[key] != here[key])
        name, there, here = key, there[key], here[key]
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for old, new in zip(there, here, strict=True):
            if old != new and isinstance(old, dict):
                return _difference(name, old, new)
    return f"{name} is {json.dumps(there)} there and {json.dumps(here)} here"


def _describe_part(part: Part) -> dict[str, Any]:
    paced_for = {} if part.paced_for == part.steps else {"paced_for": part.paced_for}
    return {
        "first_run": part.first_run,
        "runs": len(part.group.runs),
        "steps": part.steps,
        "cadence": part.cadence._asdict(),
        "goal": part.problem.task.goal,
        **paced_for,
        **part.labels,
    }


def describe_result(
    part: Part,
    job: Job,
    program: Program | None,
    writer: MetricsWriter,
    checkpoints: int,
    keeps_states: bool = False,
) -> dict[str, Any]:
    """Returns the result of one job, in JSON types.

    Args:
      part: the group of its runs.
      job: what was trained.
      program: that trained it; None if its last session had nothing left to train.
      writer: of its metrics.
      checkpoints: how many its last session wrote on the way.
      keeps_states: whether its last checkpoint is kept for the user.
    """
    runs, work = mean_runs(writer, job), part.problem.task.work_per_step
    flops = program and program.cost.flops_per_step
    return {
        "job": job.name,
        "group": job.group,
        "runs": list(job.runs),
        "start": job.start,
        "stop": job.stop,
        "layout": program and program.layout._asdict(),
        "cost": program and program.cost._asdict(),
        "train_seconds": writer.seconds,
        "checkpoints": checkpoints,
        "keeps_states": keeps_states,
        "throughput": throughput(writer.clock, runs, job.stop - job.start, work, flops),
        "clock": writer.clock,
        "diverged": [_name(part, job, diverged) for diverged in diverged_runs(writer.status)],
        "scores": plain(writer.scores),
        "stopped": stopped_runs(writer.stopped, job.runs),
        "ended": now(),
    }


def mean_runs(writer: MetricsWriter, job: Job) -> float:
    """Returns how many runs of a job were trained on average, between the ends of its first and its
    last chunk: fewer than it has where some have stopped early."""
    if len(writer.clock) < 2 or not writer.stopped:
        return len(job.runs)
    first, last = writer.clock[0][0], writer.clock[-1][0]
    idle = sum(last - min(max(step, first), last) for step, _ in writer.stopped.values())
    return len(job.runs) - idle / max(last - first, 1)


def throughput(
    clock: Sequence[tuple[int, float]],
    runs: float,
    steps: int,
    work_per_step: int,
    flops_per_step: float | None,
) -> dict[str, float] | None:
    """Returns the throughput of all runs together between the ends of the first and the last
    chunk, evaluations and host included; None where there was a single chunk.

    Args:
      clock: (step, seconds since training began) at the end of each chunk.
      runs: how many; on average, where some have stopped early.
      steps: that one run takes in all.
      work_per_step: of one run.
      flops_per_step: of one run, if known. FLOP/s are these times the steps, so that evaluations
        lower them.
    """
    if not clock or clock[-1][1] <= clock[0][1]:
        return None
    (first_step, first), (last_step, last) = clock[0], clock[-1]
    rate = (last_step - first_step) * runs / (last - first)
    speed = {
        "steps_per_second": rate,
        "work_per_second": rate * work_per_step,
        "runs_per_second": rate / steps,
    }
    return speed if flops_per_step is None else speed | {"flops_per_second": rate * flops_per_step}


def _name(part: Part, job: Job, diverged: Diverged) -> dict[str, Any]:
    """A diverged run with its seed, its hyper-parameters and, counted from 0, the step."""
    run = job.runs[diverged.run]
    place = run - part.first_run
    columns = vars(part.group.runs.hparams)
    hparams = {name: as_typed(column[[place]])[0].item() for name, column in columns.items()}
    seed = int(part.group.runs.seeds[place])
    return {"run": run, "seed": seed, "step": diverged.step, **part.labels, **hparams}
