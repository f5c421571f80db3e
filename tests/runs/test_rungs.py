"""Tests of successive halving: which settings continue."""

import json

import pytest

from research.runs.experiment import first_stops, make_parts
from research.runs.jobs import Plan, cut_jobs, split
from research.runs.rungs import advance, next_rung
from research.runs.search import Halving
from tests.runs.halvings import toy_halving


def make(settings=9, seeds=1, groups=1, rungs=3, most_runs=None, higher_is_better=False):
    """The groups and first jobs of a halving by 3, with `settings` settings in each group."""
    experiment = toy_halving(Halving(3, rungs), settings, seeds, groups, higher_is_better)
    parts = make_parts(experiment)
    return parts, Plan(cut_jobs(parts, first_stops(experiment, parts), most_runs))


def results(plan, scores, diverged=()):
    """The results of all jobs, from scores by run and the runs that diverged."""
    return {
        job.name: {
            "scores": [scores[run] for run in job.runs],
            "diverged": [{"run": run} for run in job.runs if run in diverged],
        }
        for job in plan.jobs
    }


def begun(plan, before):
    return plan.jobs[len(before.jobs) :]


def kept(parts, plan, scores, halving, diverged=()):
    """The runs that continue after the first rung."""
    after = advance(plan, parts, halving, results(plan, scores, diverged))
    return [run for job in begun(after, plan) for run in job.runs]


def test_settings_of_two_problems_are_not_ranked_together():
    """All of the first problem score better than any of the second, of which a third continues."""
    parts, plan = make(settings=9, groups=2)
    named = [
        part._replace(problem=part.problem._replace(facts={"environment": name}))
        for part, name in zip(parts, ("easy", "hard"), strict=True)
    ]
    scores = {run: float(run) for run in range(18)}  # lower is better
    assert kept(named, plan, scores, Halving(3, 3)) == [0, 1, 2, 9, 10, 11]
    assert kept(parts, plan, scores, Halving(3, 3)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("higher_is_better", "best"), [(False, [2, 3, 8]), (True, [1, 4, 6])])
def test_the_best_third_continues_whether_higher_or_lower_is_better(higher_is_better, best):
    scores = [5.0, 9.0, 1.0, 2.0, 8.0, 6.0, 7.0, 4.0, 0.0]
    parts, plan = make(higher_is_better=higher_is_better)
    assert kept(parts, plan, scores, Halving(3, 3)) == best


def test_settings_are_compared_by_the_middle_half_of_their_seeds_which_stay_together():
    scores = [
        *(9.0, 2.0, 2.0, 9.0),  # by the mean the worst, by the best seed no better than the others
        *(3.0, 3.0, 3.0, 3.0),
        *(0.0, 4.0, 5.0, 0.0),
    ]
    scores[0], scores[3] = 900.0, 1.0
    parts, plan = make(settings=3, seeds=4, rungs=2)
    assert kept(parts, plan, scores, Halving(3, 2)) == [0, 1, 2, 3]


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_a_diverged_setting_ranks_worst_whatever_its_score(higher_is_better):
    """A network of NaNs still acts, so its score is finite; here it is the best."""
    sign = 1.0 if higher_is_better else -1.0
    scores = [sign * score for score in [9.0, 9.0, 1.0, 1.0, 2.0, 2.0]]
    parts, plan = make(settings=3, seeds=2, rungs=2, higher_is_better=higher_is_better)
    assert kept(parts, plan, scores, Halving(3, 2)) == [0, 1]
    assert kept(parts, plan, scores, Halving(3, 2), diverged={0, 1}) == [4, 5]
    scores[2:] = [None] * 4  # not even a score
    assert kept(parts, plan, scores, Halving(3, 2), diverged={1}) == [2, 3]
    (note,) = advance(
        plan, parts, Halving(3, 2), results(plan, scores, diverged={0, 1})
    ).rungs  # fmt: skip
    assert [row["iqm"] for row in note["scores"]] == [None] * 3


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_a_setting_with_a_run_that_is_not_finite_is_worst(higher_is_better):
    good, bad = (9.0, 1.0) if higher_is_better else (1.0, 9.0)
    scores = [good, None, good, bad, bad, bad, bad, bad, bad]
    parts, plan = make(settings=3, seeds=3, rungs=2, higher_is_better=higher_is_better)
    scores[3] = good
    assert kept(parts, plan, scores, Halving(3, 2)) == [3, 4, 5]


@pytest.mark.parametrize(("failed", "goes_on"), [(1, 0), (2, 0), (3, 1)])
def test_a_quarter_of_the_seeds_may_fail_and_no_more(failed, goes_on):
    scores = [1.0] * 8 + [2.0] * 8 + [3.0] * 8
    scores[:failed] = [None] * failed
    parts, plan = make(settings=3, seeds=8, rungs=2)
    assert kept(parts, plan, scores, Halving(3, 2)) == list(range(8 * goes_on, 8 * goes_on + 8))


