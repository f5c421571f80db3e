"""Runs an experiment: trains the jobs that have not ended, and records them in a run folder."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from research.atomic import remove_partial
from research.errors import FolderLost, UserError
from research.runs import manifest
from research.runs.checkpoints import Checkpoints
from research.runs.experiment import (
    Experiment,
    Part,
    check_experiment,
    first_stops,
    make_parts,
    make_schema,
    unused_notes,
)
from research.runs.halving import advance
from research.runs.initial import save_initial, take_initial
from research.runs.job_runner import JobRunner, TrainOptions
from research.runs.jobs import Job, Plan, check_plan, cut_jobs, unneeded_states
from research.runs.lengthen import is_longer, lengthen, pace_of, prolong_jobs
from research.runs.locks import Lock, Taken
from research.runs.memory_limit import check_fits
from research.runs.observer import Observer
from research.runs.run_folder import RunFolder, run_path
from research.runs.session import describe_session, now

POLL_SECONDS = 1.0  # between looks at whether others have ended a rung


class AlreadyFinished(UserError):
    """The sweep of a run folder is finished; nothing is left to train."""

    def __init__(self, path: Path):
        super().__init__(
            f"{path} is finished and is not overwritten: scripts/show {path} shows it; give "
            "another --name to run it again"
        )
        self.path = path


class RunOptions(NamedTuple):
    """Options of running an experiment; none of them changes what is trained.

    Attributes:
      out: the folder that the run folder is made in.
      name: of the run folder; workload and time if not given. A folder of that name, of the same
        experiment and not finished, is resumed.
      parallel: how many runs are trained together at most; None fits them to memory.
      shares: how many jobs there are to be at least, for so many processes.
      prepare: only make the run folder.
      worker: be one of several processes in one folder: train what no other has taken.
      process: (place, count): train every `count`-th job first, from that place on, and then what
        the other processes have left.
      lengthen: whether a folder may be resumed for longer than it was made for.
      train: how each job is trained.
      meanwhile: run folder -> what is open while jobs are trained, such as one who follows them.
    """

    out: str = "runs"
    name: str | None = None
    parallel: int | None = None
    shares: int = 1
    prepare: bool = False
    worker: bool = False
    process: tuple[int, int] | None = None
    lengthen: bool = False
    train: TrainOptions = TrainOptions()
    meanwhile: Callable[[Path], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


def run_experiment(
    experiment: Experiment,
    options: RunOptions | None = None,
    observer: Observer | None = None,
) -> Path | None:
    """Trains an experiment, records it, and returns the run folder.

    All that can be checked is checked before the folder is made; the folder is made before
    anything is compiled.

    Args:
      experiment: what to run.
      options: how.
      observer: is told how it goes, and may ask to stop; nobody if not given.

    Returns:
      The run folder; None if it was only prepared, this is one worker of several, or other
      processes are still at work in it.

    Raises:
      UserError: if something given is wrong, or the folder cannot be resumed.
      AlreadyFinished: if the folder is finished.
      FolderLost: if the folder is removed or renamed meanwhile.
      Stopped: if a signal asked to stop; everything is saved then.
    """
    options, observer = options or RunOptions(), observer or Observer()
    experiment = check_experiment(experiment)
    name = options.name or f"{experiment.name}-{datetime.now():%Y%m%d-%H%M%S}"
    path = run_path(options.out, name)
    parts = make_parts(experiment, pace_of(path, options.lengthen))
    make_schema(parts)
    train = options.train
    check_fits(parts, train.memory_limit if train.fit else None, not options.prepare)
    for note in dict.fromkeys([*experiment.notes, *unused_notes(parts), *_notes(parts)]):
        observer.say(f"{experiment.name}: {note}")
    session = describe_session()
    folder, resumed = _open_or_create(experiment, parts, path, options, observer, session)
    if options.prepare:
        observer.say(f"{experiment.name}: prepared {folder.path}")
        return None
    with _sharing(folder, options):
        _remove_leftovers(parts, folder)
        if resumed:
            folder.append_session(session)
        folder.record(status="running")
        try:
            with options.meanwhile(folder.path):
                _train_jobs(experiment, parts, folder, options, observer)
        except BaseException as error:
            with contextlib.suppress(OSError, UserError, FolderLost):
                folder.record(status="stopped", stopped=now())
            if isinstance(error, OSError):
                raise _cannot_continue(folder, error) from error
            raise
    if options.worker:
        return None  # whoever started the workers shows the result
    return folder.path if folder.manifest()["status"] == "finished" else None


def _notes(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        yield from part.problem.notes


def _open_or_create(
    experiment: Experiment,
    parts: Sequence[Part],
    path: Path,
    options: RunOptions,
    observer: Observer,
    session: dict[str, Any],
) -> tuple[RunFolder, bool]:
    """Creates the run folder, or opens it and checks that it is of this experiment; returns it, and
    whether it was there."""
    facts = manifest.describe(experiment, parts) | {"parallel": options.parallel}
    stops = first_stops(experiment, parts)
    made = path / "manifest.json"
    if made.is_file():
        return _resume(experiment, parts, path, facts, session, options, observer), True
    plan = Plan(cut_jobs(parts, stops, options.parallel, options.shares))
    files = {
        (part.number, name): content
        for part in parts
        for name, content in part.problem.files.items()
    }
    content = facts | session | {"arguments": sys.argv[1:], "sessions": [], "results": []}
    fill = lambda staging: None
    if experiment.init_from is not None:
        initial = take_initial(experiment.init_from, parts)
        fill = lambda staging: save_initial(staging, initial)
    try:
        folder = RunFolder.create(path.parent, path.name, content, plan, files, fill)
    except UserError:
        if options.process is None or not made.is_file():
            raise
        # Another process of the world was faster.
        return _resume(experiment, parts, path, facts, session, options, observer), True
    observer.begin(experiment, parts, path, resumed=False)
    return folder, False


def _resume(
    experiment: Experiment,
    parts: Sequence[Part],
    path: Path,
    facts: dict[str, Any],
    session: dict[str, Any],
    options: RunOptions,
    observer: Observer,
) -> RunFolder:
    """Opens a run folder to resume its sweep.

    Raises:
      UserError: if it is of another experiment.
      AlreadyFinished: if it is finished.
    """
    folder = RunFolder.open(path)
    if options.lengthen and is_longer(folder.manifest(), parts):
        _lengthen(folder, experiment, parts, facts, options, observer)
    recorded = folder.manifest()
    manifest.check_same(recorded, facts, path)
    if experiment.halving is None:
        prolong_jobs(folder, parts)  # where a kill has kept that from being done
    try:
        check_plan(folder.plan(), parts)
    except ValueError as error:
        raise UserError(f"{path}/plan.json is damaged: {error}") from None
    if recorded["status"] == "finished" and not _is_one_of_several(options):  # others were faster
        # A folder that cannot be written, or that somebody is at work in, stays as it is.
        with contextlib.suppress(OSError, UserError, Taken), folder.held(shared=False):
            _remove_leftovers(parts, folder)
        raise AlreadyFinished(path)
    for line in manifest.differences(recorded, session):
        observer.say(f"{experiment.name}: {line}")
    observer.begin(experiment, parts, path, resumed=True)
    return folder


def _lengthen(
    folder: RunFolder,
    experiment: Experiment,
    parts: Sequence[Part],
    facts: dict[str, Any],
    options: RunOptions,
    observer: Observer,
) -> None:
    """Lengthens the runs of a folder, and says so."""
    if _is_one_of_several(options):
        raise UserError(f"{folder.path}: lengthen its runs with one process, before others join")
    with _sharing(folder, options):
        lengthen(folder, experiment, parts, facts, sys.argv[1:])
    for part in parts:
        observer.say(
            f"{part.name or experiment.name}: runs go on to step {part.steps:,}, logged and "
            f"evaluated as often as before"
        )


@contextlib.contextmanager
def _sharing(folder: RunFolder, options: RunOptions) -> Iterator[None]:
    """Holds the folder's lock: exclusively, or shared with other workers.

    Raises:
      UserError: if that cannot be.
    """
    try:
        with folder.held(shared=_is_one_of_several(options)):
            yield
    except Taken as taken:
        holder = f"process {taken}" if str(taken) else "other processes"
        raise UserError(
            f"{folder.path} is being trained by {holder}: wait for it, or give another --name"
        ) from None


def _is_one_of_several(options: RunOptions) -> bool:
    return options.worker or options.process is not None


def _remove_leftovers(parts: Sequence[Part], folder: RunFolder) -> None:
    """Removes what a kill has left: incomplete files, and checkpoints of jobs that have ended."""
    remove_partial(folder.path)
    plan, results = folder.plan(), folder.results()
    unneeded = unneeded_states(plan, results)
    for job in plan.jobs:
        others = [other for other in plan.jobs if other.group == job.group]
        over = job.stop == parts[job.group].steps or job.name in unneeded
        stopped = not any(job.name in other.sources for other in others)
        decided = any(other.start >= job.stop for other in others)  # the next rung has begun
        kept = results.get(job.name, {}).get("keeps_states", True)  # older results do not say
        if not kept and (over or (stopped and decided)):
            Checkpoints(folder.checkpoints(job.name)).remove()


def _train_jobs(
    experiment: Experiment,
    parts: Sequence[Part],
    folder: RunFolder,
    options: RunOptions,
    observer: Observer,
) -> None:
    """Trains jobs until none is left to take."""
    runner = JobRunner(experiment, parts, folder, make_schema(parts), options.train, observer)
    while True:
        folder.check_in_place()
        with contextlib.ExitStack() as held:
            if taken := _take_job(folder, options, held):
                job, lock = taken
                runner.run(job)
                if job.name in folder.ended_jobs():  # and was not cut smaller
                    lock.mark_ended()
                folder.merge_results()
                continue
        if not _all_ended(folder, folder.plan()):
            if experiment.halving is None and folder.has_open_job():
                return  # others are at work on the rest
            time.sleep(POLL_SECONDS)
        elif not _next_rung(experiment, parts, folder, observer, options.train.keep_states):
            break
    folder.merge_results(status="finished", finished=now())


def _take_job(
    folder: RunFolder, options: RunOptions, held: contextlib.ExitStack
) -> tuple[Job, Lock] | None:
    """Returns the first job that can be trained now, and its lock, which `held` keeps; None if
    there is none."""
    place, count = options.process or (0, 1)
    ended, jobs = folder.ended_jobs(), folder.plan().jobs
    for number in sorted(range(len(jobs)), key=lambda number: number % count != place):
        job = jobs[number]
        if not _is_open(job, ended):
            continue
        try:
            lock = held.enter_context(folder.lock(job.name))
        except Taken:
            continue
        # Still, now that it is ours. A lock may say that it has ended before the listing does.
        if job in folder.plan().jobs and _is_open(job, folder.ended_jobs(fresh=lock.ended)):
            return job, lock
        held.close()
    return None


def _is_open(job: Job, ended: set[str]) -> bool:
    return job.name not in ended and set(job.sources) <= ended


def _all_ended(folder: RunFolder, plan: Plan) -> bool:
    return {job.name for job in plan.jobs} <= folder.ended_jobs()


def _next_rung(
    experiment: Experiment,
    parts: Sequence[Part],
    folder: RunFolder,
    observer: Observer,
    keep_states: bool,
) -> bool:
    """Starts the next rung of a halving, if there is one, and returns whether there are jobs to
    do."""
    halving = experiment.halving
    if halving is None:
        return False
    plan = folder.change_plan(lambda plan: advance(plan, parts, halving, folder.results()))
    if _all_ended(folder, plan):
        return False
    if not keep_states:
        _remove_stopped_states(plan, parts, folder)
    note = plan.rungs[-1]
    observer.say(
        f"{experiment.name}: the best {note['kept']} of {note['settings']} settings continue from "
        f"step {' or '.join(f'{step:,}' for step in sorted(set(note['steps'])))}",
    )
    return True


def _remove_stopped_states(plan: Plan, parts: Sequence[Part], folder: RunFolder) -> None:
    """Removes the last states of the jobs that no later job continues after a rung."""
    needed = {name for job in plan.jobs for name in job.sources}
    for job in plan.jobs:
        if job.stop < parts[job.group].steps and job.name not in needed:
            Checkpoints(folder.checkpoints(job.name)).remove()


def _cannot_continue(folder: RunFolder, error: OSError) -> UserError:
    return UserError(
        f"cannot write to {folder.path}: {error.strerror or error}; what was saved stands: make "
        f"room and resume with --resume {folder.path}"
    )
