"""Jobs: slices of runs that one process trains over a range of steps.

A sweep is a list of jobs. One process may take them all, one after the other; several may share
them. A job that has ended is never run again; one that was cut off resumes from its checkpoint,
whoever takes it next.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from research.runs.experiment import Part


class Job(NamedTuple):
    """A slice of the runs of one group that one process trains over a range of steps.

    Attributes:
      group: the number of their group.
      runs: their numbers among all runs of the experiment, in increasing order.
      start, stop: steps.
      width: for how many runs the program is made, so that jobs of about one size share it.
      sources: the jobs whose last states these runs continue from; none: they begin.
    """

    group: int
    runs: tuple[int, ...]
    start: int
    stop: int
    width: int
    sources: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the job. It is unique, as no two jobs begin with the same run and step."""
        return f"{self.group}-{self.runs[0]:06}" + (f"-from-{self.start}" if self.start else "")


class Plan(NamedTuple):
    """All jobs of a sweep, and why they were made.

    Attributes:
      jobs: in the order in which they are taken.
      rungs: how each rung of a successive halving was decided; JSON types.
      splits: which jobs were cut smaller, and why; JSON types.
    """

    jobs: tuple[Job, ...]
    rungs: tuple[dict[str, Any], ...] = ()
    splits: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The plan in JSON types."""
        return self._asdict() | {"jobs": [job._asdict() for job in self.jobs]}

    @classmethod
    def from_json(cls, recorded: dict[str, Any]) -> "Plan":
        """Undoes `to_json`.

        Args:
          recorded: of the types of `RecordedPlan`.

        Raises:
          ValueError: for jobs that no sweep has, such as one that continues from none of the jobs.
        """
        names = Job._fields
        jobs = [
            Job(**{name: job[name] for name in names})._replace(
                runs=tuple(job["runs"]), sources=tuple(job["sources"])
            )
            for job in recorded["jobs"]
        ]
        _check_jobs(jobs)
        return cls(tuple(jobs), tuple(recorded["rungs"]), tuple(recorded["splits"]))


def _check_jobs(jobs: Sequence[Job]) -> None:
    """Raises a `ValueError` for the first job that no sweep has."""
    known = {job.name: job for job in jobs}
    if len(known) < len(jobs):
        raise ValueError("two jobs begin with the same run and step")
    for job in jobs:
        if any(run >= later for run, later in itertools.pairwise(job.runs)):
            raise ValueError(f"the runs of job {job.name} are not in increasing order")
        if job.start >= job.stop:
            raise ValueError(f"job {job.name} ends at step {job.stop}, before it begins")
        for source in job.sources:
            if source not in known or known[source].stop != job.start:
                raise ValueError(f"job {job.name} continues from {source}, which ends elsewhere")
        before = {run for source in job.sources for run in known[source].runs}
        if job.sources and not before.issuperset(job.runs):
            raise ValueError(f"job {job.name} has runs that none of its sources has")


def first_start(plan: Plan, job: Job) -> int:
    """Returns the step at which the runs of a job began, in it or in the jobs that it continues."""
    jobs = {one.name: one for one in plan.jobs}
    while job.sources:
        job = jobs[job.sources[0]]
    return job.start


def cut_jobs(
    parts: Sequence[Part],
    stops: Sequence[int],
    most_runs: int | None = None,
    shares: int = 1,
    starts: Mapping[int, int] = {},
    seeds: int | None = None,
    begin: int | None = None,
) -> tuple[Job, ...]:
    """Returns the jobs that a sweep starts with.

    Args:
      parts: the groups of the experiment.
      stops: where the jobs of each group end.
      most_runs: trained together at most.
      shares: for how many processes; no job is larger than an equal share.
      starts: group -> the step at which its runs begin, if it is not 0.
      seeds: as of `cut`.
      begin: how many runs of each group begin, where the others follow later; all if None.
    """
    jobs = []
    for part, stop in zip(parts, stops, strict=True):
        count = len(part.group.runs) if begin is None else begin
        runs = range(part.first_run, part.first_run + count)
        pieces = max(-(-shares // len(parts)), -(-len(runs) // (most_runs or len(runs))))
        start = starts.get(part.number, 0)
        jobs += cut(Job(part.number, tuple(runs), start, stop, len(runs)), pieces, seeds)
    return tuple(jobs)


def cut(job: Job, pieces: int, seeds: int | None = None) -> list[Job]:
    """Returns a job split into `pieces` jobs of one size, but for the last.

    Args:
      job: to split.
      pieces: into how many; fewer where there is not so much to split.
      seeds: how many seeds each setting has, if all runs of a seed stay together; else None.
    """
    if seeds is not None:
        places = sorted({run % seeds for run in job.runs})
        width = math.ceil(len(places) / min(pieces, len(places)))
        shares = [set(places[first : first + width]) for first in range(0, len(places), width)]
        parts = [tuple(run for run in job.runs if run % seeds in share) for share in shares]
        return [job._replace(runs=runs, width=len(parts[0])) for runs in parts]
    width = math.ceil(len(job.runs) / pieces)
    return [
        job._replace(runs=job.runs[first : first + width], width=width)
        for first in range(0, len(job.runs), width)
    ]


def split(
    plan: Plan, job: Job, pieces: int, step: int, reason: str, seeds: int | None = None
) -> Plan:
    """Returns the plan with a job that has reached `step` split into smaller ones, as `cut` does.

    What it has done stays: it ends there, and the smaller ones continue from its last states.
    """
    if step > job.start:
        rest = job._replace(start=step, sources=(job.name,))
        instead = [job._replace(stop=step), *cut(rest, pieces, seeds)]
    else:
        instead = cut(job, pieces, seeds)
    note = {"job": job.name, "step": step, "runs": len(job.runs), "pieces": pieces, "why": reason}
    jobs = [new for old in plan.jobs for new in (instead if old.name == job.name else [old])]
    return plan._replace(jobs=tuple(jobs), splits=(*plan.splits, note))


def unneeded_states(plan: Plan, ended: Iterable[str]) -> set[str]:
    """Returns the jobs whose last states no other job continues from, once `ended` have ended."""
    ended = set(ended)
    sources = {name for job in plan.jobs for name in job.sources}
    needed = {name for job in plan.jobs if job.name not in ended for name in job.sources}
    return sources - needed


def check_plan(plan: Plan, parts: Sequence[Part], all_begin: bool = True) -> None:
    """Checks that the jobs of a plan are of the runs of an experiment.

    Args:
      plan: the jobs.
      parts: the groups of the experiment.
      all_begin: whether there is a job that begins each run, and none follows later.

    Raises:
      ValueError: for a job that is of none of its groups, or takes more than their runs or steps;
        and for runs that no job begins.
    """
    for job in plan.jobs:
        if job.group >= len(parts):
            raise ValueError(f"job {job.name} is of group {job.group}, and there are {len(parts)}")
        part = parts[job.group]
        first, last = part.first_run, part.first_run + len(part.group.runs) - 1
        if job.runs[0] < first or job.runs[-1] > last:
            raise ValueError(f"job {job.name} has others than runs {first} to {last}")
        if job.stop > part.steps:
            raise ValueError(f"job {job.name} ends after step {part.steps}")
        if job.width > len(part.group.runs):
            raise ValueError(f"job {job.name} is {job.width} runs wide")
    begun = {run for job in plan.jobs if not job.sources for run in job.runs}
    runs = sum(len(part.group.runs) for part in parts)
    if all_begin and len(begun) < runs:
        raise ValueError(f"{runs - len(begun)} of {runs} runs are begun by no job")
