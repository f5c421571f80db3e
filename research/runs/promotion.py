"""Has the settings of a halving train on: once all have ended a rung, or batch after batch."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from research.plain_text import count_of
from research.runs.asynchronous import finish, is_promoted, promote
from research.runs.experiment import Part
from research.runs.jobs import Job, Plan
from research.runs.run_folder import RunFolder
from research.runs.rungs import advance, rung_steps, seeds_of, stop_tables
from research.runs.search import Halving

Taken = TypeVar("Taken")
Take = Callable[[Callable[[Job], bool]], Taken | None]  # which jobs are wanted -> one of them


def after_rungs(plan: Plan, parts: Sequence[Part], halving: Halving, folder: RunFolder) -> Plan:
    """Returns the plan after all of its jobs have ended: with those that follow, if any do. What
    stopped is recorded first, so that a kill leaves no plan without it.

    Call it while the folder's plan is being changed.
    """
    results = folder.results()
    if halving.asynchronous:
        after = promote(plan, parts, halving, results, whole=False)
        after = finish(plan, parts, halving, results) if after is plan else after
    else:
        after = advance(plan, parts, halving, results)
    for note in after.rungs:
        if note["stopped_runs"] and note not in plan.rungs:
            for step, table in stop_tables(parts, after, note, results).items():
                folder.save_decisions(f"rung-{note['rung']}", step, table)
    return after


def take_or_promote(
    take: Take[Taken],
    parts: Sequence[Part],
    halving: Halving,
    folder: RunFolder,
    say: Callable[[str], None],
) -> Taken | None:
    """Returns what `take` gives under an asynchronous halving: a job of promoted settings before
    one of the first rung, if there are enough of them for a full job, and of any number of them
    where nothing else is left."""
    first_stops = rung_steps(parts, halving, 1)
    late = lambda job: is_promoted(job, first_stops)

    def promoted(whole: bool) -> Taken | None:
        made = _promote(parts, halving, folder, whole)
        for job in made:
            count = count_of(len(job.runs) // seeds_of(parts), "setting")
            say(f"promoted {count}, the best so far, from step {job.start:,} to {job.stop:,}")
        return take(late) if made else None

    return (
        take(late)
        or promoted(whole=True)
        or take(lambda job: not late(job))
        or promoted(whole=False)
    )


def _promote(
    parts: Sequence[Part], halving: Halving, folder: RunFolder, whole: bool
) -> tuple[Job, ...]:
    """Promotes as `promote` does, unless another process was faster; returns the job that it made,
    if any."""
    made: tuple[Job, ...] = ()

    def change(plan: Plan) -> Plan:
        nonlocal made
        after = promote(plan, parts, halving, folder.results(), whole)
        made = after.jobs[len(plan.jobs) :]
        return after

    plan = folder.plan()
    if change(plan) is not plan:  # else nothing needs to be written
        folder.change_plan(change)
    return made
