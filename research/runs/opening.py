"""Makes the run folder of an experiment, or opens the one that it resumes, and says who may train
in it."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.atomic import remove_partial
from research.errors import UserError
from research.runs import manifest
from research.runs.asynchronous import first_jobs, remove_unneeded_states
from research.runs.checkpoints import Checkpoints
from research.runs.experiment import Experiment, Part, first_stops
from research.runs.initial import Initial, save_initial, take_initial
from research.runs.jobs import Job, Plan, check_plan, cut_jobs, unneeded_states
from research.runs.lengthen import is_longer, lengthen, prolong_jobs
from research.runs.locks import Taken
from research.runs.observer import Observer
from research.runs.proposals import batch_runs, propose_first, save_first
from research.runs.run_folder import RunFolder
from research.runs.search import Halving
from research.runs.training import TrainOptions


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


def open_or_create(
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
    initial = take_initial(experiment.init_from, parts) if experiment.init_from else {}
    starts = _starts(initial, stops)
    first = propose_first(experiment, parts, observer)
    begin = first and len(batch_runs(first.search, parts[0], len(experiment.seeds), 0))
    plan = Plan(_first_jobs(experiment, parts, stops, options, starts, begin))
    files = {
        (part.number, name): content
        for part in parts
        for name, content in part.problem.files.items()
    }
    content = facts | session | {"arguments": sys.argv[1:], "sessions": [], "results": []}

    def fill(staging: Path) -> None:
        if initial:
            save_initial(staging, initial)
        if first:
            save_first(staging, first)

    try:
        folder = RunFolder.create(path.parent, path.name, content, plan, files, fill)
    except UserError:
        if options.process is None or not made.is_file():
            raise
        # Another process of the world was faster.
        return _resume(experiment, parts, path, facts, session, options, observer), True
    observer.begin(experiment, parts, path, resumed=False)
    return folder, False


def _first_jobs(
    experiment: Experiment,
    parts: Sequence[Part],
    stops: Sequence[int],
    options: RunOptions,
    starts: Mapping[int, int],
    begin: int | None,
) -> tuple[Job, ...]:
    """The jobs that a sweep starts with."""
    together, halving = experiment.seeds_together, experiment.halving
    if halving is None or not halving.asynchronous:
        _check_parallel(options.parallel, parts, together)
        how = options.parallel, options.shares, starts, together, begin
        return cut_jobs(parts, stops, *how)
    if options.parallel is not None and options.parallel < (seeds := len(experiment.seeds)):
        raise UserError(
            f"--parallel {options.parallel}: with --asynchronous the {seeds} seeds of a setting "
            f"train together; give {seeds} or more"
        )
    return first_jobs(parts, stops, halving, options.parallel, options.shares, starts)


def _check_parallel(parallel: int | None, parts: Sequence[Part], seeds: int | None) -> None:
    """Raises a `UserError` if fewer runs are to be trained together than have to be."""
    members = len(parts[0].group.runs) // seeds if seeds else 1
    if parallel is not None and parallel < members:
        raise UserError(
            f"--parallel {parallel}: a population of {members} is trained together; give {members} "
            "or more"
        )


def _starts(initial: Mapping[int, Initial], stops: Sequence[int]) -> dict[int, int]:
    """The step at which the runs of each group begin.

    Raises:
      UserError: if there is nothing left to train.
    """
    for group, one in initial.items():
        if one.step >= stops[group]:
            raise UserError(
                f"--init-states: these states are of step {one.step:,}, and training ends at step "
                f"{stops[group]:,}; train for longer"
            )
    return {group: one.step for group, one in initial.items()}


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
    try:
        check_plan(folder.plan(), parts, not (experiment.search and experiment.search.in_batches))
    except ValueError as error:
        raise UserError(f"{path}/plan.json is damaged: {error}") from None
    if experiment.halving is None:
        prolong_jobs(folder, parts)  # where a kill has kept that from being done
    if recorded["status"] == "finished" and not _is_one_of_several(options):  # others were faster
        # A folder that cannot be written, or that somebody is at work in, stays as it is.
        with contextlib.suppress(OSError, UserError, Taken), folder.held(shared=False):
            remove_leftovers(parts, folder, experiment.halving)
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
    with sharing(folder, options):
        lengthen(folder, experiment, parts, facts, sys.argv[1:])
    for part in parts:
        observer.say(
            f"{part.name or experiment.name}: runs go on to step {part.steps:,}, logged and "
            f"evaluated as often as before"
        )


@contextlib.contextmanager
def sharing(folder: RunFolder, options: RunOptions) -> Iterator[None]:
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


def remove_leftovers(
    parts: Sequence[Part], folder: RunFolder, halving: Halving | None = None
) -> None:
    """Removes what a kill has left: incomplete files, and checkpoints of jobs that have ended."""
    remove_partial(folder.path)
    if halving is not None and halving.asynchronous:
        remove_unneeded_states(folder, parts, halving)
        return
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
