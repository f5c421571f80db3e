"""The rungs of a successive halving as jobs: what has ended one, who continues, and notes of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from research.engine.schedule import Decision, Seen
from research.runs.decisions import decision_table
from research.runs.experiment import Part
from research.runs.jobs import Job, Plan, cut
from research.runs.ranking import Rank, problem_name
from research.runs.schedulers.halving import make_halving, setting_ranks
from research.runs.search import Halving

Results = Mapping[str, Mapping[str, Any]]  # job -> how it went, in JSON types


def advance(plan: Plan, parts: Sequence[Part], halving: Halving, results: Results) -> Plan:
    """Returns the plan with the jobs of the next rung, if the last rung has ended and another
    follows.

    Args:
      plan: the jobs so far.
      parts: the groups of the experiment.
      halving: how many continue, and to where.
      results: of the jobs that have ended.
    """
    rung = len(plan.rungs) + 1
    if rung == halving.rungs or any(job.name not in results for job in plan.jobs):
        return plan
    ended = ended_jobs(plan, rung_steps(parts, halving, rung), results)
    jobs, note = next_rung(parts, halving, rung, ended, *outcomes(ended, results))
    return plan._replace(jobs=(*plan.jobs, *jobs), rungs=(*plan.rungs, note))


def next_rung(
    parts: Sequence[Part],
    halving: Halving,
    rung: int,
    jobs: Sequence[Job],
    scores: Mapping[int, float | None],
    diverged: Collection[int] = (),
) -> tuple[list[Job], dict[str, Any]]:
    """Returns the jobs of the best settings, and how they were chosen, in JSON types.

    Args:
      parts: the groups of the experiment.
      halving: how many continue, and to where.
      rung: the number of the one that is to begin; 1 follows the first.
      jobs: those that ended with the last rung.
      scores: run -> its key metric there; None where it is not defined.
      diverged: the runs that have diverged, which are worst whatever they score.
    """
    higher = parts[0].problem.task.higher_is_better
    steps = rung_steps(parts, halving, rung)
    seen = seen_of(parts, steps[0], scores, diverged)
    decision = make_halving(halving.factor, problems_of(parts), higher)(seen, (0, rung))
    chosen = set(seen.runs[~decision.stops].tolist())
    began = []
    for part in parts:
        mine = [job for job in jobs if job.group == part.number and chosen & set(job.runs)]
        runs = tuple(sorted(chosen & {run for job in mine for run in job.runs}))
        if runs:
            whole = next_job(parts, halving, rung, mine, runs, len(runs))
            most = max(len(job.runs) for job in mine)
            began += [_with_its_sources(job, mine) for job in cut(whole, -(-len(runs) // most))]
    kept = set(seen.settings[~decision.stops].tolist())
    stopped = sorted(set(scores) - chosen)
    return began, describe_rung(parts, rung, steps, seen, kept, stopped)


def next_job(
    parts: Sequence[Part],
    halving: Halving,
    rung: int,
    sources: Sequence[Job],
    runs: tuple[int, ...],
    width: int,
) -> Job:
    """Returns the job that trains some runs of one group through the rung that follows `rung`
    others.

    Args:
      parts: the groups of the experiment.
      halving: to where they train.
      rung: how many they have ended.
      sources: the jobs in which they ended the last of these.
      runs: their numbers, in increasing order.
      width: as of `Job`.
    """
    number = sources[0].group
    start, stop = _stops(halving, parts[number])[rung - 1 : rung + 1]
    return _with_its_sources(Job(number, runs, start, stop, width), sources)


def _with_its_sources(job: Job, before: Sequence[Job]) -> Job:
    names = [old.name for old in before if set(old.runs) & set(job.runs)]
    return job._replace(sources=tuple(names))


def describe_rung(
    parts: Sequence[Part],
    rung: int,
    steps: Sequence[int],
    seen: Seen,
    kept: Collection[int],
    stopped: Sequence[int],
) -> dict[str, Any]:
    """Returns what is recorded of a rung, in JSON types.

    Args:
      parts: the groups of the experiment.
      rung: its number; the first is 1.
      steps: where it ends, for each group.
      seen: of the runs that have ended it.
      kept: the settings that continue.
      stopped: the runs that do not.
    """
    higher, seeds = parts[0].problem.task.higher_is_better, seeds_of(parts)
    sign, ranks = -1.0 if higher else 1.0, setting_ranks(seen, higher)
    return {
        "rung": rung,
        "steps": list(steps),
        "settings": len(ranks),
        "kept": len(kept),
        "stopped_runs": list(stopped),
        "scores": [
            {"first_run": s * seeds, "iqm": _noted(ranks[s], sign), "kept": s in kept}
            for s in sorted(ranks)
        ],
    }


def _noted(place: Rank, sign: float) -> float | None:
    """The interquartile mean as the metric has it; None where a run of the middle half has none."""
    return None if place.diverged or place.undefined else sign * place.mean


def rung_steps(parts: Sequence[Part], halving: Halving, rung: int) -> list[int]:
    """Returns the step at which a rung ends, for each group; the first is rung 1."""
    return [_stops(halving, part)[rung - 1] for part in parts]


def _stops(halving: Halving, part: Part) -> list[int]:
    return halving.stops(part.steps, part.cadence.log_every)


def seeds_of(parts: Sequence[Part]) -> int:
    """Returns how many seeds each setting has."""
    return len(set(parts[0].group.runs.seeds.tolist()))


def problems_of(parts: Sequence[Part]) -> dict[int, str]:
    """Returns the name of the problem of each setting, such as an environment."""
    seeds = seeds_of(parts)
    return {
        part.first_run // seeds + place: problem_name(part.problem.facts)
        for part in parts
        for place in range(len(part.group.runs) // seeds)
    }


def ended_jobs(plan: Plan, steps: Sequence[int], results: Results) -> list[Job]:
    """Returns the jobs that have ended a rung, whose step is given for each group."""
    return [job for job in plan.jobs if job.name in results and job.stop == steps[job.group]]


def outcomes(jobs: Sequence[Job], results: Results) -> tuple[dict[int, float | None], set[int]]:
    """Returns the score of each run of some jobs, and the runs that have diverged."""
    scores = {run: score for job in jobs for run, score in _scores(job, results[job.name])}
    return scores, {one["run"] for job in jobs for one in results[job.name]["diverged"]}


def _scores(job: Job, result: Mapping[str, Any]) -> Iterator[tuple[int, float | None]]:
    """The runs of a job and their scores; None where there are none."""
    return zip(job.runs, result.get("scores") or [None] * len(job.runs), strict=True)


def seen_of(
    parts: Sequence[Part],
    step: int,
    scores: Mapping[int, float | None],
    diverged: Collection[int],
) -> Seen:
    """Returns what is known of the runs that have ended a rung.

    Args:
      parts: the groups of the experiment.
      step: where it ended; of the first group, if the groups differ.
      scores: run -> its key metric there, as it is recorded.
      diverged: runs that have diverged.
    """
    numbers = np.array(sorted(scores), np.int64)
    every = [vars(part.group.runs.hparams) for part in parts]
    columns = {name: np.concatenate([one[name] for one in every])[numbers] for name in every[0]}
    seeds = np.concatenate([part.group.runs.seeds for part in parts])[numbers]
    values = [np.nan if scores[run] is None else scores[run] for run in numbers.tolist()]
    return Seen(
        step,
        numbers,
        numbers // seeds_of(parts),
        seeds,
        type(parts[0].group.runs.hparams)(**columns),
        (step,),
        np.array([values], np.float64),
        np.isin(numbers, sorted(diverged)),
        np.zeros(len(numbers), np.bool_),
    )


def stop_tables(
    parts: Sequence[Part], plan: Plan, note: Mapping[str, Any], results: Results
) -> dict[int, pa.Table]:
    """Returns a row for each run that stops after a rung, by the step at which it ended.

    Args:
      parts: the groups of the experiment.
      plan: the jobs.
      note: what is recorded of the rung.
      results: of the jobs that have ended.
    """
    tables, ended = {}, ended_jobs(plan, note["steps"], results)
    for step in sorted({job.stop for job in ended}):
        seen = seen_of(parts, step, *outcomes([job for job in ended if job.stop == step], results))
        stops = np.isin(seen.runs, note["stopped_runs"])
        why = ["rung" if stop else "" for stop in stops.tolist()]
        decision = Decision(stops, np.arange(len(stops)), seen.hparams, why)
        tables[step] = decision_table(seen, decision)
    return tables
