"""Tests of `scripts/show`: the table and the figure."""

import io

import numpy as np
import pytest
from rich.console import Console

from research.errors import UserError
from research.report import curves_png
from research.report.listing import list_run_folder
from research.report.read import read_run_folder
from research.report.tools.show import Arguments, main, print_settings, show_run


def test_it_prints_the_table_and_draws_the_curve(make_run):
    file = io.StringIO()
    figure = show_run(make_run(), "test_score", Console(file=file, width=100))
    assert figure.name == "test_score.png"
    assert str(figure) in file.getvalue()
    assert "IQM" in file.getvalue()


def test_an_unknown_metric_is_refused_and_known_ones_are_listed(make_run):
    with pytest.raises(UserError, match=r"--metric lost: .* loss, validation_score, test_score"):
        show_run(make_run(), "lost", Console(file=io.StringIO()))


def printed(path):
    file = io.StringIO()
    print_settings(read_run_folder(path), Console(file=file, width=100))
    return file.getvalue()


@pytest.mark.parametrize(("higher_is_better", "first"), [(True, "0.2"), (False, "0.1")])
def test_the_best_setting_is_on_top(make_run, higher_is_better, first):
    text = printed(make_run(higher_is_better=higher_is_better))
    other = "0.1" if first == "0.2" else "0.2"
    assert text.index(f" {first} ") < text.index(f" {other} ")


def test_the_table_shows_scores_and_diverged_runs(make_run):
    text = printed(make_run())
    assert "31.5 31.5 [30, 33]" in text
    assert "3 of 4" in text
    assert "Left out: 1 run that became non-finite" in text
    assert "test_score" in text
    assert "loss" not in text


def test_a_goal_counts_the_runs_that_reached_it(make_run):
    text = printed(make_run(groups=[{"first_run": 0, "runs": 8, "goal": 32.0}]))
    assert "reached" in text
    assert "2 of 4" in text  # rate 0.1: 32 and 33


def test_without_a_goal_there_is_no_column_of_reached_runs(make_run):
    assert "reached" not in printed(make_run())


def test_a_setting_without_a_finite_run_comes_last(make_run):
    diverged = [{"diverged": [{"run": run} for run in range(4, 8)]}]
    text = printed(make_run(results=diverged))
    assert text.index(" 0.1 ") < text.index(" 0.2 ") < text.index("none finite")
    assert "0 of 4" in text


def test_a_setting_without_measurements_yet_is_not_called_diverged(make_run):
    path = make_run(status="running")
    for part in sorted((path / "metrics").iterdir())[::2]:
        part.unlink()  # steps 1 and 3; at step 2 there was no evaluation
    text = printed(path)
    assert "not measured" in text
    assert "none finite" not in text


def test_a_run_that_has_not_finished_says_so(make_run):
    assert "This run is stopped" in printed(make_run(status="stopped"))


@pytest.mark.parametrize(("top", "shown"), [(10, 10), (3, 3), (0, 30), (40, 30)])
def test_of_many_settings_the_best_are_printed(make_sweep, top, shown):
    scores = np.arange(30.0)[:, None, None] + np.zeros((30, 2, 3))
    rates = [place / 100 for place in range(30)]
    path = make_sweep(scores, axes={"rate": rates}, results=[])
    file = io.StringIO()
    print_settings(read_run_folder(path), Console(file=file, width=100), top)
    text = file.getvalue()
    assert sum(line.strip().startswith("0") for line in text.splitlines()) == shown
    assert " 0.29 " in text  # the best
    assert (f"The best {top} of 30 settings; all of them: --top 0." in text) == (shown < 30)


def test_a_negative_number_of_settings_is_refused(make_run):
    with pytest.raises(UserError, match="--top -1"):
        main(Arguments(str(make_run()), top=-1))


TWO_PROBLEMS = {
    "config_axes": {"env": ["easy", "hard"]},
    "groups": [{"first_run": 0, "runs": 4, "goal": 32.0, "env": "easy"},
               {"first_run": 4, "runs": 4, "goal": None, "env": "hard"}],
    "data": [{"environment": "easy", "protocol": "p"}, {"environment": "hard", "protocol": "p"}],
}  # fmt: skip


def test_problems_have_a_table_and_a_panel_each(make_run, monkeypatch):
    """Each with its own goal; of one that has none, nobody has reached it."""
    path, panels = make_run(**TWO_PROBLEMS), []
    save = curves_png.Figure.savefig

    def savefig(figure, path):
        panels.extend((axes.get_title(), len(axes.get_lines())) for axes in figure.axes)
        save(figure, path)

    monkeypatch.setattr(curves_png.Figure, "savefig", savefig)
    file = io.StringIO()
    show_run(path, console=Console(file=file, width=100))
    easy, hard = file.getvalue().split("hard: run at the last step")
    assert "easy: run at the last step" in easy
    assert "2 of 4" in easy
    assert "reached" not in hard
    assert "0.2" not in easy
    assert [(title.partition(":")[0], lines) for title, lines in panels] == [
        ("easy", 1), ("hard", 1)
    ]  # fmt: skip


def test_a_folder_of_two_problems_has_no_one_score(make_run):
    listed = list_run_folder(make_run(**TWO_PROBLEMS))
    assert listed.score == "of 2 problems, each its own"
