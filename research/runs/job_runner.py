"""Knows the jobs of an experiment, and has each of them trained."""

import contextlib
from collections.abc import Sequence

import jax
import numpy as np
import pyarrow as pa

from research.engine import memory
from research.engine.axes import Runs
from research.engine.schedule import Scheduler
from research.errors import UserError
from research.plain_text import count_of
from research.runs import manifest
from research.runs.asynchronous import remove_unneeded_states
from research.runs.checkpoints import Checkpoints
from research.runs.experiment import Experiment, Part
from research.runs.jobs import Job, split, unneeded_states
from research.runs.observer import Observer
from research.runs.run_folder import RunFolder
from research.runs.schedulers.make import make_scheduler
from research.runs.training import Training, TrainOptions


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
                Training(self, job, checkpoints).run()
            except jax.errors.JaxRuntimeError as error:
                if not memory.is_out_of_memory(error):
                    raise
                with contextlib.suppress(OSError):
                    checkpoints.wait()
                self.cut(job, 2, checkpoints.steps(), "the device ran out of memory")

    def cut(self, job: Job, pieces: int, saved: Sequence[int], reason: str) -> None:
        """Replaces a job by smaller ones that resume from its last checkpoint."""
        together = self.experiment.seeds_together
        units = len(job.runs) if together is None else len({run % together for run in job.runs})
        if units == 1:
            what = f"run {job.runs[0]} alone does"
            if together is not None:
                what = f"a population of {len(job.runs)} trains together and does"
            raise UserError(
                f"{what} not fit the memory: {reason}; make the net, the batch or the buffer "
                "smaller"
            )
        pieces = min(pieces, units)
        step = saved[-1] if saved else job.start
        self.folder.change_plan(lambda plan: split(plan, job, pieces, step, reason, together))
        parts = f"{pieces} parts, one after the other, from step {step:,} on"
        self.observer.say(
            f"{self.label(job)}: {reason}; {count_of(len(job.runs), 'run')} continue in {parts}"
        )

    def remove_unneeded_states(self) -> None:
        """Removes the last states of the jobs that no job continues from any more."""
        halving = self.experiment.halving
        if halving is not None and halving.asynchronous:
            remove_unneeded_states(self.folder, self.parts, halving)
            return
        for name in unneeded_states(self.folder.plan(), self.folder.ended_jobs()):
            Checkpoints(self.folder.checkpoints(name)).remove()

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

    def scheduler(self, job: Job) -> Scheduler | None:
        """The scheduler that decides on the runs of a job between chunks, if there is one."""
        return make_scheduler(self.experiment, self.part(job))

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
