"""Tests that sweeps which are stopped, killed, split or shared end with the same numbers."""

import contextlib
import io
import json
import os
import signal

import jax
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from research.cli.progress import SweepProgress
from research.cli.terminal import TerminalObserver
from research.engine.one_run import state_shapes
from research.errors import Stopped, UserError
from research.report.read import named_divergences
from research.runs import manifest as manifests
from research.runs.checkpoints import Checkpoints
from research.runs.experiment import make_parts
from research.runs.opening import RunOptions
from research.runs.params import load_params
from research.runs.run_folder import RunFolder
from research.runs.runner import run_experiment
from research.runs.search import Halving
from research.runs.training import TrainOptions
from tests.contract import slow
from tests.runs.test_runner import experiment

pytestmark = pytest.mark.usefixtures("default_hangup")
ALWAYS = TrainOptions(checkpoint_minutes=0.0)


def run(tmp_path, name="run", changes=None, **options):
    """Runs the toy experiment and returns what it printed."""
    file = io.StringIO()
    options = RunOptions(str(tmp_path), name, **{"train": ALWAYS, **options})
    run_experiment(
        experiment(**changes or {}), options, TerminalObserver(Console(file=file, width=200))
    )
    return file.getvalue()


def outcome(folder):
    """All metrics and final params of a run folder, whichever jobs wrote them."""
    metrics = pd.read_parquet(folder / "metrics").sort_values(["run", "step"], ignore_index=True)
    runs = sorted(metrics["run"].unique())
    return metrics, [load_params(folder, run)["w"] for run in runs]


def assert_same(folder, other):
    (metrics, params), (other_metrics, other_params) = outcome(folder), outcome(other)
    pd.testing.assert_frame_equal(metrics, other_metrics, check_exact=True)
    np.testing.assert_array_equal(params, other_params)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a sweep that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, "whole")
    return folder / "whole"


@pytest.fixture(scope="module")
def whole_halving(tmp_path_factory):
    """The folder of a sweep with halving that was never interrupted."""
    folder = tmp_path_factory.mktemp("halving")
    run(folder, "whole", changes=HALVING)
    return folder / "whole"


@pytest.fixture
def at(monkeypatch):
    """A function that calls another once, when the runs of a group reach a step."""

    def arrange(step, happens, group=0):
        update, done = SweepProgress.update, []

        def updated(progress, record):
            update(progress, record)
            reached = record.chunk.end == step and f"start={100.0 * group}" in progress.label
            if reached and not done:
                done.append(1)
                happens()

        monkeypatch.setattr(SweepProgress, "update", updated)

    return arrange


def out_of_memory():
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")


@pytest.mark.parametrize(
    ("signum", "group"),
    [(signal.SIGTERM, 1), (signal.SIGHUP, 0), slow(signal.SIGTERM, 0), slow(signal.SIGHUP, 1)],
)
def test_a_signal_stops_after_a_chunk_and_the_same_command_resumes(
    tmp_path, whole, at, group, signum
):
    never = TrainOptions(checkpoint_minutes=1e9)
    at(2, lambda: os.kill(os.getpid(), signum), group)
    with pytest.raises(Stopped, match=r"stopped by SIG.* at step [24] of 6, and saved"):
        run(tmp_path, train=never)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "stopped"
    text = run(tmp_path, train=never)
    assert "resuming from step" in text
    assert_same(tmp_path / "run", whole)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert len(manifest["sessions"]) == 1
    assert [step for step, _ in manifest["results"][group]["clock"]] == [2, 4, 6]


def test_a_crash_loses_only_work_since_the_last_checkpoint(tmp_path, whole, at):
    def crash():
        raise RuntimeError("crash")

    at(4, crash)
    with pytest.raises(RuntimeError, match="crash"):
        run(tmp_path)
    assert "resuming from step 2 of 6" in run(tmp_path)
    assert_same(tmp_path / "run", whole)


