"""What is written of a job while it is trained and at its end: metrics, decisions, checkpoints,
params and its result."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from research.engine.metrics import Record
from research.engine.program import Program
from research.engine.rows import row_labels
from research.engine.schedule import Decision, Seen
from research.errors import UserError
from research.recorded import RecordedProgress, checked
from research.runs import manifest
from research.runs.checkpoints import Checkpoint, Checkpoints
from research.runs.decisions import decision_table
from research.runs.held import Held
from research.runs.jobs import Job
from research.runs.metrics_writer import MetricsWriter

if TYPE_CHECKING:
    from research.runs.job_runner import JobRunner


class JobRecord:
    """The files of one job in training.

    While it trains, a disk that is full is reported and training continues; what could not be
    written is kept, and tried again. At the end it is an error.

    Attributes:
      writer: of the metrics; it knows which runs have diverged or stopped.
    """

    def __init__(
        self, runner: "JobRunner", job: Job, checkpoints: Checkpoints, saved: Checkpoint | None
    ):
        """Goes on from a checkpoint; what was written beyond it is removed, to be written again.

        Args:
          runner: of the job.
          job: to record.
          checkpoints: of the job.
          saved: the last of them; None if there is none.

        Raises:
          UserError: if the checkpoint is of other runs, or files are missing that were there.
        """
        self.folder, self.options, self.observer = runner.folder, runner.options, runner.observer
        self.job, self.checkpoints, self.runner = job, checkpoints, runner
        self.part, self.label = runner.part(job), runner.label(job)
        self._decisions: dict[int, pa.Table] = {}  # by step; those that are not written yet
        self._saved_at, self._saves = time.perf_counter(), 0
        if saved:
            self._check(saved)
        before = saved.facts["position"] if saved else None
        self.folder.cut_metrics(job.name, before["files"] if before else 0)
        self.folder.cut_decisions(job.name, saved.step if saved else 0)
        labels = row_labels(runner.runs(job), np.array(job.runs), self.part.labels)

        def write(number: int, table: pa.Table) -> None:
            self.folder.append_metrics(job.name, number, table)

        task = self.part.problem.task
        self.writer = MetricsWriter(write, labels, runner.schema, task, before)

    def start_clock(self) -> None:
        """Counts the time to the next checkpoint from now on."""
        self._saved_at = time.perf_counter()

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.perf_counter() - self._saved_at >= 60 * self.options.checkpoint_minutes

    def add(self, record: Record) -> None:
        """Takes the metrics of a chunk, and writes some now and then."""
        with self._forgiving("metrics"):
            self.writer.add(record)

    def flush(self) -> None:
        """Writes the metrics that have not been written."""
        with self._forgiving("metrics"):
            self.writer.flush()

    def decided(self, seen: Seen, decision: Decision) -> None:
        """Takes and writes what a scheduler decided."""
        for place in np.flatnonzero(decision.stops).tolist():
            self.writer.stopped[place] = seen.step, decision.why[place]
        table = decision_table(seen, decision)
        if len(table):
            self._decisions[seen.step] = table
        with self._forgiving("decisions"):
            self._write_decisions()

    def save(self, step: int, held: Any, program: Program, places: np.ndarray) -> None:
        """Begins a checkpoint.

        Args:
          step: at which the runs are.
          held: what is held of them.
          program: that trains them.
          places: of those that have lanes.

        Raises:
          FolderLost: if the run folder is no longer there.
        """
        self.folder.check_in_place()
        with self._forgiving("the last checkpoint"):
            self.checkpoints.wait()
        with self._forgiving("a checkpoint"):
            self.writer.flush()
            self._write_decisions()
            lanes = places.tolist() if self.writer.stopped else None
            self.checkpoints.save(step, held, self._facts(program, lanes))
            self._saves += 1
        self._saved_at = time.perf_counter()

    def end(self, held: Any, program: Program | None, saved: bool = False) -> None:
        """Writes everything that is kept of the job; the result comes last and marks its end.

        Args:
          held: what is held of the runs.
          program: that trained them; None if nothing was left to train.
          saved: whether there is a checkpoint of them.

        Raises:
          OSError: if the disk is full.
        """
        self.folder.check_in_place()
        self.writer.flush()
        self._write_decisions()
        keep = self.options.keep_states or self.job.stop < self.part.steps
        with self._forgiving("the last checkpoint"):
            self.checkpoints.wait()
        if keep and not saved:
            self.checkpoints.save(self.job.stop, held, self._facts(program))
            self.checkpoints.wait()
        self._save_params(held)
        result = manifest.describe_result(
            self.part, self.job, program, self.writer, self._saves, self.options.keep_states
        )
        self.folder.save_result(self.job, result)
        if not keep:
            self.checkpoints.remove()
        if not self.options.keep_states:
            self.runner.remove_unneeded_states()
        self.observer.trained(self.label, result, len(self.job.runs), self.part.problem.task)

    def _check(self, saved: Checkpoint) -> None:
        """Raises a `UserError` for what no job saves, and for a file of metrics or decisions that
        was there at a checkpoint and is gone or changed: these rows would not be written again."""
        check_saved(saved.facts, len(self.job.runs), self.checkpoints.folder)
        name, before = self.job.name, saved.facts["metrics"]
        files = [(self.folder.metrics_file(name, n), size or 0) for n, size in enumerate(before)]
        for step, size in saved.facts.get("decisions", {}).items():
            files.append((self.folder.decisions_file(name, int(step)), size))
        for path, size in files:
            if (now := path.stat().st_size if path.is_file() else None) != size:
                is_now = "missing" if now is None else f"{now:,} bytes long"
                raise UserError(
                    f"{path} is {is_now}, and had {size:,} bytes at the checkpoint "
                    f"of step {saved.step:,}: put it back, or remove {self.checkpoints.folder} to "
                    "train these runs from the beginning"
                )

    def _write_decisions(self) -> None:
        """Writes the decisions that have not been written.

        Raises:
          OSError: if the disk is full; nothing is lost, and it can be tried again.
        """
        for step in sorted(self._decisions):
            self.folder.save_decisions(self.job.name, step, self._decisions[step])
            del self._decisions[step]

    def _facts(self, program: Program | None, lanes: list[int] | None = None) -> dict[str, Any]:
        """How the runs lie on the devices, and how far metrics and decisions have been written."""
        position = self.writer.position()
        return {
            "layout": program.layout if program else (),
            "lanes": lanes,
            "position": position,
            "metrics": self.folder.metrics_sizes(self.job.name, position["files"]),
            "decisions": self.folder.decisions_sizes(self.job.name),
        }

    def _save_params(self, held: Any) -> None:
        states, best, _ = Held.of(held)
        if best is not None:
            self.folder.save_best_params(self.job, best.params, best.step.tolist())
        ends = {place: step for place, (step, _) in self.writer.stopped.items()}
        steps = [ends.get(place, self.job.stop) for place in range(len(self.job.runs))]
        self.folder.save_params(self.job, states.params, steps if ends else None)

    @contextlib.contextmanager
    def _forgiving(self, what: str) -> Iterator[None]:
        """Reports an error of writing instead of raising it, so that training continues."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or " ".join(str(error).split())[:200]
            line = f"{self.label}: {what} could not be written: {reason}; training continues"
            self.observer.say(line)


def check_saved(facts: dict[str, Any], runs: int, folder: Path) -> None:
    """Checks what is saved of a job beside its states.

    Raises:
      UserError: if it is of other types, or of other runs.
    """
    progress = checked(facts, RecordedProgress, folder)
    position, lanes = progress["position"], progress["lanes"] or []
    scores, named = position["scores"], [run for run, _ in position["diverged"]]
    named += [*lanes, *(one["run"] for one in position["stopped"])]
    if len(scores or [None] * runs) != runs or max(named, default=0) >= runs:
        raise UserError(f"{folder} is damaged: its checkpoint is of other runs")
    if len(facts["metrics"]) != position["files"]:
        raise UserError(f"{folder} is damaged: metrics: should be of {position['files']} files")
