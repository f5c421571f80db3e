"""Tests of the learning curves on the page."""

import numpy as np

from research.report.page.curves import learning_curves
from research.report.read import read_run_folder
from research.report.statistics import interquartile_mean
from research.report.summary import summarize


def test_a_curve_is_the_interquartile_mean_of_the_numbers_in_the_metrics(grid):
    chart = learning_curves(grid)
    variant = chart.variants[0]
    assert variant.name == "validation_score"
    line = grid.lines[3]
    rows = line.setting.rows
    expected = [
        interquartile_mean(rows[rows["step"] == step]["validation_score"].to_numpy(np.float64))
        for step in range(1, 13)
    ]
    (drawn,) = [one.drawn for one in variant.traces if one.setting == 3 and one.drawn.name]
    np.testing.assert_allclose(drawn.y, expected, rtol=1e-6)
    assert np.all(drawn.customdata[:, 0] <= drawn.y)
    assert np.all(drawn.y <= drawn.customdata[:, 1])


def test_every_metric_is_a_variant_and_each_curve_has_a_band(grid):
    chart = learning_curves(grid)
    assert [variant.name for variant in chart.variants] == [
        "validation_score",
        "test_score",
        "loss",
    ]
    for variant in chart.variants:
        assert len(variant.traces) == 2 * len(grid.lines)


def test_it_is_drawn_against_steps_or_work(grid):
    trace = learning_curves(grid).variants[0].traces[1]
    assert list(trace.along) == ["steps", "examples"]
    np.testing.assert_array_equal(trace.along["examples"], 5 * trace.along["steps"])


def test_a_logarithmic_axis_is_offered_if_all_values_are_positive(make_sweep):
    rising = np.linspace(1, 2, 6).reshape(2, 1, 3) * np.ones((2, 4, 1))
    chart = learning_curves(summarize([read_run_folder(make_sweep(rising))]))
    logs = {variant.name: variant.log for variant in chart.variants}
    assert logs["validation_score"]
    assert not logs["loss"]