def test_resumed_states_equal_uninterrupted_ones(tmp_path, at):
    keep = ALWAYS._replace(keep_states=True)
    run(tmp_path, "whole", train=keep)
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path, train=keep)
    run(tmp_path, train=keep)
    for part in make_parts(experiment()):
        template = state_shapes(part.problem, part.group.runs)
        name = f"{part.number}-{part.first_run:06}"
        numbers = range(part.first_run, part.first_run + len(part.group.runs))
        found = []
        for folder in (RunFolder.open(tmp_path / name) for name in ("whole", "run")):
            seal = manifests.seal_of(folder.manifest(), numbers)
            found.append(Checkpoints(folder.checkpoints(name), seal).latest(template))
        jax.tree.map(np.testing.assert_array_equal, found[0].states, found[1].states)
        assert found[1].step == 6


def test_running_in_parts_equals_running_all_at_once(tmp_path, whole):
    text = run(tmp_path, parallel=3)
    assert "start=0.0 runs 0 to 1" in text
    assert "start=0.0 runs 2 to 3" in text
    assert_same(tmp_path / "run", whole)


def test_jobs_that_do_not_fit_the_memory_are_split(tmp_path):
    many = {"seeds": tuple(range(16))}
    run(tmp_path, "whole", many)
    (result, _) = json.loads((tmp_path / "whole" / "manifest.json").read_text())["results"]
    limit = result["cost"]["peak_bytes"] - 1
    text = run(tmp_path, changes=many, train=ALWAYS._replace(memory_limit=limit))
    assert "B can be used; 32 runs continue in 2 parts" in text
    assert_same(tmp_path / "run", tmp_path / "whole")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["splits"][0]["runs"] == 32
    assert "they need" in manifest["splits"][0]["why"]


@pytest.mark.parametrize("step", [slow(2), 4])
def test_running_out_of_device_memory_splits_the_job_and_loses_nothing(tmp_path, whole, at, step):
    at(step, out_of_memory)
    text = run(tmp_path)
    assert "ran out of memory; 4 runs continue in 2 parts" in text
    assert_same(tmp_path / "run", whole)


def test_a_kill_after_a_job_was_split_changes_nothing(tmp_path, whole, at, monkeypatch):
    """At the kill, the first part has trained all its steps but has not been recorded as ended."""
    at(4, out_of_memory)
    save = RunFolder.save_result
    monkeypatch.setattr(RunFolder, "save_result", lambda *_: os.kill(0, 0) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path)
    monkeypatch.setattr(RunFolder, "save_result", save)
    run(tmp_path)
    assert_same(tmp_path / "run", whole)


def test_a_single_run_that_does_not_fit_gives_a_one_line_error_and_leaves_no_folder(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("research.runs.training.train", lambda *_, **__: out_of_memory())
        with pytest.raises(UserError, match="run 0 alone does not fit the memory"):
            run(tmp_path)
    assert not (tmp_path / "run").exists()
    run(tmp_path, changes={"seeds": (7,)})  # another experiment may have its name


def test_a_folder_with_anything_trained_stays_when_a_later_job_does_not_fit(tmp_path, at, whole):
    at(2, out_of_memory, group=1)  # of which halves do not fit either
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("research.runs.job_runner.JobRunner.cut", refuse)
        with pytest.raises(UserError, match="too large"):
            run(tmp_path)
    run(tmp_path)
    assert_same(tmp_path / "run", whole)


def refuse(*_):
    raise UserError("too large")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seeds": (4, 6)}, r"seeds is \[4, 5\] there and \[4, 6\] here"),
        ({"steps": 8}, "steps is 6 there and 8 here"),
        ({"hparams_axes": {"rate": [1.0, 3.0]}}, "rate is"),
        ({"name": "other"}, "experiment is"),
    ],
)
def test_a_folder_of_another_experiment_is_refused_and_untouched(tmp_path, at, changes, says):
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=f"of another experiment: {says}"):
        run(tmp_path, changes=changes)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


def test_a_finished_sweep_is_not_run_again(whole):
    with pytest.raises(UserError, match="is finished and is not overwritten"):
        run(whole.parent, "whole")


def test_a_second_process_in_a_folder_is_refused(tmp_path, at):
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path)
    with RunFolder(tmp_path / "run").lock("folder"):
        with pytest.raises(UserError, match=f"is being trained by process {os.getpid()} on"):
            run(tmp_path)
        with pytest.raises(UserError, match="is being trained by"):
            run(tmp_path, worker=True)


