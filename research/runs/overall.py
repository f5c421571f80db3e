"""How far a whole sweep of many jobs is: read from its run folder, whoever trains in it."""

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from research.errors import UserError
from research.folders import check_is_file, files_in
from research.plain_text import count_of, duration
from research.runs.jobs import Job, Plan
from research.runs.run_folder import RunFolder


class Overall(NamedTuple):
    """How far all jobs of a plan are together.

    Attributes:
      jobs: how many there are.
      ended, runs: runs that no job will train any more, and all of them.
      done, steps: the steps that were trained, and all to train, summed over runs.
      rungs: whether later rungs of a successive halving may add jobs.
    """

    jobs: int
    ended: int
    runs: int
    done: int
    steps: int
    rungs: bool = False

    @property
    def share(self) -> float:
        """The share of all steps that were trained, from 0 to 1."""
        return self.done / max(self.steps, 1)

    def in_words(self, seconds_left: float | None) -> str:
        """Returns it in one line, with the time left where that is known."""
        of = "all steps planned so far" if self.rungs else "all steps"
        left = "" if seconds_left is None else f", {duration(seconds_left)} left"
        return (
            f"{self.ended:,} of {count_of(self.runs, 'run')} done, {self.share:.0%} of {of}{left}"
        )


class Pace:
    """The time that is left, from how much was done since the first look."""

    def __init__(self, first: Overall):
        self._first, self._began = first.done, time.monotonic()

    def seconds_left(self, overall: Overall) -> float | None:
        """The seconds that the rest takes at the pace so far; None before anything was done."""
        done = overall.done - self._first
        if done <= 0:
            return None
        return (time.monotonic() - self._began) * (overall.steps - overall.done) / done


def measure(
    plan: Plan,
    ended: Iterable[str],
    reached: Mapping[str, int] = {},
    groups: Sequence[Mapping[str, Any]] = (),
) -> Overall:
    """Returns how far a plan is.

    Args:
      plan: all jobs.
      ended: the names of those that have ended.
      reached: name -> the step that a job is at, of those that are being trained.
      groups: those of the manifest, whose runs may have no job yet, as in a search in batches.
    """
    ended = set(ended)
    waiting = [job for job in plan.jobs if job.name not in ended]
    open_runs = {run for job in waiting for run in job.runs}
    every = {run for job in plan.jobs for run in job.runs}
    steps = sum(_steps(job, job.stop) for job in plan.jobs)
    rest = sum(_steps(job, job.stop) - _steps(job, reached.get(job.name, 0)) for job in waiting)
    later = [_without_job(group, every, plan) for group in groups]
    runs, all_steps = len(every) + sum(n for n, _ in later), steps + sum(s for _, s in later)
    done = steps - rest
    return Overall(len(plan.jobs), len(every - open_runs), runs, done, all_steps, bool(plan.rungs))


def read_overall(path: Path) -> Overall:
    """Returns how far the sweep of a run folder is, by the metrics that were written.

    Raises:
      UserError: if its plan is damaged.
    """
    folder = RunFolder(path)
    plan, ended = folder.plan(), folder.ended_jobs()
    reached = {job.name: _last_step(path, job) for job in plan.jobs if job.name not in ended}
    return measure(plan, ended, reached, folder.manifest().get("groups", ()))


def _without_job(group: Mapping[str, Any], planned: set[int], plan: Plan) -> tuple[int, int]:
    """The runs of a group that have no job yet, and the steps that they will take."""
    first = int(group["first_run"])
    waiting = set(range(first, first + group["runs"])) - planned
    start = min((job.start for job in plan.jobs if first in job.runs), default=0)
    return len(waiting), len(waiting) * max((group.get("steps") or start) - start, 0)


def _steps(job: Job, reached: int) -> int:
    """The steps of a job, summed over its runs, up to the one that is reached."""
    return len(job.runs) * (min(max(reached, job.start), job.stop) - job.start)


def _last_step(path: Path, job: Job) -> int:
    """The last step in the newest file of the metrics of a job; 0 where there is none."""
    own = [file for file in files_in(path / "metrics", f"{job.name}-*.parquet")
           if file.stem.rpartition("-")[0] == job.name]  # fmt: skip
    with contextlib.suppress(OSError, UserError, pa.ArrowException, ValueError, IndexError):
        check_is_file(own[-1])
        found = pq.read_metadata(own[-1])
        column = found.schema.to_arrow_schema().names.index("step")
        groups = [found.row_group(number).column(column) for number in range(found.num_row_groups)]
        return max(int(group.statistics.max) for group in groups if group.statistics)
    return 0
