"""Tests of the time to the goal as a censored quantity, and of reports on runs that stopped."""

import io
import math
import warnings

import numpy as np
import pytest
from rich.console import Console

from research.report.curves import learning_curve
from research.report.findings import findings
from research.report.page.goal import goal_curves
from research.report.page.page import make_page
from research.report.read import read_run_folder
from research.report.settings import final_values, settings
from research.report.summary import summarize
from research.report.time_to_goal import (
    half_after,
    half_in_words,
    kaplan_meier,
    time_to_goal,
    typical_work,
    watched_until,
    work_to_goal,
)
from research.report.tools.show import print_settings
from research.runs.early_stop import Condition, EarlyStop
from research.runs.opening import RunOptions
from research.runs.runner import run_experiment
from research.runs.training import TrainOptions
from tests import quadratic

# Weeks in remission on 6-MP (Freireich et al., 1963), and what textbooks make of them: the
# estimates, and the intervals on the scale of log(-log) that survfit of R gives.
WEEKS = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
REMAIN = {
    6: (0.857, 0.620, 0.952), 7: (0.807, 0.563, 0.923), 10: (0.753, 0.503, 0.889),
    13: (0.690, 0.432, 0.849), 16: (0.627, 0.368, 0.805), 22: (0.538, 0.268, 0.747),
    23: (0.448, 0.188, 0.680),
}  # fmt: skip


def test_the_estimate_and_its_intervals_are_those_of_a_textbook():
    after, share = kaplan_meier(WEEKS, np.array(RELAPSED, bool))
    at = np.searchsorted(after, list(REMAIN))
    remain = np.stack([1 - share.estimate, 1 - share.high, 1 - share.low])[:, at]
    np.testing.assert_allclose(remain.T, list(REMAIN.values()), atol=6e-4)
    half = half_after(after, share)
    assert (half.estimate, half.low, half.high) == (23, 13, math.inf)


def test_without_censoring_it_is_the_share_of_runs():
    times = np.array([30.0, 10.0, 20.0, 20.0])
    after, share = kaplan_meier(times, [True, True, True, True])
    assert after.tolist() == [10, 20, 30]
    assert share.estimate.tolist() == [0.25, 0.75, 1.0]
    assert np.all(share.low <= share.estimate)
    assert np.all(share.estimate <= share.high)
    assert share.low[-1] > 0.5  # Wilson's, where the formula gives none


@pytest.mark.parametrize("reached", [True, False])
def test_all_runs_or_none_have_an_interval_too(reached):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after, share = kaplan_meier([5.0] * 8, [reached] * 8)
    low, high = (0.676, 1) if reached else (0, 0.324)
    assert (share.low[0], share.high[0]) == pytest.approx((low, high), abs=1e-3)
    assert float(half_after(after, share).estimate) == (5 if reached else math.inf)


