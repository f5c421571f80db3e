"""Tests of the charts of final scores: dots and performance profiles."""

import numpy as np

from research.report.page import scores
from research.report.page.scores import dots, profile
from research.report.read import read_run_folder
from research.report.summary import summarize


def test_every_finite_run_is_a_dot_with_its_seed(grid):
    chart = dots(grid)
    assert chart is not None
    drawn = [one.drawn for one in chart.variants[0].traces if one.drawn.customdata is not None]
    assert sum(len(one.x) for one in drawn) == 60
    line = grid.lines[0]
    np.testing.assert_allclose(drawn[-1].x, line.scores, rtol=1e-6)  # the best is the top row
    np.testing.assert_array_equal(drawn[-1].customdata, line.scores.index)


def test_rows_of_dots_are_named_with_their_count_of_diverged_runs(make_run):
    chart = dots(summarize([read_run_folder(make_run())]))
    assert chart is not None
    assert set(chart.variants[0].layout["yaxis"]["ticktext"]) == {"rate 0.1", "rate 0.2 (+1)"}


def test_the_chart_says_how_many_settings_have_no_dots(grid, monkeypatch):
    monkeypatch.setattr(scores, "MOST_DOTS", 12)
    chart = dots(grid)
    assert chart is not None
    assert "The 10 runs of the best 2 settings, of 60." in chart.note


def test_a_profile_steps_at_the_scores(make_sweep):
    made = np.broadcast_to(np.array([[1.0, 2, 3, 4], [2, 2, 2, 2]])[:, :, None], (2, 4, 2))
    chart = profile(summarize([read_run_folder(make_sweep(made))]))
    assert chart is not None
    curves = {one.drawn.name: one.drawn for one in chart.variants[0].traces if one.drawn.name}
    steps = curves["rate 0.1"]
    before, after = steps.x < 2, steps.x > 2
    assert steps.y[before].min() == 0.75
    assert steps.y[after].max() == 0.5
    assert curves["rate 0.2"].y[steps.x < 2].min() == 1
    assert curves["rate 0.2"].y[steps.x > 2].max() == 0


def test_without_measurements_there_is_no_chart(make_run):
    lost = [{"diverged": [{"run": run, "step": 1} for run in range(8)]}]
    summary = summarize([read_run_folder(make_run(results=lost))])
    assert dots(summary) is None
    assert profile(summary) is None
