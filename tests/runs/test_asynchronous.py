"""Tests of asynchronous halving: what is promoted, on tables made by hand and in any order."""

import json

import numpy as np
import pytest

from research.runs.asynchronous import finish, first_jobs, promote, unneeded_in_rungs
from research.runs.experiment import first_stops, make_parts
from research.runs.jobs import Plan, check_plan, split
from research.runs.rungs import stop_tables
from research.runs.search import Halving
from tests.runs.halvings import toy_halving


def make(settings=27, seeds=1, groups=1, rungs=3, shares=1, most_runs=None):
    """The groups and first jobs of an asynchronous halving by 3, where lower scores are better."""
    halving = Halving(3, rungs, asynchronous=True)
    experiment = toy_halving(halving, settings, seeds, groups)
    parts = make_parts(experiment)
    stops = first_stops(experiment, parts)
    return parts, Plan(first_jobs(parts, stops, halving, most_runs, shares, {})), halving


def end(plan, results, names, scores, diverged=()):
    """Ends some jobs."""
    for job in plan.jobs:
        if job.name in names:
            results[job.name] = {
                "scores": [scores[run] for run in job.runs],
                "diverged": [{"run": run} for run in job.runs if run in diverged],
            }


def by_then(plan, results):
    """Of each promotion: the rung, the settings that had ended it, and those that were promoted.
    One seed a setting."""
    jobs = {job.name: job for job in plan.jobs}
    for note in plan.rungs:
        ended, promoted = set(), set()
        for one in note["promotions"]:
            ended |= {run for name in one["ended"] for run in jobs[name].runs}
            assert not promoted & set(jobs[one["job"]].runs)
            promoted |= set(jobs[one["job"]].runs)
            yield note["rung"], ended, set(jobs[one["job"]].runs)


def test_the_first_rung_is_batches_of_whole_settings():
    sizes = lambda **how: [len(job.runs) for job in make(**how)[1].jobs]
    assert sizes(seeds=2) == [18, 18, 18]
    assert sizes(seeds=2, shares=4) == [6] * 9
    assert sizes(seeds=4, most_runs=11) == [8] * 13 + [4]
    assert sizes(settings=9, seeds=2, groups=2) == [10, 8, 10, 8]


