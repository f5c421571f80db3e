"""Tests that schedules are followed, bit for bit where programs are as wide, and that the best of a
sweep is trained anew with seeds that did not choose it."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from research.cli import confirm
from research.cli.confirm import check_confirm, fresh_seeds
from research.cli.follow import read_follow, schedule_of
from research.cli.terminal import TerminalObserver
from research.engine.axes import make_groups
from research.engine.cadence import Intervals
from research.errors import UserError
from research.report.confirmed import FILE, read_confirmed
from research.report.one_run import one_run
from research.report.read import read_run_folder
from research.runs.initial import InitFrom
from research.runs.opening import RunOptions
from research.runs.params import load_params
from research.runs.runner import run_experiment
from research.runs.schedulers.population import Population
from research.runs.search import Search
from tests import quadratic
from tests.contract import slow
from tests.runs.test_population_runs import ALWAYS, Kill, kill_after

POPULATION = Population(ready_every=10, fraction=0.34)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("followed")
    run_experiment(quadratic.experiment(population=POPULATION), RunOptions(str(path), "it"))
    return path / "it"


def following(changes, seeds):
    first = quadratic.HParams(**changes[0][1])
    return quadratic.experiment(
        hparams=first, hparams_axes={}, search=None, seeds=seeds, schedule=changes[1:]
    )


def test_any_member_replayed_alone_ends_at_the_same_bits(folder, tmp_path):
    """Its history is of other members, too. The state is what counts: params and draws."""
    data = read_run_folder(folder)
    assert data.decisions is not None
    moved = sorted({int(run) for run in data.decisions["run"]})[:3]
    for number in (*moved, one_run(data).number):
        changes = read_follow(f"{folder}:{number}")
        name = f"run-{number}"
        run_experiment(
            following(changes, (one_run(data, number).seed,)), RunOptions(str(tmp_path), name)
        )
        again = load_params(tmp_path / name, 0)["theta"]
        np.testing.assert_array_equal(again, load_params(folder, number)["theta"])


@pytest.mark.usefixtures("default_hangup")
@pytest.mark.parametrize("step", [10, slow(13)])
def test_a_schedule_is_resumed_where_it_was(folder, tmp_path, monkeypatch, step):
    changes = read_follow(str(folder))
    assert changes[0][0] == 0
    assert len(changes) > 1
    whole = following(changes, (1, 2))
    run_experiment(whole, RunOptions(str(tmp_path), "whole"))
    whole = whole._replace(intervals=Intervals(1, 5, 1))
    how, watched = RunOptions(str(tmp_path), "it", train=ALWAYS), TerminalObserver(Console())
    with monkeypatch.context() as patch:
        kill_after(patch, step)
        with pytest.raises(Kill):
            run_experiment(whole, how, watched)
    assert read_follow("gone", tmp_path / "it") == changes[1:]
    run_experiment(whole, how)
    both = [pd.read_parquet(tmp_path / name / "metrics") for name in ("whole", "it")]
    order = [one.sort_values(["run", "step"], ignore_index=True) for one in both]
    pd.testing.assert_frame_equal(*order, check_exact=True)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            ((0, {"rate": 0.1}), (7, {"rate": 0.2})),
            "changes hyper-parameters at 7, which must be a",
        ),
        (
            ((0, {"rate": 0.1}), (10, {"speed": 1.0})),
            "it changes speed, which is no hyper-parameter",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused_before_a_folder_is_made(tmp_path, changes, line):
    with pytest.raises(UserError, match=line):
        run_experiment(following(changes, (1,)), RunOptions(str(tmp_path), "it"))
    assert not list(tmp_path.iterdir())


def test_the_best_of_populations_is_confirmed_along_its_schedule(folder, capsys):
    experiment = quadratic.experiment(population=POPULATION)
    confirm.confirm(experiment, RunOptions(str(folder.parent), "it"), 4, folder)
    (found,) = read_confirmed(folder)
    data = read_run_folder(folder)
    best = one_run(data)
    assert (found.run, found.seeds, found.chosen_by) == (
        best.number,
        [7, 8, 9, 10],
        best.score,
    )
    again = read_run_folder(folder / "confirmed")
    changes = schedule_of(data, best.number)
    assert again.manifest["schedule"] == [[step, dict(values)] for step, values in changes[1:]]
    last = again.metrics[again.metrics["step"] == 40]
    assert found.score[0] == pytest.approx(np.mean(np.sort(last["score"])[1:3]), 1e-6)
    assert "on 4 seeds that did not choose it" in " ".join(capsys.readouterr().out.split())


def test_the_best_setting_of_a_search_is_confirmed_with_its_values(tmp_path):
    """And once more after a kill between training and writing."""
    experiment = quadratic.experiment(search=Search(3), seeds=(2**32 - 1, 0))
    run_experiment(experiment, RunOptions(str(tmp_path), "it"))
    for _ in range(2):
        confirm.confirm(experiment, RunOptions(str(tmp_path), "it"), 2, tmp_path / "it")
        (found,) = read_confirmed(tmp_path / "it")
        (tmp_path / "it" / FILE).unlink()
        assert found.seeds == [1, 2]
    (group,) = make_groups(quadratic.Config(), {}, experiment.hparams, experiment.hparams_axes,
                           experiment.seeds, experiment.search)  # fmt: skip
    rows = read_run_folder(tmp_path / "it" / "confirmed").metrics
    assert np.float32(rows["rate"].iloc[0]) == group.runs.hparams.rate[found.run]


def test_fresh_seeds_are_none_of_those_that_chose():
    assert fresh_seeds([3, 5], 2) == (6, 7)
    assert fresh_seeds([2**32 - 1, 0, 2], 3) == (1, 3, 4)


@pytest.mark.parametrize(
    ("changes", "asked", "several", "line"),
    [
        ({}, 0, False, "--confirm 0: must be at least 1"),
        ({}, 2, True, "--confirm: not with --distributed"),
        ({"init_from": InitFrom("x", None, list)}, 2, False, "--confirm --init-from"),
    ],
)
def test_what_cannot_be_confirmed_is_told_before_training(changes, asked, several, line):
    with pytest.raises(UserError, match=line):
        check_confirm(quadratic.experiment(**changes), asked, several)


def test_a_folder_that_cannot_be_followed_is_named(tmp_path, folder):
    with pytest.raises(UserError, match="--follow gone: gone is no run folder"):
        read_follow("gone")
    with pytest.raises(UserError, match=f"--follow {folder}:99: run 99: "):
        read_follow(f"{folder}:99")
