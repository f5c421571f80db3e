"""Tests that runs begin with the params of another run folder, and need it only once."""

import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest

from research.cli.init_from import read_init_from
from research.errors import Stopped, UserError
from research.runs.run_folder import RunFolder, load_all_params
from tests import toy
from tests.runs.test_resume import at, run  # noqa: F401

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
