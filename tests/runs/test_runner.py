"""Tests of running a whole experiment on the toy task: folder, manifest and groups."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from research.cli.progress import SweepProgress
from research.cli.terminal import TerminalObserver
from research.engine.cadence import Intervals
from research.errors import UserError
from research.runs.experiment import Experiment
from research.runs.opening import RunOptions
from research.runs.params import load_all_params, load_params
from research.runs.runner import run_experiment
from tests import toy


@dataclasses.dataclass(frozen=True)
class Config:
    start: float = 0.0
    widths: tuple[int, ...] = (4, 2)


def experiment(**changes):
    default = Experiment(
        name="toy",
        make_problem=lambda config: toy.problem(config.start),
        config=Config(),
        hparams=toy.ToyHParams(),
        config_axes={"start": [0.0, 100.0]},
        hparams_axes={"rate": [1.0, 2.0]},
        seeds=(4, 5),
        steps=6,
        intervals=Intervals(log_every=2, eval_every=6, chunk_every=2),
    )
    return default._replace(**changes)


def run(tmp_path, **changes):
    file = io.StringIO()
    options = RunOptions(str(tmp_path), "run")
    path = run_experiment(experiment(**changes), options, TerminalObserver(Console(file=file)))
    return path, json.loads((path / "manifest.json").read_text()), file.getvalue()


def test_all_groups_share_one_table_of_metrics(tmp_path):
    path, _, _ = run(tmp_path)
    metrics = pd.read_parquet(path / "metrics")
    last = metrics[metrics["step"] == 6].sort_values("run")
    assert list(last["run"]) == list(range(8))
    assert list(last["seed"]) == [4, 5] * 4
    assert list(last["start"]) == [0.0] * 4 + [100.0] * 4
    assert list(last["score"]) == [6, 6, 12, 12, 106, 106, 112, 112]
    assert len(metrics) == 3 * 8


def test_the_manifest_says_what_was_run_and_how_it_went(tmp_path):
    _, manifest, _ = run(tmp_path)
    assert manifest["status"] == "finished"
    assert manifest["config_axes"] == {"start": [0.0, 100.0]}
    assert manifest["hparams_axes"] == {"rate": [1.0, 2.0]}
    assert manifest["seeds"] == [4, 5]
    assert manifest["key_metric"] == "score"
    assert manifest["data"] == [{"start": 0.0}, {"start": 100.0}]
    assert [group["first_run"] for group in manifest["groups"]] == [0, 4]
    result = manifest["results"][1]
    assert result["cost"]["flops_per_step"] > 0
    assert result["throughput"]["work_per_second"] == pytest.approx(
        3 * result["throughput"]["steps_per_second"]
    )
    assert [step for step, _ in result["clock"]] == [2, 4, 6]


def test_final_params_of_all_runs_are_kept(tmp_path):
    path, _, _ = run(tmp_path)
    final = [load_params(path, run)["w"] for run in range(8)]
    np.testing.assert_array_equal(final, np.float32([6, 6, 12, 12, 106, 106, 112, 112]))


def test_params_of_several_runs_are_read_together_in_the_order_asked_for(tmp_path):
    options = RunOptions(str(tmp_path), "run", parallel=3)  # several files
    path = run_experiment(experiment(), options, TerminalObserver(Console(file=io.StringIO())))
    assert load_all_params(path, [6, 0, 2])["w"].tolist() == [112, 6, 12]
    with pytest.raises(UserError, match="has no params of run 8"):
        load_all_params(path, [0, 8])


def test_notes_are_printed_once_and_first(tmp_path):
    def make_problem(config):
        more = "; or else" if config.start else ""
        notes = ["beware", f"start {config.start:g}", f"it is so{more}", f"it{more}"]
        return toy.problem(config.start)._replace(notes=notes)

    _, _, text = run(tmp_path, make_problem=make_problem)
    assert text.splitlines()[:5] == [
        "toy: beware", "toy: start 0", "toy: start 100", "toy: it is so; or else",
        "toy: it; or else",
    ]  # fmt: skip
    assert text.count("beware") == 1


def test_diverged_runs_are_named_with_seed_step_and_hyperparameters(tmp_path):
    _, manifest, text = run(
        tmp_path, hparams_axes={"fail_at": [-1, 3]}, config_axes={"start": [5.0]}
    )
    named = {"seed": 4, "step": 3, "start": 5.0, "rate": 1.0, "fail_at": 3}
    assert manifest["results"][0]["diverged"][0] == {"run": 2, **named}
    assert "2 of 4 runs became non-finite" in text
    assert "seed 4  step 3  start 5  rate 1  fail_at 3" in text


def test_cost_and_throughput_are_printed(tmp_path):
    _, _, text = run(tmp_path)
    assert "8 runs = 4 settings x 2 seeds, 6 steps each, on 8 x cpu" in text
    assert "start=100.0: compiled in" in text
    assert "FLOP a step and run" in text
    assert "sums/s" in text


def test_an_existing_folder_is_refused_before_anything_is_compiled(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("research.runs.training.compile_program", None)
    with pytest.raises(UserError, match="is there already"):
        run(tmp_path)


def test_a_stopped_sweep_says_so_and_keeps_its_results(tmp_path, monkeypatch):
    update = SweepProgress.update

    def stop(progress, record):
        update(progress, record)
        if record.chunk.end == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(SweepProgress, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "stopped"
    assert len(pd.read_parquet(tmp_path / "run" / "metrics")) == 2 * 4


@pytest.mark.parametrize("fail", [False, True])
def test_the_meanwhile_context_closes_after_training(tmp_path, monkeypatch, fail):
    seen = []

    @contextlib.contextmanager
    def meanwhile(path):
        seen.append(json.loads((path / "manifest.json").read_text())["status"])
        try:
            yield
        finally:
            seen.append(len(list((path / "metrics").iterdir())))

    if fail:
        monkeypatch.setattr(SweepProgress, "update", _fail)
    options = RunOptions(str(tmp_path), "run", meanwhile=meanwhile)
    with pytest.raises(ZeroDivisionError) if fail else contextlib.nullcontext():
        run_experiment(experiment(), options, TerminalObserver(Console(file=io.StringIO())))
    assert seen == ["running", 1 if fail else 2]


def _fail(progress, record):
    raise ZeroDivisionError


def test_groups_with_different_key_metrics_are_refused(tmp_path):
    def make_problem(config):
        problem = toy.problem(config.start)
        key_metric = "noise" if config.start else "score"
        return problem._replace(task=problem.task._replace(key_metric=key_metric))

    with pytest.raises(UserError, match="judged by noise and score"):
        run(tmp_path, make_problem=make_problem)
    assert not list(tmp_path.iterdir())
