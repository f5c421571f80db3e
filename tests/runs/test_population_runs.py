"""Tests that populations end with the same bits however they are cut, stopped and resumed, and that
a run folder says what was decided."""

import json
import shutil

import jax
import numpy as np
import pandas as pd
import pytest

from research.cli.progress import SweepProgress
from research.engine.cadence import Intervals
from research.errors import UserError
from research.runs.checkpoints import Checkpoints
from research.runs.early_stop import read_early_stop
from research.runs.experiment import make_parts
from research.runs.held import held_shapes
from research.runs.initial import InitFrom
from research.runs.jobs import cut_jobs
from research.runs.manifest import seal_of
from research.runs.params import load_params
from research.runs.run_folder import RunFolder
from research.runs.schedulers.population import Population
from research.runs.search import Halving, Search
from research.runs.training import TrainOptions
from tests import quadratic
from tests.contract import slow

pytestmark = pytest.mark.usefixtures("default_hangup")
POPULATION = Population(ready_every=10, fraction=0.34)
ALWAYS = TrainOptions(checkpoint_minutes=0.0, keep_states=True)
RARELY = TrainOptions(keep_states=True)


class Kill(BaseException):
    """Ends a sweep as a kill does: nothing more is written."""


def kill_after(monkeypatch, step):
    """Has the sweep killed when the checkpoint of a step is there, at the next record."""
    update = SweepProgress.update

    def updated(progress, record):
        update(progress, record)
        if record.chunk.start >= step:
            raise Kill

    monkeypatch.setattr(SweepProgress, "update", updated)


def experiment(**changes):
    return quadratic.experiment(**{"population": POPULATION} | changes)


def run(tmp_path, name="run", train=ALWAYS, changes=None, **options):
    """Trains the population and returns what was printed."""
    changed = experiment(**changes or {})
    return quadratic.train(changed, tmp_path, name, train=train, **options)


def outcome(folder):
    """All metrics, decisions and last params of a run folder, whichever jobs wrote them."""
    metrics = pd.read_parquet(folder / "metrics").sort_values(["run", "step"], ignore_index=True)
    decisions = pd.read_parquet(folder / "decisions")
    decisions = decisions.sort_values(["step", "run"], ignore_index=True)
    runs = sorted(metrics["run"].unique())
    return metrics, decisions, np.stack([load_params(folder, run)["theta"] for run in runs])


