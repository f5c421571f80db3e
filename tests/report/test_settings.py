"""Tests of settings and their final scores."""

import io

import numpy as np
import pytest
from rich.console import Console

from research.report.ranking import final_scores, order
from research.report.read import read_run_folder
from research.report.settings import final_score, reached, settings, show, up_to
from research.report.summary import summarize
from research.report.tools.show import print_settings


def test_diverged_runs_are_left_out_and_counted(make_run):
    first, second = settings(read_run_folder(make_run()))
    assert (first.label, first.seeds, first.left_out) == ("rate 0.1", 4, 0)
    assert (second.label, second.seeds, second.left_out) == ("rate 0.2", 4, 1)
    assert set(second.rows["run"]) == {4, 5, 6}


def test_the_final_score_is_of_the_last_step_that_was_measured(make_run):
    first, second = settings(read_run_folder(make_run()))
    score = final_score(first, "validation_score")
    assert score is not None
    assert score.median == 31.5  # runs 0 to 3 at step 3
    assert score.iqm.estimate == 31.5
    assert 30 <= score.iqm.low < 31.5 < score.iqm.high <= 33
    score = final_score(second, "validation_score")
    assert score is not None
    assert score.median == 35  # runs 4 to 6; run 7 diverged


def test_a_step_at_which_nothing_was_measured_is_not_the_last(make_run):
    first, _ = settings(read_run_folder(make_run()))
    score = final_score(up_to(first, 2), "validation_score")
    assert score is not None
    assert score.median == 11.5  # runs 0 to 3 at step 1


def test_a_setting_with_no_finite_run_has_no_score(make_run):
    diverged = [{"diverged": [{"run": run} for run in range(4)]}]
    first, _ = settings(read_run_folder(make_run(results=diverged)))
    assert final_score(first, "validation_score") is None
    assert first.left_out == 4


@pytest.mark.parametrize("higher", [True, False])
def test_a_half_diverged_setting_ranks_behind_a_worse_finite_one(make_sweep, higher):
    """This holds in every ordering, although the finite runs of that setting score better."""
    sign = 1 if higher else -1
    lost = [{"diverged": [{"run": 0, "step": 0}, {"run": 1, "step": 0}]}]
    scores = sign * np.array([[[9.0]] * 4, [[1.0]] * 4])
    run = read_run_folder(make_sweep(scores, higher_is_better=higher, results=lost))
    first, second = settings(run)
    ranks = [order(one, final_scores(one, "validation_score"), higher) for one in (first, second)]
    assert ranks[1] < ranks[0]
    assert [line.label for line in summarize([run]).lines] == ["rate 0.2", "rate 0.1"]
    file = io.StringIO()
    print_settings(run, Console(file=file, width=100))
    assert file.getvalue().index("0.2 ") < file.getvalue().index("0.1 ")


@pytest.mark.parametrize(("higher", "expected"), [(True, (2, 3)), (False, (3, 0))])
def test_runs_that_reached_a_goal_are_counted(make_run, higher, expected):
    first, second = settings(read_run_folder(make_run()))
    assert reached(first, "validation_score", 32, higher) == expected[0]  # 30 to 33
    assert reached(second, "validation_score", 32, higher) == expected[1]  # 34 to 36, and NaN


def test_without_an_axis_there_is_one_setting(make_sweep):
    path = make_sweep(np.zeros((1, 8, 2)), axes={"rate": [0.1]}, hparams_axes={})
    (only,) = settings(read_run_folder(path))
    assert (only.label, only.seeds) == ("all", 8)


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (1e-5, "1e-05"), (3, "3"), ("8x8", "8x8")]
)
def test_values_are_shown_in_four_digits(value, text):
    assert show(value) == text
