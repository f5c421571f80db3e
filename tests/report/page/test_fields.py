"""Tests of the charts of hyper-parameters on the page."""

import numpy as np

from research.report.page.fields import field_charts
from research.report.read import read_run_folder
from research.report.statistics import interquartile_mean
from research.report.summary import summarize


def test_three_fields_have_levels_heat_maps_and_parallel_coordinates(grid):
    levels, heat, parallel = field_charts(grid, 0)
    assert levels.variants[0].name.startswith("rate (")
    assert len(levels.variants) == 3
    assert len(heat.variants) == 3  # pairs
    assert len(parallel.variants[0].traces) == 12


def test_a_cell_of_a_heat_map_has_all_runs_with_both_values(grid):
    variant = next(one for one in field_charts(grid, 0)[1].variants if one.name == "rate and width")
    drawn = variant.traces[0].drawn
    row, column = list(drawn.y).index("0.01"), list(drawn.x).index("8x8")
    members = [
        line.scores.to_numpy()
        for line in grid.lines
        if line.setting.values["rate"] == 0.01 and line.setting.values["width"] == "8x8"
    ]
    assert len(members) == 2
    np.testing.assert_allclose(drawn.z[row][column], interquartile_mean(np.concatenate(members)))
    assert drawn.customdata[row][column] == 10


def test_parallel_coordinates_have_ticks_at_the_swept_values(grid):
    variant = field_charts(grid, 0)[2].variants[0]
    ticks = {(one["x"], one["text"]): one["y"] for one in variant.layout["annotations"]}
    names = list(variant.layout["xaxis"]["ticktext"])
    rate = names.index("rate")
    assert [ticks[rate, text] for text in ("0.001", "0.01", "0.1")] == [0, 0.5, 1]
    best = variant.traces[-1].drawn  # the last is on top
    assert best.y[rate] == 0.5
    assert best.y[-1] == 1


def test_one_swept_field_has_levels_only_and_none_has_no_chart(make_sweep):
    made = np.arange(16.0).reshape(2, 4, 2)
    assert len(field_charts(summarize([read_run_folder(make_sweep(made))]), 0)) == 1
    lone = make_sweep(made[:1], "lone", axes={"rate": [0.1]})
    assert field_charts(summarize([read_run_folder(lone)]), 0) == []