def assert_same(folder, other):
    (metrics, decisions, params), expected = outcome(folder), outcome(other)
    pd.testing.assert_frame_equal(metrics, expected[0], check_exact=True)
    pd.testing.assert_frame_equal(decisions, expected[1], check_exact=True)
    np.testing.assert_array_equal(params, expected[2])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a population that was never interrupted."""
    folder = tmp_path_factory.mktemp("population")
    run(folder, "whole", RARELY)
    return folder / "whole"


def test_members_go_on_from_the_state_of_their_parent(whole):
    """Followed by hand: theta in NumPy, with the draws of the key that is of the seed and step."""
    metrics, decisions, params = outcome(whole)
    assert sorted(decisions["step"].unique()) == [10, 20, 30]
    runs = metrics.drop_duplicates("run").set_index("run")
    theta = {run: np.array(quadratic.START) for run in runs.index}
    using = {run: (int(row["which"]), row["rate"]) for run, row in runs.iterrows()}
    draws = {int(seed): drawn(int(seed)) for seed in runs["seed"].unique()}
    for step in range(40):
        now = decisions[decisions["step"] == step]
        before = {run: theta[run].copy() for run in theta}
        for row in now.to_dict("records"):
            theta[row["run"]] = before[row["parent"]].copy()
            using[row["run"]] = (int(row["which"]), row["rate"])
            assert runs["seed"][row["run"]] == runs["seed"][row["parent"]]
        for one, (which, rate) in using.items():
            theta[one][which] *= 1 - 2 * rate * (1 + 0.1 * draws[runs["seed"][one]][step])
    np.testing.assert_allclose(params, [theta[run] for run in sorted(theta)], rtol=1e-5)


def drawn(seed):
    """What the quadratic draws of a seed in each of its steps."""
    key = jax.random.split(jax.random.key(seed, impl="threefry2x32"), 3)[1]
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, np.arange(40))
    return np.asarray(jax.vmap(jax.random.uniform)(keys))


def test_a_decision_is_recorded_with_scores_reason_and_values(whole):
    metrics, decisions, _ = outcome(whole)
    assert len(decisions) >= 12
    assert set(decisions["why"]) == {"exploit"}
    score = metrics.set_index(["step", "run"])["score"]
    for row in decisions.to_dict("records"):
        assert row["score"] == score[row["step"], row["run"]]
        assert row["parent_score"] == score[row["step"], row["parent"]]
        assert row["parent_score"] > row["score"]
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["population"] == {
        "ready_every": 10, "exploit": "truncation", "fraction": 0.34, "perturb": [0.8, 1.2],
        "resample": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize("chunk", [1, slow(2), slow(10)])
def test_the_length_of_chunks_changes_no_bit(tmp_path, whole, chunk):
    run(tmp_path, changes={"intervals": Intervals(1, 5, chunk)})
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("cut", [slow("parallel 6"), slow("parallel 13"), "shares 3"])
def test_populations_can_be_trained_apart(tmp_path, whole, cut):
    name, count = cut.split()
    run(tmp_path, train=RARELY, **{name: int(count)})
    assert_same(tmp_path / "run", whole)
    jobs = RunFolder.open(tmp_path / "run").plan().jobs
    assert all(len({run % 3 for run in job.runs}) * 6 == len(job.runs) for job in jobs)


def test_members_in_blocks_and_on_several_devices(tmp_path, whole):
    run(tmp_path, train=RARELY, changes={"most_lanes": 1})
    for mine, its in zip(outcome(tmp_path / "run")[:2], outcome(whole)[:2], strict=True):
        pd.testing.assert_frame_equal(mine, its, check_exact=False, rtol=1e-5)


@pytest.mark.parametrize("step", [slow(5), 10, 15, slow(30), slow(39)])
def test_a_population_that_was_killed_ends_at_the_same_bits(tmp_path, whole, monkeypatch, step):
    """Killed after the checkpoint of a step, at and between decisions."""
    changes = {"intervals": Intervals(1, 5, 1)}
    with monkeypatch.context() as patch:
        kill_after(patch, step)
        with pytest.raises(Kill):
            run(tmp_path, changes=changes)
    assert f"resuming from step {step}" in run(tmp_path, changes=changes)
    assert_same(tmp_path / "run", whole)
    for leaf, expected in zip(states(tmp_path / "run"), states(whole), strict=True):
        np.testing.assert_array_equal(leaf, expected)


def states(folder):
    """All leaves of the last checkpoint, hyper-parameters included."""
    opened = RunFolder.open(folder)
    (job,) = opened.plan().jobs
    (part,) = make_parts(experiment())
    shapes = held_shapes(part.problem, part.group.runs, False, True)
    with Checkpoints(opened.checkpoints(job.name), seal_of(opened.manifest(), job.runs)) as saved:
        latest = saved.latest(shapes)
    assert latest is not None
    assert latest.step == 40
    return jax.tree.leaves(latest.states)


def test_a_lost_file_of_decisions_is_told(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, 25)
        with pytest.raises(Kill):
            run(tmp_path)
    lost = tmp_path / "run" / "decisions" / "0-000000-0000000010.parquet"
    size = lost.stat().st_size
    shutil.move(lost, tmp_path / "away")
    with pytest.raises(UserError, match=f"{lost} is missing, and had {size:,} bytes"):
        run(tmp_path)


def test_a_lengthened_population_equals_one_of_that_length(tmp_path, whole):
    """It decides at the step at which it ended before."""
    run(tmp_path, train=RARELY, changes={"steps": 20, "intervals": Intervals(1, 5, 5)})
    run(tmp_path, train=RARELY, lengthen=True)
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize("scheduler", ["population", "early_stop"])
def test_runs_that_begin_with_whole_states_are_decided_on_once_they_are_evaluated(
    tmp_path, scheduler
):
    """They begin at step 20, where a decision would be due, and nothing was measured here yet."""
    before = {"population": None, "steps": 20}
    run(tmp_path, "before", RARELY, before)
    given = InitFrom("before", tmp_path / "before", lambda seeds: range(len(seeds)), states=True)
    changes = {"init_from": given, scheduler: POPULATION}
    if scheduler == "early_stop":
        changes |= {"population": None, scheduler: read_early_stop(False, "score >= -9", None)}
    run(tmp_path, "it", RARELY, changes)
    decisions = pd.read_parquet(tmp_path / "it" / "decisions")
    assert decisions["step"].min() > 20


def test_best_evaluations_stay_with_the_run_that_they_are_of(tmp_path, whole):
    run(tmp_path, train=RARELY, changes={"keep_best": True})
    assert_same(tmp_path / "run", whole)
    metrics = outcome(whole)[0].dropna(subset="score").set_index("step")
    for number in range(18):
        scores = metrics[metrics["run"] == number]["score"]
        theta = load_params(tmp_path / "run", number, which="best")["theta"]
        assert 1.2 - np.sum(np.square(theta, dtype=np.float64)) == pytest.approx(scores.max(), 1e-6)


def test_a_population_that_does_not_fit_is_cut_into_populations_or_refused(tmp_path):
    (part,) = make_parts(experiment())
    jobs = cut_jobs([part], [40], shares=2, seeds=3)
    assert [len(job.runs) for job in jobs] == [12, 6]
    tight = TrainOptions(memory_limit=200)
    with pytest.raises(UserError, match="a population of 6 trains together and does not fit"):
        run(tmp_path, train=tight)


@pytest.mark.parametrize(
    ("changes", "options", "line"),
    [
        ({"search": Search(1)}, {}, "a population of 1 has nobody to take over from"),
        ({"search": None}, {}, "--population pbt: needs --search N"),
        ({"halving": Halving(2, 2)}, {}, "--population pbt --halving: .* choose one"),
        ({}, {"parallel": 5}, "--parallel 5: a population of 6 is trained together; give 6"),
        ({"steps": 10}, {}, "--ready-every 10: a population decides between evaluations"),
    ],
)
def test_what_makes_no_population_is_refused_before_a_folder_is_made(
    tmp_path, changes, options, line
):
    with pytest.raises(UserError, match=line):
        run(tmp_path, changes=changes, **options)
    assert not list(tmp_path.iterdir())
