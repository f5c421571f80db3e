"""What manifest.json says: what was run, on what, how long it took, what diverged."""

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.sweep import machine
from research.sweep.experiment import Experiment, Part, cell
from research.sweep.metrics import Diverged, as_typed
from research.sweep.metrics_writer import MetricsWriter
from research.sweep.program import Program


def describe(experiment: Experiment, parts: Sequence[Part]) -> dict[str, Any]:
    """All that is known before anything runs, in JSON types.

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
        "command": shlex.join(sys.argv),
        "started": now(),
        "config": dataclasses.asdict(experiment.config),
        "hparams": dataclasses.asdict(experiment.hparams),
        "config_axes": {
            name: [cell(value) for value in values]
            for name, values in experiment.config_axes.items()
        },
        "hparams_axes": {name: list(values) for name, values in experiment.hparams_axes.items()},
        "seeds": list(experiment.seeds),
        "key_metric": tasks[0].key_metric,
        "higher_is_better": tasks[0].higher_is_better,
        "work_unit": tasks[0].work_unit,
        "in_work": experiment.in_work,
        "groups": [_describe_part(part) for part in parts],
        "data": [dict(part.problem.facts) for part in parts],
        "versions": machine.versions(),
        "device": machine.device_facts(),
        "git_commit": machine.git_commit(Path(__file__).parent),
    }


def _describe_part(part: Part) -> dict[str, Any]:
    return {
        "first_run": part.first_run,
        "runs": len(part.group.runs),
        "steps": part.steps,
        "cadence": part.cadence._asdict(),
        "goal": part.problem.task.goal,
        **part.labels,
    }


def describe_result(
    part: Part, program: Program, writer: MetricsWriter, seconds: float
) -> dict[str, Any]:
    """How one group went, in JSON types."""
    runs, work = len(part.group.runs), part.problem.task.work_per_step
    return {
        "layout": program.layout._asdict(),
        "cost": program.cost._asdict(),
        "train_seconds": seconds,
        "throughput": throughput(writer.clock, runs, part.steps, work, program.cost.flops_per_step),
        "clock": writer.clock,
        "diverged": [_name(part, diverged) for diverged in sorted(writer.diverged)],
    }


def throughput(
    clock: Sequence[tuple[int, float]],
    runs: int,
    steps: int,
    work_per_step: int,
    flops_per_step: float | None,
) -> dict[str, float] | None:
    """Of all runs together, between the ends of the first and the last chunk, evaluations and
    host included; None where there was a single chunk.

    Args:
      clock: (step, seconds since training began) at the end of each chunk.
      runs: how many.
      steps: that one run takes in all.
      work_per_step: of one run.
      flops_per_step: of one run, if known. FLOP/s are these times the steps, so that evaluations
        lower them.
    """
    (first_step, first), (last_step, last) = clock[0], clock[-1]
    if last <= first:
        return None
    rate = (last_step - first_step) * runs / (last - first)
    speed = {
        "steps_per_second": rate,
        "work_per_second": rate * work_per_step,
        "runs_per_second": rate / steps,
    }
    return speed if flops_per_step is None else speed | {"flops_per_second": rate * flops_per_step}


def now() -> str:
    """UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _name(part: Part, diverged: Diverged) -> dict[str, Any]:
    """A diverged run with its seed, its hyper-parameters and, counted from 0, the step."""
    run, step = diverged
    columns = vars(part.group.runs.hparams)
    hparams = {name: as_typed(column[[run]])[0].item() for name, column in columns.items()}
    seed = int(part.group.runs.seeds[run])
    return {"run": part.first_run + run, "seed": seed, "step": step, **part.labels, **hparams}
