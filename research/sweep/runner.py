"""Runs an experiment: its groups one after the other, recorded in a run folder."""

import contextlib
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from research.sweep import manifest
from research.sweep.engine import train
from research.sweep.experiment import Experiment, Part, make_parts, make_schema
from research.sweep.metrics import Record
from research.sweep.metrics_writer import MetricsWriter
from research.sweep.plan import plan_chunks
from research.sweep.program import compile_program, gather_states, start_blocks
from research.sweep.progress import SweepProgress
from research.sweep.run_folder import RunFolder
from research.sweep.terminal import cost_line, experiment_line, print_diverged, say, trained_line


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
    for part in parts:
        for file, content in part.problem.files.items():
            folder.save_file(part.number, file, content)
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


def _run_part(
    experiment: Experiment, part: Part, folder: RunFolder, schema: pa.Schema, console: Console
) -> dict[str, Any]:
    """Compiles and trains one group and returns its results for the manifest."""
    runs, task, label = part.group.runs, part.problem.task, part.name or experiment.name
    chunks = plan_chunks(part.steps, part.cadence)
    with console.status("compiling") if console.is_terminal else contextlib.nullcontext():
        program = compile_program(part.problem, runs, chunks, most_lanes=experiment.most_lanes)
    say(console, f"{label}: {cost_line(program)}")
    writer = MetricsWriter(folder, runs, schema, part.first_run, part.labels, task)
    began = time.perf_counter()
    with SweepProgress(console, task, len(runs), part.steps, label, experiment.in_work) as progress:

        def on_record(record: Record) -> None:
            writer.add(record)
            progress.update(record)

        try:
            blocks = train(program, start_blocks(program, runs), chunks, on_record)
        finally:
            writer.flush()
    seconds = time.perf_counter() - began
    params = gather_states(program, blocks).params
    folder.save_params(part.number, params, first_run=part.first_run, runs=len(runs))
    result = manifest.describe_result(part, program, writer, seconds)
    print_diverged(console, result["diverged"], len(runs))
    say(console, f"{label}: {trained_line(result, task)}")
    return result