def test_a_full_batch_is_promoted_from_the_first_that_ended():
    parts, plan, halving = make(seeds=2)
    scores = {run: float(run // 2 % 9) for run in range(54)}
    results = {}
    assert promote(plan, parts, halving, results, whole=False) is plan
    end(plan, results, ["0-000018"], scores)
    plan = promote(plan, parts, halving, results, whole=True)
    *_, job = plan.jobs
    assert job.runs == (18, 19, 20, 21, 22, 23)
    assert (job.start, job.stop, job.width, job.sources) == (3, 9, 6, ("0-000018",))
    assert promote(plan, parts, halving, results, whole=False) is plan


def test_fewer_than_a_full_batch_wait_until_nothing_else_can_be_done():
    parts, plan, halving = make()
    scores = {run: -float(run) for run in range(27)}
    results = {}
    end(plan, results, ["0-000018"], scores)
    plan = promote(plan, parts, halving, results, whole=True)  # 26, 25 and 24
    end(plan, results, ["0-000009"], scores)
    plan = promote(plan, parts, halving, results, whole=True)  # 23, 22 and 21 are next
    assert plan.jobs[-1].runs == (21, 22, 23)
    scores[0] = -100.0
    end(plan, results, ["0-000000"], scores)
    assert promote(plan, parts, halving, results, whole=True).jobs[-1].runs == (0, 19, 20)
    scores[0] = 0.0
    end(plan, results, ["0-000024-from-3"], scores)
    some = promote(plan, parts, halving, {**results}, whole=False)
    assert (some.jobs[-1].runs, some.jobs[-1].start, some.jobs[-1].width) == ((26,), 9, 1)


def test_an_early_promotion_may_turn_out_not_to_be_among_the_best():
    """Of the batch that ends first a third is promoted, though all of it is worse than the rest."""
    parts, plan, halving = make(rungs=2)
    scores, results = {run: float(-run) for run in range(27)}, {}
    for name in ("0-000000", "0-000009", "0-000018"):
        end(plan, results, [name], scores)
        plan = promote(plan, parts, halving, results, whole=True)
    found = [(ended, promoted) for _, ended, promoted in by_then(plan, results)]
    assert [promoted for _, promoted in found] == [{6, 7, 8}, {15, 16, 17}, {24, 25, 26}]
    plan = promote(plan, parts, halving, results, whole=True)
    assert plan.jobs[-1].runs == (21, 22, 23)
    plan = promote(plan, parts, halving, results, whole=True)
    assert plan.jobs[-1].runs == (18, 19, 20)
    assert promote(plan, parts, halving, results, whole=False) is plan
    assert finish(plan, parts, halving, results) is plan  # these train on
    end(plan, results, [job.name for job in plan.jobs], scores)
    plan = finish(plan, parts, halving, results)
    (note,) = plan.rungs
    stays = [*range(6), *range(9, 15)]
    assert (note["settings"], note["kept"], note["stopped_runs"]) == (27, 15, stays)
    (table,) = stop_tables(parts, plan, note, results).values()
    assert table["run"].to_pylist() == stays
    assert set(table["why"].to_pylist()) == {"rung"}
    assert finish(plan, parts, halving, results) == plan


def test_a_setting_waits_for_all_of_its_seeds():
    parts, plan, halving = make(settings=9, seeds=3)
    plan = split(plan, plan.jobs[0], 2, 0, "too much")  # runs 0 to 4 and 5 to 8
    scores, results = {run: float(run) for run in range(27)}, {}
    end(plan, results, ["0-000000", "0-000018"], scores)
    promoted = promote(plan, parts, halving, results, whole=False)
    assert promoted.jobs[-1].runs == (0, 1, 2)
    end(plan, results, ["0-000005"], scores)
    plan = promote(plan, parts, halving, results, whole=False)
    assert plan.jobs[-1].runs[:3] == (0, 1, 2)
    assert "0-000005" not in unneeded_in_rungs(plan, parts, halving, results)


def test_none_of_two_settings_is_promoted_while_more_come():
    parts, plan, halving = make(settings=9, shares=3)
    scores, results = {run: float(run) for run in range(9)}, {}
    end(plan, results, [job.name for job in plan.jobs[:2]], scores)
    assert promote(plan, parts, halving, results, whole=False) is plan
    end(plan, results, [plan.jobs[2].name], scores)
    assert promote(plan, parts, halving, results, whole=False).jobs[-1].runs == (0,)


def test_a_diverged_setting_is_promoted_last():
    parts, plan, halving = make(settings=9, rungs=2)
    scores, results = {run: float(run) for run in range(9)}, {}
    end(plan, results, [job.name for job in plan.jobs], scores, diverged={0, 1})
    while (after := promote(plan, parts, halving, results, whole=False)) is not plan:
        plan = after
    assert [job.runs for job in plan.jobs[3:]] == [(2,), (3,), (4,)]


def test_each_problem_brings_a_setting_to_the_end():
    """Two of a problem are too few to thin out twice; one of them goes on all the same, when no
    more come."""
    parts, plan, halving = make(settings=5, groups=2)
    parts = [
        part._replace(problem=part.problem._replace(facts={"environment": name}))
        for part, name in zip(parts, ("easy", "hard"), strict=True)
    ]
    scores, results = {run: float(run) for run in range(10)}, {}
    end(plan, results, [plan.jobs[0].name], scores)
    plan = promote(plan, parts, halving, results, whole=False)
    assert [job.runs for job in plan.jobs[len(plan.jobs) - 1 :]] == [(0,)]
    plan = to_the_end(parts, plan, halving, results, scores, np.random.default_rng(0))
    assert {job.runs for job in plan.jobs if job.stop == 27} == {(0,), (5,)}


def to_the_end(parts, plan, halving, results, scores, random, diverged=()):
    """Ends jobs in any order, as workers of any speed would, and promotes meanwhile."""
    while True:
        waiting = [
            job for job in plan.jobs if job.name not in results and set(job.sources) <= {*results}
        ]
        gone = unneeded_in_rungs(plan, parts, halving, results)
        after = promote(plan, parts, halving, results, whole=bool(random.integers(2)))
        if after is plan and not waiting:
            after = promote(plan, parts, halving, results, whole=False)
        assert not gone & {name for job in after.jobs[len(plan.jobs) :] for name in job.sources}
        if after is not plan:
            plan = after
        elif waiting:
            one = waiting[random.integers(len(waiting))]
            end(plan, results, [one.name], scores, diverged)
        else:
            return plan


@pytest.mark.parametrize("trial", range(12))
def test_in_any_order_each_is_promoted_once_and_among_the_best_by_then(trial):
    random = np.random.default_rng(trial)
    parts, plan, halving = make(settings=40, groups=1 + trial % 2, rungs=4, shares=1 + trial % 4)
    runs = 40 * len(parts)
    scores = dict(enumerate(random.normal(size=runs).tolist()))
    diverged = set(random.choice(runs, 5).tolist())
    results = {}
    plan = to_the_end(parts, plan, halving, results, scores, random, diverged)
    plan = finish(plan, parts, halving, results)
    merit = lambda run: (run in diverged, scores[run])
    for _, ended, promoted in by_then(plan, results):
        best = sorted(ended, key=merit)[: max(1, len(ended) // 3)]
        assert promoted <= set(best)
    tops = {run for job in plan.jobs if job.stop == 27 for run in job.runs}
    assert tops
    assert max(len(job.runs) for job in plan.jobs if job.start) <= max(
        1, len(plan.jobs[0].runs) // 3
    )
    stopped = [set(note["stopped_runs"]) for note in plan.rungs]
    assert sorted([*tops, *(run for some in stopped for run in some)]) == list(range(runs))
    assert unneeded_in_rungs(plan, parts, halving, results) == {job.name for job in plan.jobs}
    assert Plan.from_json(json.loads(json.dumps(plan.to_json(), allow_nan=False))) == plan
    check_plan(plan, parts)


def test_states_are_kept_as_long_as_a_setting_may_be_promoted():
    parts, plan, halving = make()
    scores, results = {run: float(run) for run in range(27)}, {}
    end(plan, results, ["0-000009"], scores)
    plan = promote(plan, parts, halving, results, whole=True)
    assert unneeded_in_rungs(plan, parts, halving, results) == set()
    end(plan, results, ["0-000009-from-3"], scores)
    assert unneeded_in_rungs(plan, parts, halving, results) == set()  # 12 to 17 may be promoted
    end(plan, results, ["0-000000"], scores)  # which take 9 places, as all of them are better
    plan = promote(plan, parts, halving, results, whole=True)
    assert unneeded_in_rungs(plan, parts, halving, results) == {"0-000009"}