def test_some_settings_continue_even_if_all_diverged():
    parts, plan = make()
    after = advance(plan, parts, Halving(3, 3), results(plan, [None] * 9))
    assert len(begun(after, plan)[0].runs) == 3
    assert after.rungs[0]["scores"][0] == {"first_run": 0, "iqm": None, "kept": True}
    json.dumps(after.to_json(), allow_nan=False)


def test_a_rung_ends_only_when_all_its_jobs_have_ended():
    parts, plan = make(most_runs=4)
    ended = results(plan, range(9))
    del ended[plan.jobs[1].name]
    assert advance(plan, parts, Halving(3, 3), ended) == plan


def test_rungs_follow_each_other_and_none_follows_the_last():
    parts, plan = make(settings=18, seeds=2)
    halving, scores, seen = Halving(3, 3), range(36), [plan.jobs]
    for _ in range(4):
        before, plan = plan, advance(plan, parts, halving, results(plan, scores))
        seen.append(begun(plan, before))
    ends = [[(job.start, job.stop, len(job.runs)) for job in jobs] for jobs in seen]
    assert ends == [[(0, 3, 36)], [(3, 9, 12)], [(9, 27, 4)], [], []]
    assert [note["rung"] for note in plan.rungs] == [1, 2]
    assert [note["steps"] for note in plan.rungs] == [[3], [9]]
    assert [(note["settings"], note["kept"]) for note in plan.rungs] == [(18, 6), (6, 2)]


def test_runs_that_stopped_are_listed_and_why():
    parts, plan = make(settings=3, seeds=2, rungs=2, higher_is_better=True)
    (note,) = advance(plan, parts, Halving(3, 2), results(plan, [1, 2, 5, 7, 3, 4])).rungs
    assert note["stopped_runs"] == [0, 1, 4, 5]
    assert note["scores"] == [
        {"first_run": 0, "iqm": 1.5, "kept": False},
        {"first_run": 2, "iqm": 6.0, "kept": True},
        {"first_run": 4, "iqm": 3.5, "kept": False},
    ]


def test_the_plan_records_the_metric_itself_if_lower_is_better():
    parts, plan = make(settings=3, rungs=2)
    (note,) = advance(plan, parts, Halving(3, 2), results(plan, [1.0, 2.0, -3.0])).rungs
    assert [row["iqm"] for row in note["scores"]] == [1, 2, -3]


def test_groups_are_compared_with_each_other():
    parts, plan = make(settings=6, groups=2)
    scores = [9.0] * 5 + [3.0] + [1.0] * 3 + [9.0] * 3
    after = advance(plan, parts, Halving(3, 3), results(plan, scores))
    ours, theirs = begun(after, plan)
    assert (ours.group, ours.runs, ours.sources) == (0, (5,), ("0-000000",))
    assert (theirs.group, theirs.runs, theirs.sources) == (1, (6, 7, 8), ("1-000006",))


def test_a_group_without_continuing_settings_gets_no_jobs():
    parts, plan = make(settings=6, groups=2)
    after = advance(plan, parts, Halving(3, 3), results(plan, range(12)))
    assert [job.runs for job in begun(after, plan)] == [(0, 1, 2, 3)]
    assert len(after.rungs[0]["stopped_runs"]) == 8


def test_jobs_of_a_rung_are_no_larger_and_name_their_source_jobs():
    parts, plan = make(settings=18, most_runs=4)
    assert [job.runs[0] for job in plan.jobs] == [0, 4, 8, 12, 16]
    scores = [9.0] * 18
    for run in (1, 2, 3, 9, 12, 17):
        scores[run] = 0.0
    after = advance(plan, parts, Halving(3, 3), results(plan, scores))
    first, second = begun(after, plan)
    assert (first.runs, first.sources) == ((1, 2, 3), ("0-000000",))
    assert (second.runs, second.sources) == ((9, 12, 17), ("0-000008", "0-000012", "0-000016"))
    assert first.width == second.width == 3
    assert first.name == "0-000001-from-3"


def test_a_job_that_was_split_counts_once_with_its_final_result():
    parts, plan = make()
    plan = split(plan, plan.jobs[0], 2, 2, "too much")
    scores = results(plan, [float(run) for run in range(9)])
    scores[plan.jobs[0].name]["scores"] = [-float(run) for run in range(9)]  # at step 2
    after = advance(plan, parts, Halving(3, 3), scores)
    (job,) = begun(after, plan)
    assert (job.runs, job.sources) == ((0, 1, 2), ("0-000000-from-2",))


def test_the_number_of_continuing_settings_is_rounded_down():
    parts, plan = make(settings=11)
    jobs, note = next_rung(parts, Halving(3, 3), 1, plan.jobs, dict.fromkeys(range(11), 1.0))
    assert note["kept"] == len(jobs[0].runs) == 3
