"""Tests of the chart of a search: the best score so far against the work of all runs."""

import numpy as np
import pytest

from research.report.page.progress import search_charts
from research.report.read import read_run_folder
from research.report.summary import summarize

SEARCH = {"search": {"settings": 4, "seed": 0, "sampler": "tpe", "batch": 2}}
LAST = [2.0, 1.0, 4.0, 3.0]  # scores of the settings, in the order of proposal


@pytest.fixture
def charts(make_sweep):
    """A function that makes the charts of a search of these scores, 4 seeds and 3 steps each."""

    def make(last=LAST, **changes):
        scores = np.zeros((4, 4, 3)) + np.array(last)[:, None, None]
        axes = {"rate": [0.4, 0.1, 0.3, 0.2]}
        folder = make_sweep(scores, axes=axes, **{**SEARCH, **changes})
        return search_charts(summarize([read_run_folder(folder)]), 0)

    return make


def drawn(charts):
    (chart,) = charts
    return [trace.drawn for trace in chart.variants[0].traces]


def test_the_best_so_far_is_drawn_against_the_work_of_all_runs_in_the_order_of_proposal(charts):
    dots, best = drawn(charts())
    assert list(dots.y) == LAST
    assert list(best.y) == [2, 2, 4, 4]
    assert list(best.x) == [60, 120, 180, 240]  # 4 seeds, 3 steps of 5 examples
    assert dots.text[0] == "rate 0.4"


def test_lower_is_better_where_it_is(charts):
    assert list(drawn(charts(higher_is_better=False))[1].y) == [2, 1, 1, 1]


def test_a_diverged_setting_costs_work_and_is_never_the_best(charts):
    diverged = [{"run": run, "step": 1} for run in range(8, 12)]
    dots, best = drawn(charts(results=[{"diverged": diverged}]))
    assert list(best.y) == [2, 2, 2, 3]
    assert np.isnan(dots.y[2])
    assert list(best.x) == [60, 120, 180, 240]


def test_settings_of_two_groups_are_in_the_order_of_batches(make_sweep):
    """Batch by batch: the first setting of each group, then the second of each."""
    scores = np.zeros((4, 4, 3)) + np.array(LAST)[:, None, None]
    groups = [
        {"first_run": 0, "runs": 8, "hidden": "8"},
        {"first_run": 8, "runs": 8, "hidden": "9"},
    ]
    folder = make_sweep(
        scores, axes={"hidden": ["8", "9"], "rate": [0.1, 0.2]}, groups=groups,
        config_axes={"hidden": ["8", "9"]}, hparams_axes={"rate": [0.1, 0.2]}, **SEARCH,
    )  # fmt: skip
    dots, _ = drawn(search_charts(summarize([read_run_folder(folder)]), 0))
    assert list(dots.y) == [2, 4, 1, 3]


def test_a_grid_has_no_such_chart(charts):
    assert charts(search=None) == []


def test_a_halving_is_drawn_rung_by_rung(make_sweep):
    """Four settings come to step 1, the second and the fourth to step 2, the fourth to step 3."""
    scores = np.zeros((4, 4, 3))
    scores[..., 0] = np.array([2.0, 4.0, 1.0, 3.0])[:, None]
    scores[..., 1] = np.array([0.0, 3.5, 0.0, 6.0])[:, None]
    scores[..., 2] = 5.0
    folder = make_sweep(scores, axes={"rate": [0.4, 0.1, 0.3, 0.2]}, **SEARCH)
    data = read_run_folder(folder)
    last = data.metrics["run"].map(lambda run: [1, 2, 1, 3][run // 4])
    data = data._replace(metrics=data.metrics[data.metrics["step"] <= last])
    charts = search_charts(summarize([data]), 0)
    dots, best = drawn(charts)
    assert list(dots.y) == [2, 4, 1, 3, 3.5, 6, 5]
    assert list(best.y) == [2, 4, 4, 4, 4, 6, 6]
    assert list(best.x) == [20, 40, 60, 80, 100, 120, 140]
    assert "rung by rung" in charts[0].note
