"""Tests that runs begin with the params of another run folder, and need it only once."""

import json
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest

from research.cli.init_from import read_init_from
from research.errors import Stopped, UserError
from research.runs.params import load_all_params
from research.runs.run_folder import RunFolder
from research.runs.search import Halving
from research.runs.training import TrainOptions
from tests import toy
from tests.runs.test_resume import at, outcome, run  # noqa: F401

pytestmark = pytest.mark.usefixtures("default_hangup")
AFTER = np.array([6, 6, 12, 12, 106, 106, 112, 112], np.float32)  # of the source, by run
ADDED = np.tile(np.repeat([6, 12], 2), 2).astype(np.float32)  # by 6 steps at a rate of 1 or 2


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The folder of a sweep whose runs end at `AFTER`. The best setting begins at 0, as lower is
    better, and its runs of seeds 4 and 5 are 0 and 1."""
    home = tmp_path_factory.mktemp("source")
    run(home, "source")
    return home / "source"


def from_source(source, which, **changes):
    return {"init_from": read_init_from(f"{source}{which}"), **changes}


@pytest.mark.parametrize(
    ("which", "begin"), [("", 6), (":5", 106), (":best", 6)], ids=["setting", "run", "best"]
)
def test_runs_begin_with_the_params_of_another_folder(tmp_path, source, which, begin):
    run(tmp_path, changes=from_source(source, which))
    params = load_all_params(tmp_path / "run", range(8))["w"]
    np.testing.assert_array_equal(params, begin + ADDED)


def test_each_run_takes_the_params_of_its_seed(tmp_path, source, monkeypatch):
    """Here those of seed 5 differ from those of seed 4."""
    copy = shutil.copytree(source, tmp_path / "copy")
    (job,) = [job for job in RunFolder(copy).plan().jobs if job.group == 0]
    RunFolder(copy).save_params(job, {"w": np.float32([10, 20, 30, 40])})
    run(tmp_path, changes=from_source(copy, "", seeds=(5, 4)))
    params = load_all_params(tmp_path / "run", range(8))["w"]
    np.testing.assert_array_equal(params, np.tile([20, 10], 4) + ADDED)


@pytest.mark.parametrize("which", ["", ":best"])
def test_of_several_problems_a_run_has_to_be_named(tmp_path, source, which):
    """Scores on one environment say nothing about another."""
    copy = shutil.copytree(source, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["data"] = [{"environment": "A"}, {"environment": "B"}]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    says = rf"--init-from {copy}: .* of 2 problems, .*: name a run, such as {copy}:0; .* is 0, 4$"
    with pytest.raises(UserError, match=says):
        run(tmp_path, changes=from_source(copy, which))
    assert not (tmp_path / "run").exists()
    run(tmp_path, changes=from_source(copy, ":4"))


def test_a_resume_does_not_need_the_other_folder(tmp_path, source, at):  # noqa: F811
    copy = shutil.copytree(source, tmp_path / "copy")
    changes = from_source(copy, ":2")
    run(tmp_path, "whole", changes, parallel=3)
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path, changes=changes, parallel=3)
    shutil.rmtree(copy)
    run(tmp_path, changes=changes, parallel=3)
    tables = [pd.read_parquet(tmp_path / name / "metrics") for name in ("run", "whole")]
    sorted_tables = [table.sort_values(["run", "step"], ignore_index=True) for table in tables]
    pd.testing.assert_frame_equal(*sorted_tables, check_exact=True)


@pytest.mark.parametrize(
    ("which", "changes", "says"),
    [
        (":9", {}, "--init-from: run 9: .* has no such finite run; its runs are 0 to 7"),
        ("", {"seeds": (5, 6)}, "it has no seed 6, only 4, 5; give these --seeds, or a run"),
        ("-elsewhere", {}, "--init-from: .* is no run folder"),
        ("", {"make_problem": lambda config: wider()}, r"w in .* is float32\[\], not float32\[2\]"),
        ("", {"make_problem": lambda config: with_words()}, "no file .*vocabulary-0.json"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_folder_is_made(
    tmp_path, source, which, changes, says
):
    with pytest.raises(UserError, match=says):
        run(tmp_path, changes=from_source(source, which, **changes))
    assert not list(tmp_path.iterdir())


def wider():
    problem = toy.problem()
    return problem._replace(shared={"start": np.zeros(2, np.float32)}, task=SUMMED)


def with_words():
    return toy.problem()._replace(files={"vocabulary": ["a"]})


def _sum(metrics):
    return {
        name: value if isinstance(value, toy.Mean) else value.sum()
        for name, value in metrics.items()
    }


def _step(*given):
    state, metrics = toy.step(*given)
    return state, _sum(metrics)


SUMMED = toy.TASK._replace(step=_step, evaluate=lambda *given: _sum(toy.evaluate(*given)))


def test_params_of_another_vocabulary_are_refused(tmp_path):
    words = lambda *some: {"make_problem": lambda config: with_words_of(some)}
    run(tmp_path, "source", words("a", "b"))
    with pytest.raises(UserError, match="its vocabulary is another"):
        run(tmp_path, changes=from_source(tmp_path / "source", ":0", **words("a", "c")))
    run(tmp_path, changes=from_source(tmp_path / "source", ":0", **words("a", "b")))


def with_words_of(some):
    return toy.problem()._replace(files={"vocabulary": list(some)})


def test_a_folder_is_resumed_only_with_the_same_beginning(tmp_path, source):
    run(tmp_path, changes=from_source(source, ":0"), prepare=True)
    with pytest.raises(UserError, match=r"init_from is .* there and null here"):
        run(tmp_path)


def test_damaged_first_params_are_told(tmp_path, source):
    run(tmp_path, changes=from_source(source, ":0"), prepare=True)
    path = tmp_path / "run" / "init" / "0.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"init/0.safetensors is damaged"):
        run(tmp_path, changes=from_source(source, ":0"))


KEEP = TrainOptions(checkpoint_minutes=0.0, keep_states=True)


@pytest.fixture(scope="module")
def stateful(tmp_path_factory):
    """The folder of a sweep whose runs have their states kept at step 6."""
    home = tmp_path_factory.mktemp("stateful")
    run(home, "source", train=KEEP)
    return home / "source"


def of_states(source, which, **changes):
    return {"init_from": read_init_from(f"{source}{which}", True), "steps": 10, **changes}


ONE = {"config_axes": {}, "hparams_axes": {}}  # the setting of runs 0 and 1


@pytest.mark.parametrize("parallel", [None, 1])
def test_a_run_that_goes_on_at_its_states_equals_one_that_never_stopped(
    tmp_path, stateful, parallel
):
    run(tmp_path, "whole", {"steps": 10, **ONE})
    run(tmp_path, changes=of_states(stateful, "", **ONE), parallel=parallel)
    metrics, params = outcome(tmp_path / "run")
    expected, expected_params = outcome(tmp_path / "whole")
    expected = expected[expected["step"] > 6].reset_index(drop=True)
    pd.testing.assert_frame_equal(metrics, expected, check_exact=True)
    np.testing.assert_array_equal(params, expected_params)


def test_runs_go_on_at_a_state_with_other_hyperparameters_through_stops(
    tmp_path,
    stateful,
    at,  # noqa: F811
):
    copy = shutil.copytree(stateful, tmp_path / "copy")
    changes = of_states(copy, ":7", config_axes={"start": [0.0]}, hparams_axes={"rate": [0.0, 3.0]})
    at(8, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped, match="at step 8 of 10"):
        run(tmp_path, changes=changes)
    shutil.rmtree(copy)
    assert "resuming from step 8" in run(tmp_path, changes=changes)
    params = load_all_params(tmp_path / "run", range(4))["w"]
    np.testing.assert_array_equal(params, [112, 112, 124, 124])
    assert pd.read_parquet(tmp_path / "run" / "metrics")["step"].min() == 8


def test_states_of_a_folder_that_keeps_the_best_params_are_read(tmp_path):
    run(tmp_path, "source", {"keep_best": True}, train=KEEP)
    run(tmp_path, changes=of_states(tmp_path / "source", ":0", **ONE))
    np.testing.assert_array_equal(load_all_params(tmp_path / "run", [0, 1])["w"], [10, 10])


@pytest.mark.parametrize(
    ("folder", "changes", "says"),
    [
        ("source", {}, "it does not hold the last states of its runs: --keep-states keeps them"),
        ("stateful", {"steps": 6}, "of step 6, and training ends at step 6; train for longer"),
        (
            "stateful",
            {"steps": 12, "halving": Halving(2, 2)},
            "of step 6, and training ends at step 6",
        ),
        (
            "stateful",
            {"make_problem": lambda config: wider()},
            "of another shape|belongs to another configuration|is another",
        ),
    ],
)
def test_states_that_do_not_fit_are_refused_before_a_folder_is_made(
    tmp_path, request, folder, changes, says
):
    with pytest.raises(UserError, match=says):
        run(tmp_path, changes=of_states(request.getfixturevalue(folder), ":0", **changes))
    assert not list(tmp_path.iterdir())


def test_params_of_a_run_that_diverged_are_not_taken(tmp_path):
    run(tmp_path, "source", {"hparams": toy.ToyHParams(fail_at=3), "config_axes": {}})
    with pytest.raises(UserError, match="no finite run"):
        run(tmp_path, changes=from_source(tmp_path / "source", ""))
