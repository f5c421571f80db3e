"""Tests that a sweep of each workload, resumed for longer, equals one that was made as long."""

import numpy as np
import pandas as pd
import pytest

from research.runs.params import load_params
from research.runs.tensors import named_leaves
from tests.contract import slow
from tests.sweeps import SMALL_DQN, TEXT

FIXED = "--learning-rate-end 1 --epsilon-steps 100 --eval-every 40 "
SWEEPS = {  # script, length before and after, other flags
    "dqn": (
        "dqn.py",
        ("--env-steps 200", "--env-steps 400"),
        f"{FIXED} --replay prioritized --importance-exponent 1 "
        + SMALL_DQN.replace("--env-steps 200", ""),
    ),
    "pqn": (
        "pqn.py",
        ("--env-steps 80", "--env-steps 160"),
        f"{FIXED} --num-envs 4 --train-every 40 --minibatches 2 --epochs 1 --hidden 8 "
        "--eval-episodes 1 --seeds 1 --log-every 40",
    ),
    "mlp": (
        "mlp.py",
        ("--steps 40", "--steps 80"),
        "--data wine --hidden 8 --seeds 2 --log-every 10 --eval-every 10",
    ),
    "lm": (
        "lstm_lm.py",
        ("--steps 40", "--steps 80"),
        "--corpus text.txt --hidden 8 --embedding-size 6 --batch-size 4 --window 8 --seeds 1 "
        "--schedule plateau --averaging asgd --log-every 10 --eval-every 10",
    ),
}


@pytest.mark.parametrize("sweep", ["dqn", slow("pqn"), slow("mlp"), slow("lm")])
def test_a_lengthened_sweep_equals_one_of_that_length(sweep, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    script, (shorter, longer), words = SWEEPS[sweep]
    for command in (
        f"{words} {shorter} --name it --keep-states",
        f"{longer} --resume runs/it",
        f"{words} {longer} --name long",
    ):
        status, out, err = answer(script, command)
        assert (status, err) == (0, ""), out
    (metrics, params), (expected_metrics, expected_params) = map(outcome, ("it", "long"))
    pd.testing.assert_frame_equal(metrics, expected_metrics, check_exact=True)
    for leaf, expected in zip(params, expected_params, strict=True):
        np.testing.assert_array_equal(leaf, expected)


def outcome(name):
    """The rows of the cadence that both sweeps have, and the last params of run 0."""
    metrics = pd.read_parquet(f"runs/{name}/metrics").sort_values(["run", "step"])
    every = metrics["step"].diff().median()
    metrics = metrics[metrics["step"] % every == 0].reset_index(drop=True)
    return metrics, named_leaves(load_params(f"runs/{name}", 0)).values()


def test_a_schedule_that_ends_with_the_run_is_told(answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert answer("dqn.py", f"{SMALL_DQN} --name it --keep-states --prepare")[0] == 0
    status, _, err = answer("dqn.py", "--resume runs/it --env-steps 400")
    assert status == 2
    assert err.startswith("error: runs/it: its runs cannot be lengthened: --learning-rate-end 0.0")
    assert err.count("\n") == 1
