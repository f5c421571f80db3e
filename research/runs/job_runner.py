"""Trains one job from its start, its checkpoint or the states of earlier jobs, to its end."""

import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from research.engine import memory
from research.engine.axes import Runs
from research.engine.best import Kept
from research.engine.blocks import Block, gather_best, gather_states, start_blocks
from research.engine.cadence import plan_chunks
from research.engine.loop import train
from research.engine.metrics import Record, as_status
from research.engine.one_run import kept_shapes, state_shapes
from research.engine.program import Program, compile_program
from research.engine.rows import row_labels
from research.errors import Stopped, UserError
from research.plain_text import count_of
from research.recorded import RecordedProgress, checked
from research.runs import manifest
from research.runs.checkpoints import Checkpoint, Checkpoints
from research.runs.experiment import Experiment, Part
from research.runs.initial import load_initial
from research.runs.jobs import Job, split, unneeded_states
from research.runs.memory_limit import device_limit
from research.runs.metrics_writer import MetricsWriter
from research.runs.observer import NEVER_STOPPING, Observer
from research.runs.run_folder import RunFolder


class TrainOptions(NamedTuple):
    """Options of training a job.

    Attributes:
      checkpoint_minutes: between checkpoints.
      keep_states: whether the last states are kept, as a checkpoint.
      fit: whether jobs that do not fit the memory are cut smaller before they begin.
      memory_limit: bytes of a device to stay under; its own if None.
    """

    checkpoint_minutes: float = 10.0
    keep_states: bool = False
    fit: bool = True
    memory_limit: int | None = None


class JobRunner:
    """Trains the jobs of one experiment."""

    def __init__(
        self,
        experiment: Experiment,
        parts: Sequence[Part],
        folder: RunFolder,
        schema: pa.Schema,
        options: TrainOptions,
        observer: Observer,
    ):
        self.experiment, self.parts, self.folder = experiment, parts, folder
        self.schema, self.options, self.observer = schema, options, observer
        self.recorded = folder.manifest()

    def run(self, job: Job) -> None:
        """Trains a job to its end; or cuts it smaller, if it does not fit the memory.

        Raises:
          UserError: if a checkpoint is damaged, or not even one run fits the memory.
          Stopped: if a signal asked to stop; a checkpoint is written before.
        """
        with self.checkpoints(job) as checkpoints:
            try:
                _Training(self, job, checkpoints).run()
            except jax.errors.JaxRuntimeError as error:
                if not memory.is_out_of_memory(error):
                    raise
                with contextlib.suppress(OSError):
                    checkpoints.wait()
                self.cut(job, 2, checkpoints.steps(), "the device ran out of memory")

    def cut(self, job: Job, pieces: int, saved: Sequence[int], reason: str) -> None:
        """Replaces a job by smaller ones that resume from its last checkpoint."""
        if len(job.runs) == 1:
            raise UserError(
                f"run {job.runs[0]} alone does not fit the memory: {reason}; make the net, the "
                "batch or the buffer smaller"
            )
        pieces = min(pieces, len(job.runs))
        step = saved[-1] if saved else job.start
        self.folder.change_plan(lambda plan: split(plan, job, pieces, step, reason))
        parts = f"{pieces} parts, one after the other, from step {step:,} on"
        self.observer.say(
            f"{self.label(job)}: {reason}; {count_of(len(job.runs), 'run')} continue in {parts}"
        )

    def checkpoints(self, job: Job) -> Checkpoints:
        """The checkpoints of a job."""
        seal = manifest.seal_of(self.recorded, job.runs)
        return Checkpoints(self.folder.checkpoints(job.name), seal)

    def part(self, job: Job) -> Part:
        """The group that a job belongs to."""
        return self.parts[job.group]

    def runs(self, job: Job) -> Runs:
        """The runs of a job."""
        part = self.part(job)
        return part.group.runs.take(np.array(job.runs) - part.first_run)

    def label(self, job: Job) -> str:
        """The prefix of the lines that are printed about a job."""
        part = self.part(job)
        name = part.name or self.experiment.name
        if len(job.runs) == len(part.group.runs):
            return name
        if len(job.runs) == 1:
            return f"{name} run {job.runs[0]}"
        if job.runs[-1] - job.runs[0] == len(job.runs) - 1:
            return f"{name} runs {job.runs[0]} to {job.runs[-1]}"
        return f"{name} {len(job.runs)} runs"


