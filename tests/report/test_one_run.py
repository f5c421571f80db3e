"""Tests of finding one run: the best by the key metric, or a chosen one."""

import pytest

from research.errors import UserError
from research.report.one_run import best_runs, one_run
from research.report.read import read_run_folder

GIVEN = {
    "config": {"size": 3, "widths": [8, 4]},
    "config_axes": {"size": [3, 5]},
    "hparams": {"rate": 0.1},
    "groups": [
        {"first_run": 0, "runs": 4, "goal": None, "size": 3},
        {"first_run": 4, "runs": 4, "goal": None, "size": 5},
    ],
}


def test_the_best_finite_run_is_found(make_run):
    """Run 7 would be the best but has diverged."""
    found = one_run(read_run_folder(make_run(**GIVEN)))
    assert (found.number, found.group, found.place, found.seed) == (6, 1, 2, 2)
    assert found.score == 36
    assert found.config == {"size": 5, "widths": [8, 4]}
    assert found.hparams == {"rate": 0.2}


def test_lower_may_be_better(make_run):
    assert one_run(read_run_folder(make_run(**GIVEN, higher_is_better=False))).number == 0


def test_a_chosen_run_is_found(make_run):
    found = one_run(read_run_folder(make_run(**GIVEN)), 1)
    assert (found.number, found.group, found.place, found.seed) == (1, 0, 1, 1)
    assert found.hparams == {"rate": 0.1}


@pytest.mark.parametrize("number", [7, 8, -1])
def test_a_missing_or_diverged_run_is_refused(make_run, number):
    with pytest.raises(UserError, match=f"--run {number}: .*its runs are 0 to 7"):
        one_run(read_run_folder(make_run(**GIVEN)), number)


def test_each_problem_has_a_best_run_of_its_own(make_run):
    data = [{"environment": "easy", "by": "me"}, {"environment": "hard", "by": "me"}]
    run = read_run_folder(make_run(**GIVEN, data=data))
    assert [one.number for one in best_runs(run)] == [3, 6]
    assert [one.number for one in best_runs(run, 1)] == [1]
    with pytest.raises(UserError, match=r"of 2 problems, .* the best of each are 3, 6"):
        one_run(run)
