"""Asynchronous successive halving: whoever looks for work promotes the best settings so far.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (ASHA), 2020. Nobody waits for a
rung to end. A setting may be promoted that turns out not to be among the best: that is the price.
All seeds of many settings train together here, so that promotions come in batches as well. What is
promoted follows from the plan and the results by then alone, and the plan records it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.engine.schedule import Seen
from research.runs.checkpoints import Checkpoints
from research.runs.experiment import Part
from research.runs.jobs import Job, Plan
from research.runs.run_folder import RunFolder
from research.runs.rungs import (
    Results,
    describe_rung,
    ended_jobs,
    next_job,
    outcomes,
    problems_of,
    rung_steps,
    seeds_of,
    seen_of,
)
from research.runs.schedulers.halving import best_settings, in_order
from research.runs.search import Halving


class Rung(NamedTuple):
    """How far the settings are with one rung.

    Attributes:
      number: of the rung; the first is 1.
      steps: where it ends, for each group.
      jobs: those that have ended it.
      seen: of the settings of which all runs have ended it.
      order: problem -> these settings, the best first.
      promoted: the settings that train on, or have.
      promotable: those that may now, the best first.
    """

    number: int
    steps: list[int]
    jobs: list[Job]
    seen: Seen
    order: dict[str, list[int]]
    promoted: set[int]
    promotable: list[int]


def first_jobs(
    parts: Sequence[Part],
    stops: Sequence[int],
    halving: Halving,
    most_runs: int | None,
    shares: int,
    starts: Mapping[int, int],
) -> tuple[Job, ...]:
    """Returns the jobs of the first rung: batches of whole settings, at least as many for each
    process as one in `factor` is promoted of, where there are so many settings.

    Args:
      parts: the groups of the experiment.
      stops: where the first rung ends, for each group.
      halving: what follows.
      most_runs: trained together at most.
      shares: for how many processes.
      starts: group -> the step at which its runs begin, if it is not 0.
    """
    seeds, jobs = seeds_of(parts), []
    for part, stop in zip(parts, stops, strict=True):
        settings = len(part.group.runs) // seeds
        together = settings if most_runs is None else most_runs // seeds
        pieces = max(-(-shares * halving.factor // len(parts)), -(-settings // together))
        batch, end = -(-settings // pieces) * seeds, part.first_run + len(part.group.runs)
        for first in range(part.first_run, end, batch):
            runs = tuple(range(first, min(first + batch, end)))
            jobs.append(Job(part.number, runs, starts.get(part.number, 0), stop, batch))
    return tuple(jobs)


def is_promoted(job: Job, first_stops: Sequence[int]) -> bool:
    """Returns whether a job trains beyond the first rung, which ends at a step for each group."""
    return job.start >= first_stops[job.group]


def promote(
    plan: Plan, parts: Sequence[Part], halving: Halving, results: Results, whole: bool
) -> Plan:
    """Returns the plan with a job of promoted settings, from the top rung down; as it is where none
    can be promoted.

    Args:
      plan: the jobs so far.
      parts: the groups of the experiment.
      halving: the rungs.
      results: of the jobs that have ended so far.
      whole: whether to promote only as many as make a full job: one in `factor` of those that
        begin together.
    """
    for rung in reversed(rungs_so_far(plan, parts, halving, results)):
        for part in parts:
            full, first = _full(plan, part, halving, parts), part.first_run // seeds_of(parts)
            settings = range(first, first + len(part.group.runs) // seeds_of(parts))
            mine = [setting for setting in rung.promotable if setting in settings]
            if mine and (len(mine) >= full or not whole):
                return _with_promoted(plan, parts, halving, rung, mine[:full], full)
    return plan


def _full(plan: Plan, part: Part, halving: Halving, parts: Sequence[Part]) -> int:
    """How many settings of a group make a full job of promoted ones."""
    begun = [len(job.runs) for job in plan.jobs if job.group == part.number and not job.sources]
    return max(1, max(begun) // seeds_of(parts) // halving.factor)


def _with_promoted(
    plan: Plan,
    parts: Sequence[Part],
    halving: Halving,
    rung: Rung,
    chosen: Sequence[int],
    full: int,
) -> Plan:
    """The plan with a job of some settings that have ended a rung, and a note of it.

    A job that is not full is as wide as the next power of two, so that few programs are compiled.
    """
    seeds = seeds_of(parts)
    runs = tuple(sorted(setting * seeds + place for setting in chosen for place in range(seeds)))
    group = next(one.group for one in rung.jobs if runs[0] in one.runs)
    sources = [one for one in rung.jobs if one.group == group and set(one.runs) & set(runs)]
    width = min(full, 2 ** (len(chosen) - 1).bit_length()) * seeds
    job = next_job(parts, halving, rung.number, sources, runs, width)
    note = _note(plan, parts, rung, rung.promoted | set(chosen), job)
    rungs = [*plan.rungs]
    rungs[rung.number - 1 : rung.number] = [note]
    return plan._replace(jobs=(*plan.jobs, job), rungs=tuple(rungs))


def _note(
    plan: Plan,
    parts: Sequence[Part],
    rung: Rung,
    promoted: Collection[int],
    job: Job | None = None,
    stopped: Sequence[int] = (),
) -> dict[str, Any]:
    """What is recorded of a rung: as of one that all waited for, and every promotion in its order,
    of which `job` is a new one, with the jobs that have ended the rung since the one before."""
    before = plan.rungs[rung.number - 1] if len(plan.rungs) >= rung.number else {}
    promotions = list(before.get("promotions", []))
    if job is not None:
        known = {name for one in promotions for name in one["ended"]}
        ended = [one.name for one in rung.jobs if one.name not in known]
        promotions.append({"job": job.name, "ended": ended})
    note = describe_rung(parts, rung.number, rung.steps, rung.seen, promoted, stopped)
    return note | {"promotions": promotions}


def finish(plan: Plan, parts: Sequence[Part], halving: Halving, results: Results) -> Plan:
    """Returns the plan with the runs that stopped after each rung, once all jobs have ended and
    nothing can be promoted; else as it is."""
    rungs = rungs_so_far(plan, parts, halving, results)
    if any(job.name not in results for job in plan.jobs) or any(one.promotable for one in rungs):
        return plan
    notes = []
    for rung in rungs:
        stays = ~np.isin(rung.seen.settings, sorted(rung.promoted))
        stopped = rung.seen.runs[stays].tolist()
        notes.append(_note(plan, parts, rung, rung.promoted, stopped=stopped))
    return plan._replace(rungs=tuple(notes))


def rungs_so_far(
    plan: Plan, parts: Sequence[Part], halving: Halving, results: Results
) -> list[Rung]:
    """Returns how far the settings are with each rung but the last."""
    problems, higher = problems_of(parts), parts[0].problem.task.higher_is_better
    complete, rungs = set(problems.values()), []
    for number in range(1, halving.rungs):
        steps = rung_steps(parts, halving, number)
        jobs, promoted = ended_jobs(plan, steps, results), _promoted(plan, parts, steps)
        seen = _of_whole_settings(parts, seen_of(parts, steps[0], *outcomes(jobs, results)))
        complete -= _still_coming(plan, parts, steps, results)
        order = in_order(seen, problems, higher)
        best = best_settings(order, halving.factor, complete)
        promotable = [setting for setting in best if setting not in promoted]
        rungs.append(Rung(number, steps, jobs, seen, order, promoted, promotable))
        complete -= {problems[one] for one in promotable}
    return rungs


def _promoted(plan: Plan, parts: Sequence[Part], steps: Sequence[int]) -> set[int]:
    """The settings that a job trains on from the steps at which a rung ends."""
    seeds, from_there = seeds_of(parts), [job for job in plan.jobs if job.start == steps[job.group]]
    return {run // seeds for job in from_there for run in job.runs}


def _still_coming(
    plan: Plan, parts: Sequence[Part], steps: Sequence[int], results: Results
) -> set[str]:
    """The problems with a job that has not ended and ends with a rung, or before."""
    problems, seeds = problems_of(parts), seeds_of(parts)
    waited = [job for job in plan.jobs if job.name not in results and job.stop <= steps[job.group]]
    return {problems[job.runs[0] // seeds] for job in waited}


def _of_whole_settings(parts: Sequence[Part], seen: Seen) -> Seen:
    """What is known of the settings of which all seeds are there."""
    settings, counts = np.unique(seen.settings, return_counts=True)
    there = np.isin(seen.settings, settings[counts == seeds_of(parts)])
    take = lambda column: column[there]
    return seen._replace(
        runs=take(seen.runs),
        settings=take(seen.settings),
        seeds=take(seen.seeds),
        hparams=type(seen.hparams)(**{name: take(one) for name, one in vars(seen.hparams).items()}),
        scores=seen.scores[:, there],
        diverged=take(seen.diverged),
        stopped=take(seen.stopped),
    )


def remove_unneeded_states(folder: RunFolder, parts: Sequence[Part], halving: Halving) -> None:
    """Removes the states of `unneeded_in_rungs`, but those that are kept for the user. Meanwhile
    nobody promotes."""
    with folder.planning():
        plan, results = folder.plan(), folder.results()
        for name in unneeded_in_rungs(plan, parts, halving, results):
            if not results[name].get("keeps_states", True):
                Checkpoints(folder.checkpoints(name)).remove()


def unneeded_in_rungs(
    plan: Plan, parts: Sequence[Part], halving: Halving, results: Results
) -> set[str]:
    """Returns the jobs that have ended and whose last states no job continues from any more, and
    none will: each of their settings has trained on, or can no longer be promoted."""
    pending = {name for job in plan.jobs if job.name not in results for name in job.sources}
    seeds, unneeded, waiting = seeds_of(parts), set(), _waiting(plan, parts, halving, results)
    for job in plan.jobs:
        settings = {run // seeds for run in job.runs}
        number = next((at for at, (steps, _) in waiting.items() if steps[job.group] == job.stop), 0)
        may_go_on = number and settings & waiting[number][1]
        if job.name in results and job.name not in pending and not may_go_on:
            unneeded.add(job.name)
    return unneeded


def _waiting(
    plan: Plan, parts: Sequence[Part], halving: Halving, results: Results
) -> dict[int, tuple[list[int], set[int]]]:
    """Of each rung, where it ends and which settings may still be promoted from it.

    How many may be is at most what all settings that can come to the rung would make it; a place
    among those that have ended it only gets worse.
    """
    every: dict[str, list[int]] = {}
    for setting, name in problems_of(parts).items():
        every.setdefault(name, []).append(setting)
    most, found = {name: len(some) for name, some in every.items()}, {}
    for rung in rungs_so_far(plan, parts, halving, results):
        waiting: set[int] = set()
        for name, settings in every.items():
            ranked = rung.order.get(name, [])
            kept = set(ranked[: max(1, most[name] // halving.factor)]) - rung.promoted
            unseen = set(settings) - set(ranked)
            waiting |= kept | unseen
            coming = most[name] - len(ranked)
            most[name] = len(rung.promoted & set(settings)) + len(kept) + coming
        found[rung.number] = rung.steps, waiting
    return found
