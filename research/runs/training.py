"""Trains one job from its start, its checkpoint or the states of earlier jobs, to its end."""

import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from research.engine import memory
from research.engine.axes import Runs
from research.engine.blocks import Block, start_blocks
from research.engine.cadence import plan_chunks
from research.engine.lanes import Lanes
from research.engine.loop import train
from research.engine.metrics import Record, as_status
from research.engine.program import Program, compile_program
from research.engine.rows import row_labels
from research.engine.schedule import Decision, Seen, Standing
from research.engine.scheduled import train_scheduled
from research.errors import Stopped, UserError
from research.plain_text import count_of
from research.recorded import RecordedProgress, checked
from research.runs import manifest
from research.runs.checkpoints import Checkpoint, Checkpoints
from research.runs.decisions import decision_table, read_scores
from research.runs.early_stop import stops_of
from research.runs.held import Held, held_shapes
from research.runs.initial import load_initial
from research.runs.jobs import Job, first_start
from research.runs.memory_limit import device_limit
from research.runs.metrics_writer import MetricsWriter
from research.runs.observer import NEVER_STOPPING

if TYPE_CHECKING:
    from research.runs.job_runner import JobRunner


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


class Training:
    """One job in training."""

    def __init__(self, runner: "JobRunner", job: Job, checkpoints: Checkpoints):
        self.runner, self.job, self.checkpoints = runner, job, checkpoints
        self.folder, self.options, self.observer = runner.folder, runner.options, runner.observer
        self.part, self.runs, self.label = runner.part(job), runner.runs(job), runner.label(job)
        self.scheduler = runner.scheduler(job)
        self.decisions: dict[int, pa.Table] = {}  # by step; those that are not written yet
        self.saved_at, self.saves = time.perf_counter(), 0
        self.stop = NEVER_STOPPING

    def run(self) -> None:
        saved = self.checkpoints.latest(self._shapes(self.runs))
        self.writer = self._make_writer(saved)
        if saved and saved.step == self.job.stop:  # cut off just before the end, or cut there
            self._end(saved.states, None, saved=True)
            return
        start = saved.step if saved else self.job.start
        before = saved.states if saved else self._source_states()
        if len(self.writer.stopped) == len(self.runs):
            self._end(before, None)
            return
        places, width = self._lanes(saved)
        chunks = plan_chunks(self.job.stop, self.part.cadence, start)
        with self.observer.waiting("compiling"):
            given = self.runner.experiment.init_from
            resumed = saved is not None or bool(self.job.sources) or bool(given and given.states)
            program = self._compile(chunks, self.runs.take(places), width, resumed)
        self.observer.compiled(self.label, program)
        limit = self.options.memory_limit or device_limit(program.devices[0])
        pieces = self._pieces_that_fit(program, chunks, limit) if self.options.fit else 1
        if pieces > 1:
            reason = memory.too_much(program.cost, limit)
            self.runner.cut(self.job, pieces, self.checkpoints.steps(), reason)
            return
        if saved:
            self._say_where(saved, program)
        after, program = self._train(program, chunks, before, start, places)
        self._end(after, program)
        if self.stop:
            raise self._stopped("at the end of a job")

    def _shapes(self, runs: Runs) -> Any:
        """The shapes of what a checkpoint of runs holds."""
        keeps_best = self.runner.experiment.keep_best
        changes = self.scheduler is not None and self.scheduler.changes
        return held_shapes(self.part.problem, runs, keeps_best, changes)

    def _lanes(self, saved: Checkpoint | None) -> tuple[np.ndarray, int]:
        """The places of the runs that have lanes, and for how many lanes to compile: as they were
        at a checkpoint, since a run may have other bits in another lane."""
        stopped = sorted(self.writer.stopped)
        if saved and (places := saved.facts.get("lanes")):
            devices, lanes, blocks, _ = saved.facts["layout"]
            return np.array(places, np.int64), devices * lanes * blocks
        places = np.setdiff1d(np.arange(len(self.runs)), stopped)
        return places, len(places) if stopped else self.job.width

    def _compile(self, chunks: Any, runs: Runs, width: int, resumed: bool = False) -> Program:
        experiment = self.runner.experiment
        options: dict[str, Any] = {"most_lanes": experiment.most_lanes, "width": width}
        options |= {"resumed": resumed, "keep_best": experiment.keep_best}
        options |= {"given_params": experiment.init_from is not None}
        if self.scheduler is not None:
            options |= {"exchanges": self.scheduler.exchanges, "stops": self.scheduler.stops}
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
        self.folder.cut_decisions(name, saved.step if saved else 0)
        labels = row_labels(self.runs, np.array(self.job.runs), self.part.labels)

        def write(number: int, table: pa.Table) -> None:
            self.folder.append_metrics(name, number, table)

        return MetricsWriter(write, labels, self.runner.schema, self.part.problem.task, before)

    def _check_progress(self, saved: Checkpoint) -> None:
        """Raises a `UserError` for what no job saves, and for a file of metrics or decisions that
        was there at a checkpoint and is gone or changed: these rows would not be written again."""
        _check_saved(saved.facts, len(self.runs), self.checkpoints.folder)
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

        Passes the status of the runs to the writer, and which have stopped.
        """
        jobs = {job.name: job for job in self.folder.plan().jobs}
        states, statuses, places, stopped = [], [], {}, {}
        wanted = set(self.job.runs)
        for name in self.job.sources:
            source = jobs[name]
            template = self._shapes(self.runner.runs(source))
            with self.runner.checkpoints(source) as checkpoints:
                ended = checkpoints.load(source.stop, template)
            _check_saved(ended.facts, len(source.runs), checkpoints.folder)
            mine = [place for place, run in enumerate(source.runs) if run in wanted]
            states.append(jax.tree.map(itemgetter(mine), ended.states))
            status = as_status(ended.facts["position"]["diverged"], len(source.runs))
            statuses.append(status[mine])
            places |= {source.runs[one]: len(places) + place for place, one in enumerate(mine)}
            stops = stops_of(ended.facts["position"].get("stopped", []))
            stopped |= {source.runs[place]: stop for place, stop in stops.items()}
        if not states:
            return None
        rows = [places[run] for run in self.job.runs]
        self.writer.status = np.concatenate(statuses)[rows]
        mine = enumerate(self.job.runs)
        self.writer.stopped = {place: stopped[run] for place, run in mine if run in stopped}
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[rows], *states)

    def _given(self) -> tuple[Any, Any]:
        """The states and the params that the runs begin with; None where these are random."""
        given = self.runner.experiment.init_from
        if given is None:
            return None, None
        places = [run - self.part.first_run for run in self.job.runs]
        tree = load_initial(self.folder.path, self.part, places, given.states)
        return (tree, None) if given.states else (None, tree)

    def _train(
        self, program: Program, chunks: Any, before: Any, start: int, places: np.ndarray
    ) -> tuple[Any, Program]:
        """What is held of the runs at the end, on the host, and the program that trained them
        last."""
        task, job = self.part.problem.task, self.job
        in_work = self.runner.experiment.in_work
        progress = self.observer.progress(
            self.label, task, len(job.runs), job.start, job.stop, in_work
        )
        params, held = None, Held.of(before)
        if before is None:
            states, params = self._given()
            held = Held(states)
        self.standing = self._make_standing(held.hparams, start)
        lanes = self._start_lanes(program, held, params, places)
        del before, held, params
        self.saved_at = time.perf_counter()
        every = 60 * self.options.checkpoint_minutes
        with progress as show, self.observer.stopping() as self.stop:

            def on_record(record: Record) -> None:
                with self._forgiving("metrics"):
                    self.writer.add(record)
                show(record)

            def due() -> bool:
                return bool(self.stop) or time.perf_counter() - self.saved_at >= every

            def on_pause(step: int) -> None:
                if step == job.stop:
                    return  # where all is written in any case
                self._save(step, self._held(lanes), self._facts(lanes.program, lanes.places))
                if self.stop:
                    self.checkpoints.wait()
                    raise self._stopped(f"at step {step:,} of {job.stop:,}")

            pauses = {"due": due, "on_pause": on_pause, "seconds": self.writer.seconds}
            try:
                self._advance(lanes, chunks, on_record, pauses)
            finally:
                with self._forgiving("metrics"):
                    self.writer.flush()
        return self._held(lanes), lanes.program

    def _start_lanes(self, program: Program, held: Held, params: Any, places: np.ndarray) -> Lanes:
        """The runs that have lanes on the devices, and the others on the host."""
        count, of_lanes = len(self.runs), lambda tree: jax.tree.map(lambda leaf: leaf[places], tree)
        tree = held.states, self.writer.status, held.best, params
        if len(places) < count:
            tree = of_lanes(tree)
        blocks = start_blocks(program, self.standing.runs.take(places), *tree)
        stopped = np.array(sorted(self.writer.stopped), np.int64)
        left = jax.tree.map(lambda leaf: np.array(leaf[stopped]), (held.states, held.best))
        return Lanes(program, blocks, count, places, (stopped, left))

    def _advance(self, lanes: Lanes, chunks: Any, on_record: Any, pauses: Any) -> None:
        """Trains the runs through the chunks, under their scheduler if they have one."""
        if self.scheduler is None:
            on_pause = pauses.pop("on_pause")

            def pause(step: int, blocks: Sequence[Block]) -> None:
                lanes.blocks = list(blocks)
                on_pause(step)

            how = lanes.program, lanes.blocks, chunks, on_record
            lanes.blocks = train(*how, on_pause=pause, **pauses)
            return

        def on_decision(seen: Seen, decision: Decision) -> None:
            for place in np.flatnonzero(decision.stops).tolist():
                self.writer.stopped[place] = seen.step, decision.why[place]
            table = decision_table(seen, decision)
            if len(table):
                self.decisions[seen.step] = table
            with self._forgiving("decisions"):
                self._write_decisions()

        how = self.scheduler, self.standing, self._compile_fewer, on_record, on_decision
        train_scheduled(lanes, chunks, *how, **pauses)

    def _compile_fewer(self, runs: Runs, width: int, chunks: Any) -> Program:
        """The program for the runs that are left, once others have stopped."""
        program = self._compile(chunks, runs, width, resumed=True)
        left, seconds = count_of(len(runs), "run"), program.cost.compile_seconds
        at = f"from step {chunks[0].start:,} on"
        self.observer.say(
            f"{self.label}: {left} of {len(self.runs)} are left {at}; compiled for {width} lanes "
            f"in {seconds:.1f} s"
        )
        return program

    def _make_standing(self, hparams: Any, start: int) -> Standing:
        """What is known of the runs at a step, from what has been recorded."""
        runs = self.runs if hparams is None else Runs(self.runs.seeds, hparams)
        numbers, seeds = self.job.runs, len(self.runner.experiment.seeds)
        steps: Sequence[int] = ()
        if self.scheduler is not None:
            every, first = self.part.cadence.eval_every, first_start(self.folder.plan(), self.job)
            steps = [step for step in range(0, start + 1, every) if step > first]
        read = lambda name: list(read_scores(self.folder.path / "metrics", numbers, name, steps))
        scores = read(self.part.problem.task.key_metric)
        others = {name: read(name) for name in (self.scheduler.others if self.scheduler else ())}
        settings, stopped = np.array(numbers) // seeds, np.zeros(len(runs), np.bool_)
        stopped[sorted(self.writer.stopped)] = True
        known = self.writer.status, steps, scores, others, stopped
        return Standing(runs, numbers, settings, *known)

    def _held(self, lanes: Lanes) -> Any:
        """What a checkpoint holds of the runs."""
        changes = self.scheduler is not None and self.scheduler.changes
        states, best = lanes.held()
        return Held(states, best, self.standing.runs.hparams if changes else None).tree()

    def _write_decisions(self) -> None:
        """Writes the decisions that have not been written.

        Raises:
          OSError: if the disk is full; nothing is lost, and it can be tried again.
        """
        for step in sorted(self.decisions):
            self.folder.save_decisions(self.job.name, step, self.decisions[step])
            del self.decisions[step]

    def _save(self, step: int, states: Any, facts: dict[str, Any]) -> None:
        """Begins a checkpoint; a disk that is full is no reason to stop, but a folder that is lost
        is."""
        self.folder.check_in_place()
        with self._forgiving("the last checkpoint"):
            self.checkpoints.wait()
        with self._forgiving("a checkpoint"):
            self.writer.flush()
            self._write_decisions()
            self.checkpoints.save(step, states, facts | self._written())
            self.saves += 1
        self.saved_at = time.perf_counter()

    def _facts(self, program: Program | None, places: np.ndarray | None = None) -> dict[str, Any]:
        """How the runs lie on the devices."""
        lanes = places.tolist() if places is not None and self.writer.stopped else None
        return {"layout": program.layout if program else (), "lanes": lanes}

    def _written(self) -> dict[str, Any]:
        """How far metrics and decisions have been written."""
        position = self.writer.position()
        return {
            "position": position,
            "metrics": self.folder.metrics_sizes(self.job.name, position["files"]),
            "decisions": self.folder.decisions_sizes(self.job.name),
        }

    def _stopped(self, where: str) -> Stopped:
        signum = self.stop.signum or 0
        script = sys.argv[0] or "the same script"
        return Stopped(
            f"stopped by {signal.Signals(signum).name} {where}, and saved; to resume: "
            f"scripts/run {script} --resume {self.folder.path}",
            signum,
        )

    def _end(self, states: Any, program: Program | None, saved: bool = False) -> None:
        """Writes everything that is kept of a job; the result comes last and marks its end.

        Args:
          states: what is held of the runs.
          program: that trained them; None if nothing was left to train.
          saved: whether there is a checkpoint of them.
        """
        self.folder.check_in_place()
        self.writer.flush()
        self._write_decisions()
        keep = self.options.keep_states or self.job.stop < self.part.steps
        with self._forgiving("the last checkpoint"):
            self.checkpoints.wait()
        if keep and not saved:
            facts = self._facts(program) | self._written()
            self.checkpoints.save(self.job.stop, states, facts)
            self.checkpoints.wait()
        self._save_params(states)
        result = manifest.describe_result(
            self.part, self.job, program, self.writer, self.saves, self.options.keep_states
        )
        self.folder.save_result(self.job, result)
        if not keep:
            self.checkpoints.remove()
        if not self.options.keep_states:
            self.runner.remove_unneeded_states()
        self.observer.trained(self.label, result, len(self.runs), self.part.problem.task)

    def _save_params(self, held: Any) -> None:
        states, best, _ = Held.of(held)
        if best is not None:
            self.folder.save_best_params(self.job, best.params, best.step.tolist())
        ends = {place: step for place, (step, _) in self.writer.stopped.items()}
        steps = [ends.get(place, self.job.stop) for place in range(len(self.runs))]
        self.folder.save_params(self.job, states.params, steps if ends else None)

    @contextlib.contextmanager
    def _forgiving(self, what: str):
        """Reports an error of writing instead of raising it, so that training continues."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or " ".join(str(error).split())[:200]
            line = f"{self.label}: {what} could not be written: {reason}; training continues"
            self.observer.say(line)


def _check_saved(facts: dict[str, Any], runs: int, folder: Path) -> None:
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
