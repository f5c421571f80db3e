"""Tests of the facts about a sweep on the page."""

import numpy as np

from research.report.page.facts import diverged, facts, given, rungs
from research.report.read import read_run_folder

SPEED = {"steps_per_second": 100.0, "work_per_second": 500.0, "runs_per_second": 1.0,
         "flops_per_second": 2e9}  # fmt: skip
RESULT = {"runs": [0], "start": 0, "clock": [], "diverged": [], "train_seconds": 3.0,
          "cost": {"compile_seconds": 1.5}, "throughput": SPEED}  # fmt: skip


def test_the_page_shows_command_machine_and_speed(make_sweep):
    manifest = {
        "command": "experiments/mlp.py --seeds 4",
        "device": {"platform": "cpu", "count": 2, "processor": "EPYC", "kind": "cpu"},
        "versions": {"jax": "0.10.2"},
        "results": [RESULT, RESULT | {"throughput": None, "cost": None}],
        "data": [{"name": "digits", "columns": ["a"]}, {"name": "digits"}],
    }
    run = read_run_folder(make_sweep(np.zeros((2, 2, 2)), **manifest))
    told = dict(facts(run))
    assert told["command"] == "experiments/mlp.py --seeds 4"
    assert told["device"] == "2 x cpu (EPYC)"
    assert told["compile time"] == "1.5 s"
    assert told["training time"] == "6.0 s in 2 jobs"
    assert told["throughput"] == "100 steps/s, 500 examples/s, 2 GFLOP/s"
    assert told["data"] == "name digits"
    assert "git commit" not in told  # nothing is told of what is not known


def test_swept_fields_are_shown_with_all_their_values(make_sweep):
    config = {"hidden": [64, 32], "tied": [], "drop": ["x", "y z"], "off": ["decay"]}
    manifest = {"config": config, "hparams": {"rate": 0.1, "decay": 0.5}}
    run = read_run_folder(make_sweep(np.zeros((2, 2, 2)), **manifest))
    assert dict(given(run)) == {
        "hidden": "64x32", "tied": "none", "drop": "x, y z", "rate": "0.1, 0.2", "decay": "0.5",
    }  # fmt: skip


def test_diverged_runs_are_named_with_their_settings(make_sweep):
    lost = [{"run": 1, "seed": 1, "step": 2, "rate": 0.1, "decay": 0.5}]
    run = read_run_folder(make_sweep(np.zeros((2, 2, 2)), results=[RESULT | {"diverged": lost}]))
    assert diverged(run) == [["run", "seed", "step", "rate"], ["1", "1", "2", "0.1"]]
    assert diverged(read_run_folder(make_sweep(np.zeros((2, 2, 2)), "well"))) == []


def test_rungs_say_how_many_settings_trained_on(make_sweep):
    recorded = [
        {"steps": [5, 10], "settings": 9, "kept": 4, "stopped_runs": [], "promotions": [
            {"job": "0-000000-from-5", "ended": ["0-000000"]}] * 3},
        {"steps": [15], "settings": 4, "kept": 1, "stopped_runs": []},
        {"stopped_runs": [7]},  # of an older version
    ]  # fmt: skip
    make = lambda name, **halving: read_run_folder(
        make_sweep(np.zeros((2, 2, 2)), name, rungs=recorded, halving=halving)
    )
    names = ["rung", "ended at step", "settings", "trained on"]
    rows = [["1", "5 or 10", "9", "4"], ["2", "15", "4", "1"]]
    assert rungs(make("waited", factor=3)) == [names, *rows]
    shown = rungs(make("not", factor=3, asynchronous=True))
    assert shown == [[*names, "batches"], [*rows[0], "3"], [*rows[1], "0"]]
    assert rungs(read_run_folder(make_sweep(np.zeros((2, 2, 2)), "none"))) == []
