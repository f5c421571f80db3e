"""Tests that runs stop where they should, with the same bits however they are cut, stopped and
resumed, that their lanes are dropped, and that a run folder says so."""

import json
import re

import jax
import numpy as np
import pandas as pd
import pytest

from research.cli.progress import SweepProgress
from research.engine.cadence import Intervals
from research.engine.one_run import state_shapes
from research.errors import UserError
from research.runs.checkpoints import Checkpoints
from research.runs.early_stop import Condition, EarlyStop
from research.runs.experiment import make_parts
from research.runs.initial import InitFrom
from research.runs.manifest import seal_of
from research.runs.params import load_params
from research.runs.run_folder import RunFolder
from research.runs.schedulers.population import Population
from research.runs.search import Halving
from research.runs.training import TrainOptions
from tests import quadratic
from tests.contract import slow
from tests.runs.test_population_runs import Kill, outcome

pytestmark = pytest.mark.usefixtures("default_hangup", "narrow_at_once")
GOAL = 0.47
STOP = EarlyStop(when=Condition("score", ">=", GOAL))
AXES = {"rate": [0.01, 0.034, 0.047, 0.06, 0.08, 0.12]}
ALWAYS = TrainOptions(checkpoint_minutes=0.0, keep_states=True)
RARELY = TrainOptions(keep_states=True)


def experiment(**changes):
    """18 runs, of which those of the smallest rate are never at the goal."""
    default = {"hparams_axes": AXES, "search": None, "early_stop": STOP}
    return quadratic.experiment(**default | changes)


def run(tmp_path, name="run", train=RARELY, changes=None, **options):
    """Trains the experiment and returns what was printed."""
    changed = experiment(**changes or {})
    return quadratic.train(changed, tmp_path, name, train=train, **options)


def assert_same(folder, other, rtol=0.0):
    (metrics, decisions, params), expected = outcome(folder), outcome(other)
    how = {"check_exact": True} if not rtol else {"rtol": rtol}
    pd.testing.assert_frame_equal(metrics, expected[0], **how)
    pd.testing.assert_frame_equal(decisions, expected[1], **how)
    np.testing.assert_allclose(params, expected[2], rtol=rtol)


