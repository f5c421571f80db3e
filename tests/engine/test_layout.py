"""Tests of laying runs out over devices, lanes and blocks."""

import pytest

from research.engine.layout import cache_lanes, plan_layout


@pytest.mark.parametrize("runs", [1, 2, 3, 8, 13, 128, 1000])
@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("most_lanes", [None, 1, 6, 16])
def test_a_layout_holds_all_runs_with_little_padding(runs, devices, most_lanes):
    layout = plan_layout(runs, devices, most_lanes)
    assert layout.width * layout.blocks >= runs
    assert layout.padding < layout.devices * layout.blocks
    assert layout.devices <= min(devices, runs)
    assert most_lanes is None or layout.lanes <= most_lanes


def test_large_models_advance_one_run_at_a_time_and_small_ones_together():
    assert cache_lanes(100_000_000) == 1
    assert cache_lanes(0) > 1000
    assert cache_lanes(40_000) == 2**21 // 160_000
