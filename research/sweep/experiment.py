"""A whole experiment: groups of runs one after the other, recorded in a run folder."""

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from rich.console import Console

from research.sweep import manifest
from research.sweep.axes import Axes, Group, make_groups
from research.sweep.engine import train
from research.sweep.metrics import Record, table_schema
from research.sweep.metrics_writer import MetricsWriter
from research.sweep.plan import Cadence, plan_chunks
from research.sweep.program import compile_program, gather_states, metric_names, start_blocks
from research.sweep.progress import SweepProgress
from research.sweep.run_folder import RunFolder
from research.sweep.terminal import (
    cost_line,
    experiment_line,
    print_diverged,
    say,
    trained_line,
)
from research.task import HParams, Problem


class Experiment(NamedTuple):
    """What to run.

    Attributes:
      name: of the workload; run folders are named after it.
      make_problem: config -> Problem; called once a group.
      config, hparams: the values where there is no axis.
      config_axes, hparams_axes: field -> values.
      seeds: one run each, under every setting.
      steps: how long a run trains.
      cadence: when to log, evaluate and return to the host.
      most_lanes: runs in lockstep on one device at most; None leaves it to the engine.
    """

    name: str
    make_problem: Callable[[Any], Problem]
    config: Any
    hparams: HParams
    config_axes: Axes
    hparams_axes: Axes
    seeds: Sequence[int]
    steps: int
    cadence: Cadence
    most_lanes: int | None = None


class Part(NamedTuple):
    """One group of an experiment.

    Attributes:
      number: its place among the groups.
      first_run: the number of its first run; runs are counted through all groups.
      group: its config and runs.
      problem: what its config makes.
      labels: swept config field -> value, fit for a table.
    """

    number: int
    first_run: int
    group: Group
    problem: Problem
    labels: dict[str, Any]

    @property
    def name(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.labels.items())


def run_experiment(
    experiment: Experiment,
    out: str = "runs",
    name: str | None = None,
    console: Console | None = None,
) -> Path:
    """Trains, records and returns the run folder.

    All that can be checked is checked before the folder is made; the folder is made before
    anything is compiled.

    Args:
      experiment: what to run.
      out: the folder that the run folder is made in.
      name: of the run folder; workload and time if not given.
      console: to print to.

    Raises:
      UserError: if something given is wrong, or the folder is there already.
    """
    console = console or Console()
    parts = make_parts(experiment)
    schema = make_schema(parts)
    facts = manifest.describe(experiment, parts)
    name = name or f"{experiment.name}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = RunFolder.create(out, name)
    folder.record(**facts)
    say(console, experiment_line(experiment, parts, folder.path))
    results = []
    try:
        for part in parts:
            results.append(_run_part(experiment, part, folder, schema, console))
            folder.record(results=results)
    except BaseException:
        folder.record(status="stopped", finished=manifest.now())
        raise
    folder.record(status="finished", finished=manifest.now())
    return folder.path


def make_parts(experiment: Experiment) -> list[Part]:
    """The groups of an experiment with their problems.

    Raises:
      UserError: for an axis or value that is none, or what `make_problem` says.
    """
    groups = make_groups(
        experiment.config,
        experiment.config_axes,
        experiment.hparams,
        experiment.hparams_axes,
        experiment.seeds,
    )
    parts = []
    for index, group in enumerate(groups):
        labels = {name: cell(getattr(group.config, name)) for name in experiment.config_axes}
        first_run = index * len(group.runs)
        parts.append(Part(index, first_run, group, experiment.make_problem(group.config), labels))
    return parts


def make_schema(parts: Sequence[Part]) -> pa.Schema:
    """The columns of all parts; what one of them does not report is null in its rows."""
    names: dict[str, None] = {}
    for part in parts:
        for some in metric_names(part.problem, part.group.runs):
            names.update(dict.fromkeys(some))
    return table_schema(parts[0].group.runs.hparams, parts[0].labels, tuple(names))


def cell(value: Any) -> Any:
    """A config value as a number, a truth value or a word: (64, 32) is 64x32."""
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "none"
    return value


def _run_part(
    experiment: Experiment, part: Part, folder: RunFolder, schema: pa.Schema, console: Console
) -> dict[str, Any]:
    """Compiles and trains one group and returns its results for the manifest."""
    runs, task, label = part.group.runs, part.problem.task, part.name or experiment.name
    chunks = plan_chunks(experiment.steps, experiment.cadence)
    with console.status("compiling") if console.is_terminal else contextlib.nullcontext():
        program = compile_program(part.problem, runs, chunks, most_lanes=experiment.most_lanes)
    say(console, f"{label}: {cost_line(program)}")
    writer = MetricsWriter(folder, runs, schema, part.first_run, part.labels, task.work_per_step)
    began = time.perf_counter()
    with SweepProgress(console, task, len(runs), experiment.steps, label) as progress:

        def on_record(record: Record) -> None:
            writer.add(record)
            progress.update(record)

        blocks = train(program, start_blocks(program, runs), chunks, on_record)
    writer.flush()
    seconds = time.perf_counter() - began
    params = gather_states(program, blocks).params
    folder.save_params(part.number, params, first_run=part.first_run, runs=len(runs))
    result = manifest.describe_result(part, program, writer, experiment.steps, seconds)
    print_diverged(console, result["diverged"], len(runs))
    say(console, f"{label}: {trained_line(result, task)}")
    return result
