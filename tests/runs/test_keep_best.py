"""Tests that `--keep best` keeps the params of each run's best evaluation, whatever stops it."""

import contextlib
import os
import signal

import numpy as np
import pytest

from research.engine.cadence import Intervals
from research.errors import Stopped, UserError
from research.recorded import RecordedParams
from research.runs.params import load_all_params, load_params
from research.runs.run_folder import RunFolder
from research.runs.search import Halving
from research.runs.tensors import load_facts
from tests import toy
from tests.runs.test_resume import ALWAYS, at, run  # noqa: F401

pytestmark = pytest.mark.usefixtures("default_hangup")


def peaked_score(shared, hparams, state, key):
    """A score that is best where w is 8 above its start."""
    metrics = toy.evaluate(shared, hparams, state, key)
    return metrics | {"score": -abs(state.params["w"] - shared["start"] - 8)}


PEAKED = toy.TASK._replace(evaluate=peaked_score, higher_is_better=True)  # one, compiled once


def peaked(config):
    """The toy problem with that score."""
    return toy.problem(config.start)._replace(task=PEAKED)


KEEP = {
    "make_problem": peaked,
    "keep_best": True,
    "steps": 12,
    "intervals": Intervals(log_every=2, eval_every=2, chunk_every=2),
}
RATES = np.repeat([1.0, 2.0], 2)  # of the runs of a group, whose w is rate * step
BEST = np.concatenate([[8, 8, 8, 8], np.full(4, 108)])  # at steps 8, 8, 4, 4
LAST = np.concatenate([12 * RATES, 100 + 12 * RATES])


def check(folder):
    np.testing.assert_array_equal(load_all_params(folder, range(8), which="best")["w"], BEST)
    np.testing.assert_array_equal(load_all_params(folder, range(8))["w"], LAST)


@pytest.mark.parametrize("parallel", [None, 3])
def test_the_params_of_the_best_evaluation_are_kept_beside_the_last(tmp_path, parallel):
    run(tmp_path, changes=KEEP, parallel=parallel)
    check(tmp_path / "run")
    if parallel is None:
        facts = load_facts(tmp_path / "run" / "best" / "0-000000.safetensors", RecordedParams)
        assert facts["steps"] == [8, 8, 4, 4]


@pytest.mark.parametrize("step", [2, 6, 10])
def test_a_stop_before_or_after_the_best_evaluation_changes_nothing(tmp_path, at, step):  # noqa: F811
    at(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path, changes=KEEP)
    run(tmp_path, changes=KEEP)
    check(tmp_path / "run")


def test_halving_hands_the_best_on_to_the_next_rung(tmp_path):
    run(tmp_path, changes={**KEEP, "halving": Halving(2, 2)})
    folder = RunFolder(tmp_path / "run")
    kept = sorted({run for job in folder.plan().jobs if job.start for run in job.runs})
    assert len(kept) == 4
    np.testing.assert_array_equal(load_all_params(folder.path, kept, which="best")["w"], BEST[kept])


def test_a_folder_is_resumed_only_as_it_keeps_params(tmp_path, at):  # noqa: F811
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with contextlib.suppress(Stopped):
        run(tmp_path, changes=KEEP)
    with pytest.raises(UserError, match='keep is "best" there and null here'):
        run(tmp_path, changes=KEEP | {"keep_best": False})


def test_a_folder_without_them_says_so(tmp_path):
    run(tmp_path, changes=KEEP | {"keep_best": False})
    assert not (tmp_path / "run" / "best").exists()
    with pytest.raises(UserError, match="keeps only the last params of its runs: --keep best"):
        load_params(tmp_path / "run", 0, which="best")


def test_keeping_them_changes_no_number(tmp_path):
    run(tmp_path, "best", changes=KEEP, train=ALWAYS)
    run(tmp_path, "last", changes=KEEP | {"keep_best": False}, train=ALWAYS)
    params = [load_all_params(tmp_path / name, range(8)) for name in ("best", "last")]
    np.testing.assert_array_equal(params[0]["w"], params[1]["w"])
