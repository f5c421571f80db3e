"""Tests of PQN: the contract, hand-computed returns, and learning where the answer is known."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from research.dqn import PQN_PRESETS, PQNConfig, PQNHParams, make_pqn_problem
from research.dqn.environments import make_environment
from research.dqn.networks import QNetwork
from research.dqn.pqn import Samples, as_samples, fit_loss, minibatches, pqn_values
from research.dqn.rollout import (
    CONTINUES,
    PADDING,
    TERMINATED,
    TRUNCATED,
    Explored,
    Finished,
    Row,
)
from research.dqn.values import mean
from research.errors import UserError
from research.task import bind
from tests import contract
from tests.contract import slow
from tests.dqn.test_task import GAMMA, KNOWN, STEPS, found_values, step_once

CONFIG = PQNConfig(
    env_steps=8_000, num_envs=4, train_every=32, epochs=2, minibatches=4, hidden=(8,),
    eval_episodes=2,
)  # fmt: skip
HPARAMS = PQNHParams(learning_rate=5e-4, epsilon_fraction=0.01)


def case(**changes):
    config = dataclasses.replace(CONFIG, **changes)
    return contract.Case(make_pqn_problem(config), HPARAMS, {"learning_rate": [1e-4, 1e-3]})


@pytest.mark.slow
def test_a_run_in_a_sweep_equals_the_run_alone():
    contract.check_a_lane_is_a_lone_run(case(), STEPS, atol=1e-4)


@pytest.mark.slow
def test_the_place_of_a_run_changes_no_bit():
    contract.check_place_changes_no_bit(case(), STEPS)


def test_resuming_from_a_file_changes_no_bit(tmp_path):
    contract.check_resumes_bit_for_bit(case(), tmp_path)


@pytest.mark.slow
def test_chunk_length_changes_no_bit():
    contract.check_chunk_length_changes_no_bit(case(), STEPS, (STEPS,))


@pytest.mark.slow
def test_sharding_over_devices_changes_nothing_beyond_rounding():
    contract.check_sharded_is_unsharded(case(), STEPS, atol=1e-4)


def test_seeds_give_different_runs_and_the_same_seed_repeats():
    contract.check_seeds_differ_and_repeat(case(), STEPS)


def test_each_program_is_traced_once():
    contract.check_traced_once(case())


def test_the_program_for_gpus_trains_as_the_one_for_cpus(monkeypatch):
    contract.check_program_of_accelerators(case(), monkeypatch)


@pytest.mark.parametrize("env", ["CartPole-v1", slow("Breakout-MinAtar")])
def test_no_key_is_used_twice(env):
    contract.check_keys_are_used_once(case(env=env))


SWEPT = {
    "learning_rate": [1e-4, 1e-3],
    "learning_rate_end": [0.0, 1.0],
    "max_grad_norm": [0.0, 1e-9],
    "gamma": [0.5, 0.99],
    "trace_lambda": [0.0, 0.9],
    "epsilon_start": [0.1, 1.0],
    "epsilon_end": [0.0, 1.0],
    "epsilon_fraction": [0.001, 1.0],
    "epsilon_steps": [0.0, 1e5],
    "exploration_length": [1.0, 5.0],
}


def test_every_hyperparameter_has_a_case():
    fields = {field.name for field in dataclasses.fields(PQNHParams)}
    assert set(SWEPT) == fields - {"eval_epsilon"}


def test_every_hyperparameter_changes_the_outcome():
    contract.check_every_hparam_changes_the_outcome(case(), SWEPT, 5)


def test_lambda_returns_do_not_cross_episode_ends():
    """One environment, five rows: a step, a truncation, padding, a terminal step, a last step."""
    gamma, lambda_ = 0.5, 0.25
    ends = np.array([CONTINUES, TRUNCATED, PADDING, TERMINATED, CONTINUES], np.uint8)
    rewards = np.array([1, 2, 0, 4, 8], np.float32)
    best = np.array([10, 20, 30, 40, 50], np.float32)  # the value of each row's observation
    q = np.stack([best, best - 1], axis=-1)[:, None]
    rows = Row(
        np.zeros((5, 1, 2), np.float32), np.zeros((5, 1), np.int32), rewards[:, None], ends[:, None]
    )
    explored = Explored(rows, q, Finished(0, 0, 0))
    last = np.array([[59.0, 60.0]], np.float32)
    hparams = PQNHParams(gamma=gamma, trace_lambda=lambda_)
    samples = jax.device_get(jax.jit(as_samples)(explored, last, hparams))
    second = 2 + gamma * 30  # bootstraps from the last observation before the cut
    first = 1 + gamma * (lambda_ * second + (1 - lambda_) * 20)
    fourth = 4.0
    fifth = 8 + gamma * 60
    returns = samples.returns[:, 0]
    np.testing.assert_allclose(returns[[0, 1, 3, 4]], [first, second, fourth, fifth], rtol=1e-6)
    assert samples.valid[:, 0].tolist() == [1, 1, 0, 1, 1]


def test_an_epoch_sees_every_step_once_in_a_new_order():
    orders = jax.jit(lambda seed: minibatches(CONFIG, jax.random.key(seed)))
    slots = np.asarray(orders(0))
    assert slots.shape == (8, 8)
    epochs = slots.reshape(2, 32)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(32))
    assert (epochs[0] != epochs[1]).any()
    assert (np.asarray(orders(1)) != slots).any()


def test_the_loss_and_its_gradient_equal_hand_computed_values():
    """Padding is masked out, so the loss is half of the mean of 3**2 and 1."""
    network = QNetwork(2, bind(mean.head, None), "mlp", ())
    batch = Samples(
        np.array([[1.0], [2.0], [5.0]], np.float32), np.array([0, 1, 0]),
        np.array([4.0, 3.0, 99.0], np.float32), np.array([1.0, 1.0, 0.0], np.float32),
    )  # fmt: skip
    kernel, bias = np.array([[1.0, 2.0]], np.float32), np.zeros(2, np.float32)
    params = {"action": {"kernel": kernel, "bias": bias}}
    loss = jax.jit(lambda params: fit_loss(params, network, batch))
    assert float(loss(params)) == pytest.approx((9 + 1) / 4)
    check_grads(loss, (params,), order=1, modes=["rev"], atol=1e-2)


def test_a_round_makes_epochs_times_minibatches_updates():
    opt_state = contract.run(case(), STEPS).states.opt_state
    counts = [leaf for leaf in jax.tree.leaves(opt_state) if leaf.ndim == 1]  # of each run
    assert counts
    assert {int(count) for count in np.ravel(counts)} == {STEPS * 2 * 4}


def test_it_finds_the_values_of_the_diagnostic_environments():
    name = "Mixed-test"  # it contains the others
    config = PQNConfig(
        env=name, env_steps=16_384, num_envs=16, train_every=256, epochs=4, minibatches=4,
        hidden=(32,), eval_episodes=2,
    )  # fmt: skip
    hparams = PQNHParams(learning_rate=1e-2, gamma=GAMMA, epsilon_end=1.0)
    values_by = partial(pqn_values, config, make_environment(name))
    for found in found_values(name, make_pqn_problem(config), hparams, values_by):
        np.testing.assert_allclose(found, list(KNOWN[name].values()), atol=0.1)


@pytest.mark.parametrize("env", [slow("FrozenLake-misc"), slow("Breakout-MinAtar")])
def test_it_learns_from_vectors_and_images(env):
    before, after, metrics = step_once(case(env=env).problem, HPARAMS)
    assert np.isfinite(metrics["loss"])
    change = np.abs(after["Dense_0"]["kernel"] - before["Dense_0"]["kernel"])
    assert 0 < change.max() < 0.1


@pytest.mark.parametrize("preset", sorted(PQN_PRESETS))
def test_every_preset_is_valid(preset):
    config = PQN_PRESETS[preset].config
    task = make_pqn_problem(config).task
    assert task.steps * task.work_per_step == config.env_steps


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_every": 30}, "--train-every 30: must be a multiple of --num-envs 4, such as"),
        ({"minibatches": 5}, "--train-every 32: must be a multiple of --minibatches 5, such as"),
        (
            {"env_steps": 100},
            "--env-steps 100: must be a multiple of --train-every 32, such as 96, or give "
            "--train-every 20",
        ),
        ({"torso": "conv"}, "--torso conv: CartPole-v1 shows 4"),
    ],
)
def test_an_inconsistent_config_gives_a_one_line_error(changes, says):
    with pytest.raises(UserError, match=says):
        make_pqn_problem(dataclasses.replace(CONFIG, **changes))


def test_an_unknown_choice_gives_a_one_line_error():
    with pytest.raises(UserError, match="--protocol atari: there are gymnax, original"):
        dataclasses.replace(CONFIG, protocol="atari")
