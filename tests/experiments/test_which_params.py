"""Tests that tools take the params of the best evaluation where they are asked to."""

import importlib
import shutil

import jax
import numpy as np
import pytest

from research.cli.seedbed import TOOLS
from research.report import load_run
from research.runs.params import load_all_params
from research.runs.run_folder import RunFolder

NAMES = {tool.name: tool for some in TOOLS.values() for tool in some}
OF = {
    "evaluate": "mlp", "attack": "mlp", "explain": "mlp", "export": "mlp",
    "watch": "dqn", "sample": "lm", "perplexity": "lm",
}  # fmt: skip


@pytest.mark.parametrize("name", OF)
def test_every_tool_of_trained_params_takes_the_best(
    name, small_sweep, tmp_path, monkeypatch, capsys
):
    source = small_sweep(OF[name]).folder
    folder = shutil.copytree(source, tmp_path / "it")
    if OF[name] == "lm":
        shutil.copy(source.parents[1] / "text.txt", tmp_path)
    monkeypatch.chdir(tmp_path)
    tool = importlib.import_module(NAMES[name].module)
    with pytest.raises(SystemExit) as left:
        tool.run([str(folder), "--params", "best"], prog=f"scripts/{name}")
    assert left.value.code == 2
    assert "keeps only the last params of its runs: --keep best" in capsys.readouterr().err


def test_what_is_restored_has_the_params_of_the_best_evaluation(copy):
    folder = copy("mlp")
    for job in RunFolder(folder).plan().jobs:
        last = load_all_params(folder, job.runs)
        halves = jax.tree.map(lambda leaf: leaf / 2, last)
        RunFolder(folder).save_best_params(job, halves, [1] * len(job.runs))
    run = load_run(folder)
    best, last = (run.trained(0, params=which).params for which in ("best", "last"))
    jax.tree.map(lambda one, other: np.testing.assert_array_equal(2 * one, other), best, last)
