"""Tests that a sweep of each workload begins with the params of another one."""

import jax
import numpy as np
import pytest

from research.runs.params import load_params
from tests.contract import slow
from tests.sweeps import TEXT

STILL = {  # what trains for a moment without learning anything
    "mlp": "mlp.py --data wine --hidden 8 --learning-rate 0 --seeds 3 --steps 4",
    "dqn": "dqn.py --n-step 1 --hidden 8 --num-envs 4 --eval-episodes 2 --env-steps 80 "
    "--log-every 40 --train-every 8 --seeds 2 --learning-starts 40 --buffer-size 160 "
    "--batch-size 8 --target-update-every 8 --learning-rate 0",
    "lm": "lstm_lm.py --corpus text.txt --hidden 8 --embedding-size 6 --batch-size 4 --window 8 "
    "--steps 4 --seeds 2 --learning-rate 0 --averaging ema --tied True",
}


@pytest.mark.parametrize("workload", ["mlp", slow("dqn"), slow("lm")])
def test_a_sweep_that_does_not_learn_ends_with_the_params_it_was_given(
    workload, small_sweep, answer, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    source = small_sweep(workload).folder
    number = max(int(path.stem.rpartition("-")[2]) for path in (source / "params").iterdir())
    script, _, words = STILL[workload].partition(" ")
    status, out, err = answer(script, f"{words} --init-from {source}:{number} --name new")
    assert (status, err) == (0, ""), out
    given = load_params(source, number)
    for run in (0, 1):
        params = load_params(tmp_path / "runs" / "new", run)
        jax.tree.map(np.testing.assert_array_equal, params, given)


def test_all_copies_of_the_params_change():
    """The target network of a DQN and the trained params of a language model."""
    from research.dqn import task as dqn
    from research.lm import task as lm

    old, new = {"w": np.zeros(2)}, {"w": np.ones(2)}
    state = dqn.State(old, old, None, None, None, None)
    assert dqn.with_params(state, new).target_params["w"][0] == 1
    state = lm.State(old, old, None, (), None, None)
    assert lm.with_params(state, new).trained["w"][0] == 1
    assert lm.with_params(state._replace(trained=None), new).trained is None
