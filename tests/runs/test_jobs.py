"""Tests of cutting runs into jobs."""

import json

import numpy as np
import pytest

from research.engine.axes import Group, Runs
from research.engine.cadence import Cadence
from research.runs.experiment import Part
from research.runs.jobs import Job, Plan, cut, cut_jobs, split, unneeded_states
from tests import toy


def make_parts(*sizes):
    """Groups with these numbers of runs."""
    parts, first = [], 0
    for number, size in enumerate(sizes):
        group = Group(None, Runs(np.arange(size), toy.ToyHParams()))
        parts.append(Part(number, first, group, toy.problem(), {}, 9, Cadence(1, 1, 1), 9))
        first += size
    return parts


def job(first=0, last=9, start=0, stop=100, sources=()):
    runs = tuple(range(first, last + 1))
    return Job(0, runs, start, stop, len(runs), sources)


def test_without_limits_every_group_is_one_job():
    first, second = cut_jobs(make_parts(4, 6), [10, 20])
    assert first == Job(0, (0, 1, 2, 3), 0, 10, 4)
    assert second == Job(1, (4, 5, 6, 7, 8, 9), 0, 20, 6)


@pytest.mark.parametrize("sizes", [(1,), (10,), (7, 7), (5, 1, 12)])
@pytest.mark.parametrize("most_runs", [None, 1, 3, 4, 100])
@pytest.mark.parametrize("shares", [1, 2, 3, 8])
def test_jobs_hold_every_run_once_in_equal_parts_but_for_the_last(sizes, most_runs, shares):
    jobs = cut_jobs(make_parts(*sizes), [9] * len(sizes), most_runs, shares)
    assert [run for job in jobs for run in job.runs] == list(range(sum(sizes)))
    assert len({job.name for job in jobs}) == len(jobs)
    for number, size in enumerate(sizes):
        mine = [len(job.runs) for job in jobs if job.group == number]
        assert len(set(mine[:-1])) <= 1
        assert mine[-1] <= mine[0]
        assert mine[0] <= min(most_runs or size, -(-size // -(-shares // len(sizes))))
        assert {job.width for job in jobs if job.group == number} == {mine[0]}


def test_no_more_jobs_are_made_than_are_asked_for():
    assert [len(job.runs) for job in cut_jobs(make_parts(10), [9], most_runs=4)] == [4, 4, 2]
    assert [len(job.runs) for job in cut_jobs(make_parts(9), [9], most_runs=8)] == [5, 4]
    assert [len(job.runs) for job in cut_jobs(make_parts(8), [9], shares=2)] == [4, 4]
    assert [len(job.runs) for job in cut_jobs(make_parts(2), [9], shares=8)] == [1, 1]
    assert [len(job.runs) for job in cut_jobs(make_parts(6, 6), [9, 9], shares=3)] == [3, 3, 3, 3]


def test_parts_of_a_job_differ_only_in_runs_and_width():
    whole = job(start=5, sources=("0-000000",))
    for part in cut(whole, 4):
        assert part._replace(runs=whole.runs, width=whole.width) == whole


def test_job_names_are_unique_in_an_experiment():
    plan = Plan(cut_jobs(make_parts(4, 4), [50, 50], shares=4))
    plan = split(plan, plan.jobs[0], 2, 0, "")
    plan = split(plan, plan.jobs[2], 2, 20, "")
    plan = split(plan, plan.jobs[-1], 2, 30, "")
    assert len({job.name for job in plan.jobs}) == len(plan.jobs) == 9


def test_a_job_that_has_not_begun_is_replaced_by_its_parts():
    other = job(10, 19)
    plan = split(Plan((job(), other)), job(), 2, 0, "too much")
    assert plan.jobs == (job(0, 4), job(5, 9), other)
    assert plan.splits == (
        {"job": "0-000000", "step": 0, "runs": 10, "pieces": 2, "why": "too much"},
    )


def test_splitting_a_job_in_progress_ends_it_and_its_parts_continue():
    other = job(10, 19)
    plan = split(Plan((other, job(), other)), job(), 2, 40, "too much")
    begun, first, second = plan.jobs[1:-1]
    assert begun == job(stop=40)
    assert first == job(0, 4, start=40, sources=("0-000000",))
    assert second == job(5, 9, start=40, sources=("0-000000",))
    assert plan.jobs[0] == plan.jobs[-1] == other
    assert first.name == "0-000000-from-40"


def test_a_part_split_again_before_it_began_keeps_its_source_states():
    plan = split(Plan((job(),)), job(), 2, 40, "")
    plan = split(plan, plan.jobs[2], 5, 40, "again")
    assert [job.sources for job in plan.jobs[1:]] == [("0-000000",)] * 6
    assert [note["why"] for note in plan.splits] == ["", "again"]


def test_a_plan_round_trips_through_json():
    plan = split(Plan((job(), job(10, 19)), ({"rung": 1, "steps": [3]},)), job(), 3, 40, "why")
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_states_are_kept_until_all_jobs_that_continue_from_them_ended():
    plan = split(Plan((job(), job(10, 19))), job(), 2, 40, "")
    begun, first, second, other = (job.name for job in plan.jobs)
    assert unneeded_states(plan, []) == set()
    assert unneeded_states(plan, [begun, other]) == set()
    assert unneeded_states(plan, [begun, first]) == set()
    assert unneeded_states(plan, [begun, first, second]) == {begun}