def test_workers_divide_the_jobs(tmp_path, whole):
    run(tmp_path, shares=4, prepare=True)
    folder = RunFolder(tmp_path / "run")
    jobs = folder.plan().jobs
    assert [job.runs for job in jobs] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    with folder.lock(jobs[1].name):  # another worker has it
        run(tmp_path, shares=4, worker=True)
        assert folder.ended_jobs() == {job.name for job in jobs} - {jobs[1].name}
        assert folder.manifest()["status"] == "running"
    run(tmp_path, shares=4, worker=True)  # and died
    assert folder.manifest()["status"] == "finished"
    assert_same(tmp_path / "run", whole)


def test_a_job_that_has_ended_is_not_taken_again_where_listings_are_stale(
    tmp_path, whole, monkeypatch
):
    """On a network file system, files that another machine wrote are listed some seconds later,
    unless this machine changes the folder."""
    run(tmp_path, shares=2, prepare=True)
    first, *_ = RunFolder(tmp_path / "run").plan().jobs
    ended_jobs = RunFolder.ended_jobs
    run(tmp_path, shares=2, worker=True)
    RunFolder(tmp_path / "run").record(status="running")

    def cut_again(folder, job, files):
        raise AssertionError(f"{job} is trained again")

    seen = []  # what this machine had listed anew

    def stale(folder, *, fresh=False):
        listed = ended_jobs(folder, fresh=fresh)
        seen.extend([first.name] if fresh else [])
        return listed - ({first.name} - set(seen))

    monkeypatch.setattr(RunFolder, "ended_jobs", stale)
    monkeypatch.setattr(RunFolder, "cut_metrics", cut_again)
    run(tmp_path, shares=2, worker=True)
    assert seen
    assert RunFolder(tmp_path / "run").manifest()["status"] == "finished"
    assert_same(tmp_path / "run", whole)


