"""Successive halving: all settings train for a while, and the best of them for longer.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
2016; the rungs are those of a bracket of Hyperband (Li et al., 2018).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from research.runs.experiment import Part
from research.runs.jobs import Job, Plan, cut
from research.runs.ranking import Rank, problem_name, rank
from research.runs.search import Halving


def advance(
    plan: Plan,
    parts: Sequence[Part],
    halving: Halving,
    results: Mapping[str, Mapping[str, Any]],
) -> Plan:
    """Returns the plan with the jobs of the next rung, if the last rung has ended and another
    follows.

    Args:
      plan: the jobs so far.
      parts: the groups of the experiment.
      halving: how many continue, and to where.
      results: job -> how it went.
    """
    rung = len(plan.rungs) + 1
    if rung == halving.rungs or any(job.name not in results for job in plan.jobs):
        return plan
    stops = [_stops(halving, part)[rung - 1] for part in parts]
    ended = [job for job in plan.jobs if job.stop == stops[job.group]]
    scores = {run: score for job in ended for run, score in _scores(job, results[job.name])}
    diverged = {one["run"] for job in ended for one in results[job.name]["diverged"]}
    jobs, note = next_rung(parts, halving, rung, ended, scores, diverged)
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
    task, seeds = parts[0].problem.task, _seeds(parts[0])
    sign = -1.0 if task.higher_is_better else 1.0
    settings = sorted({run // seeds for run in scores})
    ranks = {
        s: _rank(range(s * seeds, (s + 1) * seeds), scores, diverged, task.higher_is_better)
        for s in settings
    }
    kept = sorted(
        setting
        for some in _by_problem(parts, settings, seeds)
        for setting in sorted(some, key=lambda one: ranks[one])[
            : max(1, len(some) // halving.factor)
        ]
    )
    chosen = {setting * seeds + i for setting in kept for i in range(seeds)}
    began = []
    for part in parts:
        mine = [job for job in jobs if job.group == part.number and chosen & set(job.runs)]
        runs = tuple(sorted(chosen & {run for job in mine for run in job.runs}))
        if runs:
            stops = _stops(halving, part)
            sources = tuple(job.name for job in mine)
            whole = Job(part.number, runs, stops[rung - 1], stops[rung], len(runs), sources)
            most = max(len(job.runs) for job in mine)
            began += [_with_its_sources(job, mine) for job in cut(whole, -(-len(runs) // most))]
    note = {
        "rung": rung,
        "steps": [_stops(halving, part)[rung - 1] for part in parts],
        "settings": len(settings),
        "kept": len(kept),
        "stopped_runs": sorted(set(scores) - chosen),
        "scores": [
            {"first_run": s * seeds, "iqm": _noted(ranks[s], sign), "kept": s in kept}
            for s in settings
        ],
    }
    return began, note


def _by_problem(parts: Sequence[Part], settings: Sequence[int], seeds: int) -> list[list[int]]:
    """The settings of each problem, such as an environment: others are not ranked with them."""
    found: dict[str, list[int]] = {}
    for part in parts:
        runs = range(part.first_run, part.first_run + len(part.group.runs))
        mine = [setting for setting in settings if setting * seeds in runs]
        found.setdefault(problem_name(part.problem.facts), []).extend(mine)
    return [some for some in found.values() if some]


def _scores(job: Job, result: Mapping[str, Any]) -> Iterator[tuple[int, float | None]]:
    """The runs of a job and their scores; None where there are none."""
    return zip(job.runs, result.get("scores") or [None] * len(job.runs), strict=True)


def _stops(halving: Halving, part: Part) -> list[int]:
    return halving.stops(part.steps, part.cadence.log_every)


def _seeds(part: Part) -> int:
    return len(set(part.group.runs.seeds.tolist()))


def _rank(
    runs: Sequence[int],
    scores: Mapping[int, float | None],
    diverged: Collection[int],
    higher_is_better: bool,
) -> Rank:
    finite = [scores[run] for run in runs if run not in diverged]
    return rank(finite, len(runs) - len(finite), higher_is_better)


def _noted(place: Rank, sign: float) -> float | None:
    """The interquartile mean as the metric has it; None where a run of the middle half has none."""
    return None if place.diverged or place.undefined else sign * place.mean


def _with_its_sources(job: Job, before: Sequence[Job]) -> Job:
    names = [old.name for old in before if set(old.runs) & set(job.runs)]
    return job._replace(sources=tuple(names))
