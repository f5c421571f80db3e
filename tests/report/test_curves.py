"""Tests of learning curves as numbers."""

import numpy as np

from research.report.curves import learning_curve, measured, seconds_at
from research.report.read import read_run_folder
from research.report.settings import settings
from research.report.statistics import iqm_interval


def test_a_curve_has_the_finite_runs_at_the_measured_steps(make_run):
    _, second = settings(read_run_folder(make_run()))
    steps, values = measured(second, "validation_score")
    np.testing.assert_array_equal(steps, [1, 3])
    np.testing.assert_array_equal(values, [[14, 34], [15, 35], [16, 36]])


def test_it_is_the_interquartile_mean_with_its_interval_over_steps_and_work(make_run):
    first, _ = settings(read_run_folder(make_run()))
    curve = learning_curve(first, "validation_score")
    np.testing.assert_array_equal(curve.steps, [1, 3])
    np.testing.assert_array_equal(curve.work, [5, 15])
    np.testing.assert_array_equal(curve.iqm, [11.5, 31.5])  # of runs 0 to 3
    last = iqm_interval(np.arange(30.0, 34.0))
    assert (curve.low[1], curve.high[1]) == (last.low, last.high)


def test_runs_without_a_common_step_give_an_empty_curve(make_run):
    path = make_run()
    run = read_run_folder(path)
    late = (run.metrics["run"] == 0) | (run.metrics["step"] > 1)
    early = (run.metrics["run"] != 0) | (run.metrics["step"] < 2)
    first, _ = settings(run._replace(metrics=run.metrics[late & early]))
    assert not len(learning_curve(first, "validation_score").steps)


def test_thinned_curves_keep_their_ends_and_invent_no_values(make_sweep):
    made = np.arange(2000.0).reshape(1, 2, 1000)
    (setting,) = settings(read_run_folder(make_sweep(made, axes={"rate": [0.1]})))
    curve = learning_curve(setting, "validation_score", most_points=150, resamples=10)
    assert len(curve.steps) == 150
    assert (curve.steps[0], curve.steps[-1]) == (1, 1000)
    np.testing.assert_array_equal(curve.iqm, made[0].mean(axis=0)[curve.steps - 1])


def test_seconds_at_adds_the_clocks_of_earlier_jobs():
    results = [
        {"runs": [0, 1], "start": 10, "clock": [[20, 4.0]]},
        {"runs": [0, 1, 2, 3], "start": 0, "clock": [[5, 1.0], [10, 2.0]]},
    ]
    found = seconds_at({"results": results}, 1, np.array([5, 10, 15, 20]))
    np.testing.assert_allclose(found, [1, 2, 4, 6])
    assert seconds_at({"results": results}, 3, np.array([20])) is None  # has not come so far
    assert seconds_at({}, 0, np.array([1])) is None