def test_files_that_macos_adds_do_not_stop_a_sweep(tmp_path, at, whole):
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM), group=1)
    with pytest.raises(Stopped):
        run(tmp_path)
    for path in [path for path in (tmp_path / "run").rglob("*") if path.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07 Mac OS X")
    run(tmp_path)
    for path in (tmp_path / "run").rglob("._*"):
        path.unlink()
    assert_same(tmp_path / "run", whole)


def test_two_distributed_processes_take_alternate_jobs_and_leave_none(tmp_path, whole):
    run(tmp_path, shares=4, prepare=True)
    folder = RunFolder(tmp_path / "run")
    with folder.lock("0-000000"):  # by the other process, which then dies
        run(tmp_path, shares=4, process=(1, 2))
        took = sorted((tmp_path / "run" / "results").iterdir(), key=lambda p: p.stat().st_mtime_ns)
        assert [path.stem for path in took] == ["0-000002", "1-000006", "1-000004"]
    run(tmp_path, shares=4, process=(1, 2))
    assert_same(tmp_path / "run", whole)
    run(tmp_path, shares=4, process=(0, 2))  # comes when all is done
    assert_same(tmp_path / "run", whole)


def test_a_damaged_checkpoint_stops_the_sweep_and_is_kept(tmp_path, at):
    at(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path)
    newest = max((tmp_path / "run" / "checkpoints" / "0-000000").iterdir())
    (newest / "facts.json").write_text("{}")
    for _ in range(2):
        with pytest.raises(UserError, match=r"damaged.*move it away to resume from the"):
            run(tmp_path)
        assert newest.is_dir()


def test_a_full_disk_costs_checkpoints_but_not_the_sweep(tmp_path, whole, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("research.runs.checkpoints._write_state", full)
    text = run(tmp_path)
    assert (
        "the last checkpoint could not be written: No space left on device; training continues"
        in text
    )
    assert_same(tmp_path / "run", whole)


def test_a_disk_that_stays_full_gives_a_one_line_error_and_loses_nothing(
    tmp_path, whole, monkeypatch
):
    append = RunFolder.append_metrics

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "append_metrics", full)
    with pytest.raises(UserError, match=r"No space left on device.*--resume"):
        run(tmp_path)
    monkeypatch.setattr(RunFolder, "append_metrics", append)
    run(tmp_path)
    assert_same(tmp_path / "run", whole)


HALVING = {
    "hparams_axes": {"rate": [1.0, 5.0, 2.0, 4.0]},
    "config_axes": {"start": [0.0, 1.0]},
    "steps": 16,
    "halving": Halving(2, 3),
}


def test_halving_continues_the_best_settings(whole_halving):
    metrics, params = outcome(whole_halving)
    # Of 8 settings, 4 with the lowest sums at step 4; of those, 2 at step 8; each of 2 seeds.
    assert metrics.groupby("run")["step"].max().value_counts().to_dict() == {4: 8, 8: 4, 16: 4}
    longest = metrics[metrics["step"] == 16]
    assert sorted(longest["score"]) == [16, 16, 17, 17]
    assert [float(params[run]) for run in sorted(set(longest["run"]))] == [16, 16, 17, 17]
    manifest = json.loads((whole_halving / "manifest.json").read_text())
    assert [(rung["settings"], rung["kept"]) for rung in manifest["rungs"]] == [(8, 4), (4, 2)]
    assert not any((whole_halving / "checkpoints").iterdir())


@pytest.mark.parametrize("step", [slow(2), 6, slow(10)])
def test_a_stopped_halving_resumes_where_it_was(tmp_path, at, step, whole_halving):
    at(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path, changes=HALVING)
    run(tmp_path, changes=HALVING)
    assert_same(tmp_path / "run", whole_halving)


DIVERGING = {
    # The smallest sums are the best, and their runs diverge, in the first rung or in the second.
    "hparams_axes": {"rate": [1.0, 2.0], "fail_at": [-1, 1, 6]},
    "config_axes": {"start": [0.0]},
    "steps": 16,
    "halving": Halving(2, 3),
}


def status(folder):
    """The last row of each run: its step, and the step at which it diverged, if it did."""
    last = outcome(folder)[0].groupby("run").last()
    return {int(run): (int(row.step), row.diverged) for run, row in last.iterrows()}


def test_a_setting_that_diverged_does_not_win_a_halving(tmp_path):
    run(tmp_path, changes=DIVERGING)
    found = status(tmp_path / "run")
    assert [run for run, (step, _) in found.items() if step == 16] == [0, 1]
    assert {run: int(step) for run, (_, step) in found.items() if step == step} == {
        2: 1, 3: 1, 8: 1, 9: 1, 4: 6, 5: 6
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole_diverging(tmp_path_factory):
    """The folder of an uninterrupted sweep in which most runs diverge."""
    folder = tmp_path_factory.mktemp("diverging")
    run(folder, "whole", changes=DIVERGING | {"halving": None, "steps": 12})
    return folder / "whole"


@pytest.mark.parametrize(("step", "parallel"), [slow(2, 4), (8, 4), (6, None), slow(8, None)])
def test_a_run_keeps_its_status_through_checkpoints_and_jobs(
    tmp_path, at, step, parallel, whole_diverging
):
    """The status survives a checkpoint, the next rung, and splitting a job. Runs diverge at steps 1
    and 6."""
    changes = DIVERGING | {"halving": None, "steps": 12}
    at(step, out_of_memory if parallel is None else lambda: os.kill(os.getpid(), signal.SIGTERM))
    given = {"changes": changes, "parallel": parallel}
    with contextlib.suppress(Stopped):
        run(tmp_path, **given)
    if parallel:
        run(tmp_path, **given)
    assert_same(tmp_path / "run", whole_diverging)
    named = [
        named_divergences(json.loads((folder / "manifest.json").read_text()))
        for folder in (whole_diverging, tmp_path / "run")
    ]
    assert named[0] == named[1]
    assert [one["step"] for one in named[0]] == [1, 1, 6, 6] * 2


@pytest.mark.parametrize("keep", [True, slow(False)])
def test_states_of_stopped_settings_are_kept_on_request(tmp_path, keep):
    train = ALWAYS._replace(keep_states=keep)
    run(tmp_path, changes=HALVING, train=train)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    jobs = sorted(job.name for job in RunFolder(tmp_path / "run").plan().jobs)
    assert len(jobs) == 6
    assert kept == (jobs if keep else [])