def stops(folder):
    """Run -> the step at which it stopped, and why."""
    results = json.loads((folder / "manifest.json").read_text())["results"]
    return {one["run"]: (one["step"], one["why"]) for job in results for one in job["stopped"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, narrow_at_once):
    return tmp_path_factory.mktemp("early")


@pytest.fixture(scope="module")
def to_the_end(folders):
    """The folder of the same sweep in which no run stops."""
    run(folders, "to_the_end", changes={"early_stop": None})
    return folders / "to_the_end"


@pytest.fixture(scope="module")
def whole(folders):
    """The folder of a sweep that was never interrupted, and what was printed."""
    printed = run(folders, "whole")
    return folders / "whole", printed


def test_rows_until_the_stop_are_those_of_a_sweep_without_stopping(whole, to_the_end):
    """To the bit while the program has the same width; on a CPU in narrower ones as well, here."""
    metrics = pd.read_parquet(whole[0] / "metrics").set_index(["run", "step"]).sort_index()
    expected = pd.read_parquet(to_the_end / "metrics").set_index(["run", "step"]).sort_index()
    pd.testing.assert_frame_equal(metrics, expected.loc[metrics.index], check_exact=True)
    reached = expected["score"].ge(np.float32(GOAL))
    first = expected[reached].reset_index().groupby("run")["step"].min()
    last = metrics.reset_index().groupby("run")["step"].max()
    for number in range(18):
        assert last[number] == first.get(number, 40)
    early = first[first < 40]
    assert stops(whole[0]) == {number: (step, "condition") for number, step in early.items()}
    assert sorted(set(early)) == [10, 15, 20, 25, 35]
    assert len(early) == 15


def test_what_is_kept_of_a_run_is_what_it_had_at_its_stop(whole):
    """Theta in NumPy, with the draws of the key that is of the seed and step."""
    stopped, metrics = stops(whole[0]), pd.read_parquet(whole[0] / "metrics")
    states = last_states(whole[0])
    for number, rows in metrics.groupby("run"):
        step, _ = stopped.get(number, (40, ""))
        theta = load_params(whole[0], number)["theta"]
        score = rows.set_index("step")["score"][step]
        assert 1.2 - np.sum(np.square(theta, dtype=np.float64)) == pytest.approx(score, 1e-6)
        np.testing.assert_array_equal(states.params["theta"][number], theta)
        key = jax.random.split(jax.random.key(rows["seed"].iloc[0], impl="threefry2x32"), 3)[1]
        draw = jax.random.uniform(jax.random.fold_in(key, step - 1))
        np.testing.assert_array_equal(states.draw[number], draw)


def last_states(folder):
    opened = RunFolder.open(folder)
    (job,) = opened.plan().jobs
    (part,) = make_parts(experiment())
    shapes = state_shapes(part.problem, part.group.runs)
    with Checkpoints(opened.checkpoints(job.name), seal_of(opened.manifest(), job.runs)) as saved:
        return saved.load(job.stop, shapes).states


def test_the_program_goes_on_with_fewer_lanes_and_says_what_was_saved(whole):
    folder, printed = whole
    widths = [int(width) for width in re.findall(r"compiled for (\d+) lanes", printed)]
    assert widths == [8]  # of 24 on 8 devices, when 6 runs of 18 are left
    steps = sum(40 - step for step, _ in stops(folder).values())
    share = f"{steps / (18 * 40):.0%} of the steps were saved"
    count = len(stops(folder))
    assert f"{count} of 18 runs stopped where the condition held; {share}" in printed


@pytest.mark.parametrize("chunk", [1, slow(2), slow(10)])
def test_the_length_of_chunks_changes_no_bit(tmp_path, whole, chunk):
    run(tmp_path, changes={"intervals": Intervals(1, 5, chunk)})
    assert_same(tmp_path / "run", whole[0])


@pytest.mark.parametrize("step", [slow(5), 15, slow(16), slow(20), 33])
def test_a_sweep_that_was_killed_ends_at_the_same_bits(tmp_path, whole, monkeypatch, step):
    """Killed after the checkpoint of a step, before and after lanes were dropped."""
    changes, update = {"intervals": Intervals(1, 5, 1)}, SweepProgress.update

    def updated(progress, record):
        update(progress, record)
        if record.chunk.start >= step:
            raise Kill

    with monkeypatch.context() as patch:
        patch.setattr(SweepProgress, "update", updated)
        with pytest.raises(Kill):
            run(tmp_path, train=ALWAYS, changes=changes)
    printed = run(tmp_path, train=ALWAYS, changes=changes)
    assert f"resuming from step {step}" in printed
    assert "lie otherwise" not in printed
    assert_same(tmp_path / "run", whole[0])
    assert stops(tmp_path / "run") == stops(whole[0])
    for leaf, expected in zip(
        *map(jax.tree.leaves, (last_states(tmp_path / "run"), last_states(whole[0]))), strict=True
    ):
        np.testing.assert_array_equal(leaf, expected)  # fmt: skip


@pytest.mark.parametrize("cut", ["parallel 5", slow("shares 3")])
def test_runs_in_several_jobs_stop_alike(tmp_path, whole, cut):
    name, count = cut.split()
    run(tmp_path, **{name: int(count)})
    assert_same(tmp_path / "run", whole[0], 1e-6)
    assert stops(tmp_path / "run") == stops(whole[0])


def test_blocks_and_devices_stop_alike_and_best_params_are_kept(tmp_path, whole):
    run(tmp_path, changes={"most_lanes": 1, "keep_best": True})
    assert_same(tmp_path / "run", whole[0], 1e-5)
    metrics = outcome(tmp_path / "run")[0].dropna(subset="score")
    for number, rows in metrics.groupby("run"):
        theta = load_params(tmp_path / "run", number, which="best")["theta"]
        best = 1.2 - np.sum(np.square(theta, dtype=np.float64))
        assert best == pytest.approx(rows["score"].max(), 1e-6)


def test_a_job_ends_early_when_all_runs_have_stopped(tmp_path):
    """One diverges, the others are at the goal; whole groups and no program for none of them."""
    axes = {"rate": [0.04, 0.08], "fail_at": [-1, 7]}
    printed = run(tmp_path, changes={"hparams_axes": axes})
    found = stops(tmp_path / "run")
    assert len(found) == 12
    assert {why for _, why in found.values()} == {"condition", "diverged"}
    (result,) = RunFolder.open(tmp_path / "run").results().values()
    assert result["clock"][-1][0] == max(step for step, _ in found.values()) < 40
    assert "12 of 12 runs stopped early, 6 where the condition held, 6 as they diverged" in printed
    load_params(tmp_path / "run", 11)


def test_runs_without_progress_run_out_of_patience(tmp_path, to_the_end):
    """After 2 evaluations without a new best score: a rate so large that theta turns around."""
    axes = {"rate": [0.02, 1.2]}
    run(tmp_path, changes={"hparams_axes": axes, "early_stop": EarlyStop(patience=2)})
    assert stops(tmp_path / "run") == dict.fromkeys([3, 4, 5], (15, "patience"))


def test_a_lengthened_sweep_equals_one_of_that_length(tmp_path, whole):
    run(tmp_path, changes={"steps": 20, "intervals": Intervals(1, 5, 5)})
    run(tmp_path, lengthen=True)
    assert_same(tmp_path / "run", whole[0])
    assert stops(tmp_path / "run") == stops(whole[0])


def test_states_of_several_steps_are_no_beginning(tmp_path, whole):
    """A single run is one, and it goes on at its own step."""
    folder, stopped = whole[0], stops(whole[0])
    first, (step, _) = next(iter(stopped.items()))
    start = lambda choose: InitFrom("whole", folder, choose, states=True)
    mixed = start(lambda seeds: [0, first, first])
    with pytest.raises(UserError, match=f"its runs have {step} to 40 steps"):
        run(tmp_path, changes={"init_from": mixed, "steps": 60})
    alone = start(lambda seeds: [first] * len(seeds))
    run(tmp_path, changes={"init_from": alone, "early_stop": None})
    assert pd.read_parquet(tmp_path / "run" / "metrics")["step"].min() == step + 1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"early_stop": EarlyStop(at_goal=True)}, "--stop-at-goal: nothing says which score"),
        (
            {"early_stop": EarlyStop(when=Condition("loss", ">", 1.0))},
            "--stop-when 'loss > 1': evaluations do not report loss; they report score",
        ),
        ({"halving": Halving(2, 2)}, "--stop-when --halving: both say which runs go on"),
        ({"population": Population()}, "--stop-when --population: both say which runs go on"),
        ({"intervals": Intervals(1, 40)}, "--stop-when: runs stop at evaluations, and the only"),
    ],
)
def test_what_cannot_be_stopped_so_is_refused_before_a_folder_is_made(tmp_path, changes, line):
    with pytest.raises(UserError, match=re.escape(line)):
        run(tmp_path, changes=changes)
    assert not list(tmp_path.iterdir())
