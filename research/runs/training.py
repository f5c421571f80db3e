"""Trains one job from its start, its checkpoint or the states of earlier jobs, to its end."""

import signal
import sys
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from research.engine import memory
from research.engine.axes import Runs
from research.engine.blocks import Block, start_blocks
from research.engine.cadence import plan_chunks
from research.engine.lanes import Lanes
from research.engine.loop import train
from research.engine.metrics import Record, as_status
from research.engine.program import Program, compile_program
from research.engine.schedule import Standing
from research.engine.scheduled import train_scheduled
from research.errors import Stopped
from research.plain_text import count_of
from research.runs.checkpoints import Checkpoint, Checkpoints
from research.runs.decisions import read_scores
from research.runs.early_stop import stops_of
from research.runs.held import Held, held_shapes
from research.runs.initial import load_initial
from research.runs.job_record import JobRecord, check_saved
from research.runs.jobs import Job, first_start
from research.runs.memory_limit import device_limit
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
        self.stop = NEVER_STOPPING

    def run(self) -> None:
        saved = self.checkpoints.latest(self._shapes(self.runs))
        self.record = JobRecord(self.runner, self.job, self.checkpoints, saved)
        self.writer = self.record.writer
        if saved and saved.step == self.job.stop:  # cut off just before the end, or cut there
            self.record.end(saved.states, None, saved=True)
            return
        start = saved.step if saved else self.job.start
        before = saved.states if saved else self._source_states()
        if len(self.writer.stopped) == len(self.runs):
            self.record.end(before, None)
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
        self.record.end(after, program)
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
            check_saved(ended.facts, len(source.runs), checkpoints.folder)
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
        self.record.start_clock()
        with progress as show, self.observer.stopping() as self.stop:

            def on_record(record: Record) -> None:
                self.record.add(record)
                show(record)

            def due() -> bool:
                return bool(self.stop) or self.record.is_due()

            def on_pause(step: int) -> None:
                if step == job.stop:
                    return  # where all is written in any case
                self.record.save(step, self._held(lanes), lanes.program, lanes.places)
                if self.stop:
                    self.checkpoints.wait()
                    raise self._stopped(f"at step {step:,} of {job.stop:,}")

            pauses = {"due": due, "on_pause": on_pause, "seconds": self.writer.seconds}
            try:
                self._advance(lanes, chunks, on_record, pauses)
            finally:
                self.record.flush()
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

        how = self.scheduler, self.standing, self._compile_fewer, on_record, self.record.decided
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

    def _stopped(self, where: str) -> Stopped:
        signum = self.stop.signum or 0
        script = sys.argv[0] or "the same script"
        return Stopped(
            f"stopped by {signal.Signals(signum).name} {where}, and saved; to resume: "
            f"scripts/run {script} --resume {self.folder.path}",
            signum,
        )
