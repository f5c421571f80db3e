"""Tests of the manifest: records, throughput and comparisons."""

import json

import jax
import pytest

from research.engine.compiling import jax_settings
from research.errors import UserError
from research.runs.experiment import make_parts
from research.runs.manifest import check_same, describe, differences, throughput
from research.runs.session import now
from tests.runs.test_experiment import experiment

CLOCK = [(10, 1.0), (20, 1.5), (30, 3.0)]


def test_throughput_covers_all_runs_from_the_first_to_the_last_chunk():
    assert throughput(CLOCK, runs=4, steps=40, work_per_step=8, flops_per_step=100.0) == {
        "steps_per_second": 40.0,  # 20 steps of 4 runs in 2 seconds
        "work_per_second": 320.0,
        "runs_per_second": 1.0,
        "flops_per_second": 4000.0,
    }


def test_costs_that_the_compiler_does_not_report_are_left_out():
    assert "flops_per_second" not in throughput(CLOCK, 4, 40, 8, None)


@pytest.mark.parametrize("clock", [CLOCK[:1], [(10, 1.0), (20, 1.0)]])
def test_a_single_chunk_has_no_throughput(clock):
    assert throughput(clock, 4, 40, 8, 100.0) is None


@pytest.mark.parametrize(
    ("setting", "changed", "before", "after"),
    [
        ("enable_x64", jax.enable_x64(True), "false", "true"),
        ("default_matmul_precision", jax.default_matmul_precision("highest"), "null", '"highest"'),
        ("threefry_partitionable", jax.threefry_partitionable(False), "true", "false"),
    ],
)
def test_settings_of_jax_that_change_numbers_are_recorded(setting, changed, before, after):
    facts = {"versions": {}, "device": {}, "git_commit": None}
    there = json.loads(json.dumps(facts | {"jax_settings": jax_settings()}))
    with changed:
        here = facts | {"jax_settings": jax_settings()}
    assert differences(there, there) == []
    (line,) = differences(there, here)
    assert line.startswith(f"jax_{setting} is {before} there and {after} here;")
    assert differences(facts, here) == []  # a folder from before they were recorded


def test_times_are_utc():
    assert now().endswith("+00:00")


def test_axes_list_each_value_once_and_groups_list_their_combination():
    asked = experiment()
    facts = describe(asked, make_parts(asked))
    assert facts["config_axes"] == {"size": [1, 2], "kind": ["a", "b"]}
    group = facts["groups"][2]
    cadence = {"log_every": 1, "eval_every": 1, "chunk_every": 1}
    assert group.pop("cadence") == cadence
    assert group == {
        "first_run": 12, "runs": 6, "steps": 6, "goal": None, "size": 2, "kind": "a"
    }  # fmt: skip
    json.dumps(facts, allow_nan=False)


NOW = {
    "config": {"width": 8, "drop": ["a,b"], "missing": []},
    "data": [{"sha256": "12", "notes": ["new words"], "cells": {}, "columns": [{"x": 1, "y": 2}]}],
}
OLDER = {
    "config": {"width": 8, "drop": "a,b"},
    "data": [{"sha256": "12", "notes": ["old words"], "columns": [{"x": 1}]}],
}


def test_manifests_of_older_versions_compare_equal(tmp_path):
    check_same(OLDER, NOW, tmp_path)
    empty = {"config": {"width": 8, "drop": ""}, "data": OLDER["data"]}
    check_same(empty, NOW | {"config": NOW["config"] | {"drop": []}}, tmp_path)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"config": {"width": 9, "drop": "a,b"}}, "width is 9 there and 8 here"),
        ({"config": {"width": 8, "drop": ""}}, r'drop is \[\] there and \["a,b"\] here'),
        ({"data": [{"sha256": "13"}]}, 'sha256 is "13" there and "12" here'),
        ({"data": [{"sha256": "12", "columns": [{"x": 3}]}]}, "x is 3 there and 1 here"),
        ({"data": []}, "data is "),
    ],
)
def test_a_difference_from_an_older_manifest_is_named(tmp_path, changed, says):
    with pytest.raises(UserError, match=f"is of another experiment: .*{says}"):
        check_same(OLDER | changed, NOW, tmp_path)
