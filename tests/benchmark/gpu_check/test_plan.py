"""Tests of what is measured first."""

from research.benchmark.gpu_check.plan import CheckPlan, make_plan

PLAN = CheckPlan(quick=("a", "b"), others=("c",), runs=(1, 8, 64, 512))


def test_quick_cases_in_float32_with_64_and_512_runs_come_first():
    assert PLAN.points()[:4] == [
        ("a", "float32", 64, "training"), ("b", "float32", 64, "training"),
        ("a", "float32", 512, "training"), ("b", "float32", 512, "training"),
    ]  # fmt: skip


def test_every_point_is_there_once():
    points = PLAN.points()
    assert len(points) == len(set(points))
    training = {point[:3] for point in points if point[3] == "training"}
    assert training == {
        (case, precision, runs)
        for case in "abc"
        for precision in ("float32", "bfloat16")
        for runs in PLAN.runs
    }
    assert {point[:3] for point in points if point[3] == "evaluation"} == {
        (case, "float32", runs) for case in "abc" for runs in PLAN.runs
    }


def test_one_number_of_runs_stands_for_all_where_there_is_time_for_one():
    assert PLAN.usual_runs == 64
    assert CheckPlan(runs=(1, 2)).usual_runs == 2


def test_cases_that_are_named_are_the_only_ones():
    assert make_plan(cases=("mlp-small",)).quick == ("mlp-small",)
    assert make_plan(cases=("mlp-small",)).others == ()
    assert "lstm-word-650" in make_plan().others
    assert not set(make_plan().quick) & set(make_plan().others)
