"""Runs an experiment: trains the jobs that have not ended, and records them in a run folder."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from research.errors import FolderLost, UserError
from research.runs.checkpoints import Checkpoints
from research.runs.experiment import (
    Experiment,
    Part,
    check_experiment,
    make_parts,
    make_schema,
    unused_notes,
)
from research.runs.job_runner import JobRunner
from research.runs.jobs import Job, Plan
from research.runs.lengthen import pace_of
from research.runs.locks import Lock, Taken
from research.runs.memory_limit import check_fits
from research.runs.observer import Observer
from research.runs.opening import RunOptions, open_or_create, remove_leftovers, sharing
from research.runs.promotion import after_rungs, take_or_promote
from research.runs.proposals import Batches
from research.runs.run_folder import RunFolder, run_path
from research.runs.session import describe_session, now

POLL_SECONDS = 1.0  # between looks at whether others have ended a rung


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
    folder, resumed = open_or_create(experiment, parts, path, options, observer, session)
    batches = Batches(experiment, parts, folder)
    if options.prepare:
        observer.say(f"{experiment.name}: prepared {folder.path}")
        return None
    with sharing(folder, options):
        remove_leftovers(parts, folder, experiment.halving)
        if resumed:
            folder.append_session(session)
        folder.record(status="running")
        try:
            with options.meanwhile(folder.path):
                _train_jobs(experiment, batches, folder, options, observer)
        except BaseException as error:
            if isinstance(error, UserError) and not resumed and options.process is None:
                folder.remove_if_untrained()  # so that the next try may have its name
            with contextlib.suppress(OSError, UserError, FolderLost):
                folder.record(status="stopped", stopped=now())
            if isinstance(error, OSError):
                raise _cannot_continue(folder, error) from error
            raise
    if options.worker:
        return None  # whoever started the workers shows the result
    return folder.path if folder.manifest()["status"] == "finished" else None


def _notes(parts: Sequence[Part]) -> Iterator[str]:
    """The notes of all parts, without those that another one says and more, after a semicolon."""
    notes = [note for part in parts for note in part.problem.notes]
    for note in notes:
        if not any(other.startswith(f"{note};") for other in notes):
            yield note


def _train_jobs(
    experiment: Experiment,
    batches: Batches,
    folder: RunFolder,
    options: RunOptions,
    observer: Observer,
) -> None:
    """Trains jobs until none is left to take."""
    parts = batches.parts
    runner = JobRunner(experiment, parts, folder, make_schema(parts), options.train, observer)
    grows = experiment.halving is not None or batches.search is not None
    while True:
        folder.check_in_place()
        with contextlib.ExitStack() as held:
            if taken := _take_next(experiment, parts, folder, options, observer, held):
                job, lock = taken
                runner.parts = batches.parts  # with what others have proposed meanwhile
                runner.run(job)
                if job.name in folder.ended_jobs():  # and was not cut smaller
                    lock.mark_ended()
                folder.merge_results()
                continue
        if not _all_ended(folder, folder.plan()):
            if not grows and folder.has_open_job():
                return  # others are at work on the rest
            time.sleep(POLL_SECONDS)
        elif batches.begin_next(observer):
            continue
        elif not _next_rung(experiment, parts, folder, observer, options.train.keep_states):
            break
    folder.merge_results(status="finished", finished=now())


def _take_next(
    experiment: Experiment,
    parts: Sequence[Part],
    folder: RunFolder,
    options: RunOptions,
    observer: Observer,
    held: contextlib.ExitStack,
) -> tuple[Job, Lock] | None:
    """Returns a job that can be trained now, which may be made for that; else as `_take_job`."""
    halving = experiment.halving
    if halving is None or not halving.asynchronous:
        return _take_job(folder, options, held)
    take = lambda wanted: _take_job(folder, options, held, wanted)
    say = lambda line: observer.say(f"{experiment.name}: {line}")
    return take_or_promote(take, parts, halving, folder, say)


def _take_job(
    folder: RunFolder,
    options: RunOptions,
    held: contextlib.ExitStack,
    wanted: Callable[[Job], bool] = lambda job: True,
) -> tuple[Job, Lock] | None:
    """Returns the first of the jobs that are wanted and can be trained now, and its lock, which
    `held` keeps; None if there is none."""
    place, count = options.process or (0, 1)
    ended, jobs = folder.ended_jobs(), folder.plan().jobs
    for number in sorted(range(len(jobs)), key=lambda number: number % count != place):
        job = jobs[number]
        if not wanted(job) or not _is_open(job, ended):
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
    plan = folder.change_plan(lambda plan: after_rungs(plan, parts, halving, folder))
    if _all_ended(folder, plan):
        return False
    if halving.asynchronous:
        return True
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