class _Training:
    """One job in training."""

    def __init__(self, runner: JobRunner, job: Job, checkpoints: Checkpoints):
        self.runner, self.job, self.checkpoints = runner, job, checkpoints
        self.folder, self.options, self.observer = runner.folder, runner.options, runner.observer
        self.part, self.runs, self.label = runner.part(job), runner.runs(job), runner.label(job)
        self.saved_at, self.saves = time.perf_counter(), 0
        self.stop = NEVER_STOPPING

    def run(self) -> None:
        saved = self.checkpoints.latest(self._shapes(self.runs))
        self.writer = self._make_writer(saved)
        if saved and saved.step == self.job.stop:  # cut off just before the end, or cut there
            self._end(saved.states, None)
            return
        start = saved.step if saved else self.job.start
        chunks = plan_chunks(self.job.stop, self.part.cadence, start)
        with self.observer.waiting("compiling"):
            given = self.runner.experiment.init_from
            resumed = saved is not None or bool(self.job.sources) or bool(given and given.states)
            program = self._compile(chunks, self.runs, self.job.width, resumed)
        self.observer.compiled(self.label, program)
        limit = self.options.memory_limit or device_limit(program.devices[0])
        pieces = self._pieces_that_fit(program, chunks, limit) if self.options.fit else 1
        if pieces > 1:
            reason = memory.too_much(program.cost, limit)
            self.runner.cut(self.job, pieces, self.checkpoints.steps(), reason)
            return
        if saved:
            self._say_where(saved, program)
        before = saved.states if saved else self._source_states()
        after = self._train(program, chunks, before, start)
        self._end(after, program)
        if self.stop:
            raise self._stopped("at the end of a job")

    def _shapes(self, runs: Runs) -> Any:
        """The shapes of what a checkpoint of runs holds."""
        states = state_shapes(self.part.problem, runs)
        return kept_shapes(states) if self.runner.experiment.keep_best else states

    def _compile(self, chunks: Any, runs: Runs, width: int, resumed: bool = False) -> Program:
        experiment = self.runner.experiment
        options: dict[str, Any] = {"most_lanes": experiment.most_lanes, "width": width}
        options |= {"resumed": resumed, "keep_best": experiment.keep_best}
        options |= {"given_params": experiment.init_from is not None}
        return compile_program(self.part.problem, runs, chunks, **options)

    def _pieces_that_fit(self, program: Program, chunks: Any, limit: int) -> int:
        """Into how many parts to cut the job; each part needs its program anyway."""

        def cost_of(runs: int) -> memory.Cost:
            if runs == len(self.runs):
                return program.cost
            return self._compile(chunks, self.runs.take(np.arange(runs)), runs).cost

        return memory.pieces_that_fit(cost_of, len(self.runs), limit)

    def _make_writer(self, saved: Checkpoint | None) -> MetricsWriter:
        """A writer of this job's metrics; what is beyond the checkpoint is written again."""
        if saved:
            self._check_progress(saved)
        name, before = self.job.name, saved.facts["position"] if saved else None
        self.folder.cut_metrics(name, before["files"] if before else 0)
        labels = row_labels(self.runs, np.array(self.job.runs), self.part.labels)

        def write(number: int, table: pa.Table) -> None:
            self.folder.append_metrics(name, number, table)

        return MetricsWriter(write, labels, self.runner.schema, self.part.problem.task, before)

    def _check_progress(self, saved: Checkpoint) -> None:
        """Raises a `UserError` for what no job saves, and for a file of metrics that was there at a
        checkpoint and is gone or changed: these rows would not be written again."""
        _check_saved(saved.facts, len(self.runs), self.checkpoints.folder)
        before = saved.facts["metrics"]
        for number, size in enumerate(self.folder.metrics_sizes(self.job.name, len(before))):
            if size != before[number]:
                path = self.folder.metrics_file(self.job.name, number)
                is_now = "missing" if size is None else f"{size:,} bytes long"
                raise UserError(
                    f"{path} is {is_now}, and had {before[number] or 0:,} bytes at the checkpoint "
                    f"of step {saved.step:,}: put it back, or remove {self.checkpoints.folder} to "
                    "train these runs from the beginning"
                )

    def _say_where(self, saved: Checkpoint, program: Program) -> None:
        line = f"{self.label}: resuming from step {saved.step:,} of {self.job.stop:,}"
        if saved.facts["layout"] != list(program.layout):
            line += (
                "; the runs lie otherwise on the devices than before, so that numbers agree with "
                "the first part only to rounding"
            )
        self.observer.say(line)

    def _source_states(self) -> Any:
        """The states in which earlier jobs left these runs, or None if they begin.

        Passes the status of the runs to the writer.
        """
        jobs = {job.name: job for job in self.folder.plan().jobs}
        states, statuses, places = [], [], {}
        for name in self.job.sources:
            source = jobs[name]
            template = self._shapes(self.runner.runs(source))
            with self.runner.checkpoints(source) as checkpoints:
                ended = checkpoints.load(source.stop, template)
            _check_saved(ended.facts, len(source.runs), checkpoints.folder)
            states.append(ended.states)
            statuses.append(as_status(ended.facts["position"]["diverged"], len(source.runs)))
            places |= {run: len(places) + place for place, run in enumerate(source.runs)}
        if not states:
            return None
        rows = [places[run] for run in self.job.runs]
        self.writer.status = np.concatenate(statuses)[rows]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[rows], *states)

    def _given(self) -> tuple[Any, Any]:
        """The states and the params that the runs begin with; None where these are random."""
        given = self.runner.experiment.init_from
        if given is None:
            return None, None
        places = [run - self.part.first_run for run in self.job.runs]
        tree = load_initial(self.folder.path, self.part, places, given.states)
        return (tree, None) if given.states else (None, tree)

    def _train(self, program: Program, chunks: Any, states: Any, start: int) -> Any:
        """The states at the end, on the host."""
        task, job = self.part.problem.task, self.job
        in_work = self.runner.experiment.in_work
        progress = self.observer.progress(
            self.label, task, len(job.runs), job.start, job.stop, in_work
        )
        best, params = None, None
        if states is None:
            states, params = self._given()
        elif self.runner.experiment.keep_best:
            states, best = states
        blocks = start_blocks(program, self.runs, states, self.writer.status, best, params)
        del states, best, params
        self.saved_at = time.perf_counter()
        every = 60 * self.options.checkpoint_minutes
        with progress as show, self.observer.stopping() as self.stop:

            def on_record(record: Record) -> None:
                with self._forgiving("metrics"):
                    self.writer.add(record)
                show(record)

            def due() -> bool:
                return bool(self.stop) or time.perf_counter() - self.saved_at >= every

            def on_pause(step: int, blocks: Any) -> None:
                if step == job.stop:
                    return  # where all is written in any case
                self._save(step, _gather(program, blocks), program)
                if self.stop:
                    self.checkpoints.wait()
                    raise self._stopped(f"at step {step:,} of {job.stop:,}")

            pauses = {"due": due, "on_pause": on_pause, "seconds": self.writer.seconds}
            try:
                blocks = train(program, blocks, chunks, on_record, **pauses)
            finally:
                with self._forgiving("metrics"):
                    self.writer.flush()
        return _gather(program, blocks)

    def _save(self, step: int, states: Any, program: Program) -> None:
        """Begins a checkpoint; a disk that is full is no reason to stop, but a folder that is lost
        is."""
        self.folder.check_in_place()
        with self._forgiving("the last checkpoint"):
            self.checkpoints.wait()
        with self._forgiving("a checkpoint"):
            self.writer.flush()
            self.checkpoints.save(step, states, self._facts(program))
            self.saves += 1
        self.saved_at = time.perf_counter()

    def _facts(self, program: Program) -> dict[str, Any]:
        position = self.writer.position()
        return {
            "layout": program.layout,
            "position": position,
            "metrics": self.folder.metrics_sizes(self.job.name, position["files"]),
        }

    def _stopped(self, where: str) -> Stopped:
        signum = self.stop.signum or 0
        script = sys.argv[0] or "the same script"
        return Stopped(
            f"stopped by {signal.Signals(signum).name} {where}, and saved; to resume: "
            f"scripts/run {script} --resume {self.folder.path}",
            signum,
        )

    def _end(self, states: Any, program: Program | None) -> None:
        """Writes everything that is kept of a job; the result comes last and marks its end."""
        self.folder.check_in_place()
        self.writer.flush()
        keep = self.options.keep_states or self.job.stop < self.part.steps
        with self._forgiving("the last checkpoint"):
            self.checkpoints.wait()
        if keep and program is not None:
            self.checkpoints.save(self.job.stop, states, self._facts(program))
            self.checkpoints.wait()
        self._save_params(states)
        result = manifest.describe_result(
            self.part, self.job, program, self.writer, self.saves, self.options.keep_states
        )
        self.folder.save_result(self.job, result)
        if not keep:
            self.checkpoints.remove()
        if not self.options.keep_states:
            for name in unneeded_states(self.folder.plan(), self.folder.ended_jobs()):
                Checkpoints(self.folder.checkpoints(name)).remove()
        self.observer.trained(self.label, result, len(self.runs), self.part.problem.task)

    def _save_params(self, kept: Any) -> None:
        if self.runner.experiment.keep_best:
            kept, best = kept
            self.folder.save_best_params(self.job, best.params, best.step.tolist())
        self.folder.save_params(self.job, kept.params)

    @contextlib.contextmanager
    def _forgiving(self, what: str):
        """Reports an error of writing instead of raising it, so that training continues."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or " ".join(str(error).split())[:200]
            line = f"{self.label}: {what} could not be written: {reason}; training continues"
            self.observer.say(line)


def _gather(program: Program, blocks: Sequence[Block]) -> Any:
    """What a checkpoint holds: states, or states and best evaluations."""
    states, best = gather_states(program, blocks), gather_best(program, blocks)
    return states if best is None else Kept(states, best)


def _check_saved(facts: dict[str, Any], runs: int, folder: Path) -> None:
    """Checks what is saved of a job beside its states.

    Raises:
      UserError: if it is of other types, or of other runs.
    """
    position = checked(facts, RecordedProgress, folder)["position"]
    scores, diverged = position["scores"], [run for run, _ in position["diverged"]]
    if len(scores or [None] * runs) != runs or max(diverged, default=0) >= runs:
        raise UserError(f"{folder} is damaged: its checkpoint is of other runs")
    if len(facts["metrics"]) != position["files"]:
        raise UserError(f"{folder} is damaged: metrics: should be of {position['files']} files")