GOAL = Condition("score", ">=", 0.47)
AXES = {"rate": [0.01, 0.06, 0.12], "fail_at": [-1]}
STOP = EarlyStop(when=GOAL)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same sweep with a goal, and with runs that stop there. The runs of a rate of 0.12 are
    there after 10 steps, those of 0.06 after 20, those of 0.01 never."""
    out = tmp_path_factory.mktemp("goal")

    def problem(config):
        found = quadratic.problem()
        return found._replace(task=found.task._replace(goal=GOAL.value))

    default = quadratic.experiment(
        make_problem=problem, hparams_axes=AXES, search=None, seeds=range(8)
    )
    for name, early_stop in (("goal", None), ("stop", STOP), ("stop_at_goal", EarlyStop(True))):
        options = RunOptions(str(out), name, train=TrainOptions(fit=False))
        run_experiment(default._replace(early_stop=early_stop), options)
    return out


@pytest.mark.parametrize("name", ["goal", "stop", "stop_at_goal"])
def test_any_sweep_with_a_goal_tells_how_long_runs_took(folders, name):
    slow, middle, fast = map(time_to_goal, settings(read_run_folder(folders / name)))
    assert (slow.reached, middle.reached, fast.reached) == (0, 8, 8)
    assert slow.runs == 8
    assert half_in_words(slow) == "not reached"
    assert half_in_words(middle) == "20 [20, 20]"
    assert half_in_words(fast) == "10 [10, 10]"


def test_settings_whose_runs_stopped_at_the_goal_come_first(folders):
    """Once those that came further did: the ones that never reach it."""
    summary = summarize([run := read_run_folder(folders / "stop")])
    assert [line.setting.values["rate"] for line in summary.lines] == [
        pytest.approx(rate) for rate in (0.12, 0.06, 0.01)
    ]
    assert {line.setting.last_step for line in summary.lines} == {40}
    differences = [line.against_best.difference for line in summary.lines[1:]]
    assert [float(one.estimate) for one in differences] == [-10, -30]
    assert [line.against_best.verdict for line in summary.lines[1:]] == ["worse", "worse"]
    assert [len(line.scores) for line in summary.lines] == [8, 8, 8]
    assert np.all(summary.lines[0].scores >= 0.47)
    said = " ".join(findings(summary))
    assert (
        "by steps to score >= 0.47: rate 0.12, fail_at -1, with an interquartile mean of 10" in said
    )
    assert "half, steps to score >= 0.47 is 10 [10, 10]; both halves chose the same" in said
    assert "Half of the runs of the best setting had reached score >= 0.47 after 10" in said
    words = "16 of 24 runs stopped where the condition held; 42% of the steps were saved"
    assert f"{words} (score >= 0.47)." in said
    file = io.StringIO()
    print_settings(run, Console(file=file, width=200))
    printed = " ".join(file.getvalue().split())
    assert "16 of 24 runs stopped where the condition held" in printed
    assert "half, after" in printed
    assert "The score of a run that stopped is that at its stop" in printed


@pytest.mark.parametrize(
    ("names", "by_work"),
    [
        (["goal"], False),
        (["stop"], True),
        (["stop", "stop_at_goal"], True),
        (["goal", "stop"], True),
    ],
)
def test_settings_are_compared_by_their_work_where_some_stop_at_the_goal(folders, names, by_work):
    """Without stopping, they are compared by scores, of which those of a rate of 0.01 are lower."""
    summary = summarize([read_run_folder(folders / name) for name in names])
    assert summary.by_work == by_work
    if by_work:
        expected = [work for work in (10, 20, 40) for _ in names]
        assert [line.work.tolist() for line in summary.lines] == [[work] * 8 for work in expected]
        assert summary.judged_by == "steps to score >= 0.47"
    else:
        assert all(line.work is None for line in summary.lines)
        assert summary.judged_by == "score"
    for pair in summary.pairs:
        assert pair.comparison.verdict == "same scores"


def test_work_to_the_goal_counts_up_to_where_all_runs_were_watched(folders):
    """Of eight runs that are there after 20 steps, one diverges, and one stops without progress."""
    slow, setting, fast = settings(read_run_folder(folders / "goal"))
    assert watched_until([setting, fast]) == 40
    rows = setting.rows
    numbers = rows["run"].unique().tolist()
    rows = rows[rows["run"] != numbers[0]]
    rows = rows[(rows["run"] != numbers[1]) | (rows["step"] <= 5)]
    cut = setting._replace(rows=rows, lost=(0,), stopped={numbers[1]: 5})
    work = work_to_goal(cut)
    assert work.sort_index().tolist() == [40, 40, *[20] * 6]
    assert typical_work(cut, work) == 20
    assert watched_until([cut, slow, fast]) == 40
    assert work_to_goal(fast, 15.0).tolist() == [10] * 8
    assert work_to_goal(cut, 15.0).tolist() == [15] * 8


def test_a_run_that_stopped_keeps_its_last_value_in_a_learning_curve(folders):
    """One run of a setting that stops at step 10 while the others go on to 40."""
    run = read_run_folder(folders / "goal")
    setting = next(iter(settings(run)))
    number = int(setting.rows["run"].iloc[0])
    rows = setting.rows[(setting.rows["run"] != number) | (setting.rows["step"] <= 10)]
    cut = setting._replace(rows=rows, stopped={number: 10})
    assert learning_curve(cut, "score").steps.tolist() == list(range(5, 41, 5))
    assert len(final_values(cut, "score")) == 8
    last = rows[(rows["run"] == number) & (rows["step"] == 10)]["score"].iloc[0]
    assert last in final_values(cut, "score")
    assert cut.last_step == 40
    without = cut._replace(stopped={})
    assert learning_curve(without, "score").steps.tolist() == [5, 10]


def test_a_run_that_diverged_or_made_no_progress_never_reaches_the_goal(folders):
    """They stay in the risk set: 6 of 8 runs is a share of 75%, not of 6 in 6."""
    setting = list(settings(read_run_folder(folders / "goal")))[2]
    numbers = setting.rows["run"].unique().tolist()
    rows = setting.rows[setting.rows["run"] != numbers[0]]
    early = (rows["run"] == numbers[1]) & (rows["step"] > 5)
    found = time_to_goal(setting._replace(rows=rows[~early], lost=(0,), stopped={numbers[1]: 5}))
    assert (found.reached, found.runs) == (6, 8)
    assert found.share.estimate[-1] == pytest.approx(0.75)


def test_a_run_that_is_still_training_counts_as_far_as_it_has_come(folders):
    setting = list(settings(read_run_folder(folders / "goal")))[1]
    young = (setting.rows["run"] == setting.rows["run"].iloc[0]) & (setting.rows["step"] > 10)
    found = time_to_goal(setting._replace(rows=setting.rows[~young]))
    assert (found.reached, found.runs) == (7, 8)
    assert found.share.estimate[-1] == 1  # all that were at risk at step 20


def test_the_page_has_a_curve_of_the_share_for_each_setting(folders):
    summary = summarize([read_run_folder(folders / "stop")])
    chart = goal_curves(summary)
    lines = [trace.drawn for trace in chart.variants[0].traces if trace.drawn.name]
    assert [line.name.split(",")[0] for line in lines] == ["rate 0.12", "rate 0.06", "rate 0.01"]
    assert list(lines[0].x) == [0, 10, 10] or list(lines[0].x)[:3] == [0, 10, 10]
    assert list(lines[0].y)[:3] == [0, 0, 1]
    assert "score &gt;= 0.47" in make_page(summary)
    assert goal_curves(summarize([read_run_folder(folders / "goal")])) is not None
