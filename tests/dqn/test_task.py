"""The DQN under the contract, and that it learns what it should where the answer is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.dqn import Config, HParams, make_problem
from research.dqn.acting import HELD
from research.dqn.env_params import add_env_params
from research.dqn.environments import make_environment
from research.dqn.exploring import epsilon_at
from research.dqn.learner import action_values, make_network
from research.dqn.prioritized import build
from research.dqn.task import importance_exponent_at
from research.engine import Cadence, sweep
from tests import contract
from tests.contract import slow
from tests.dqn import worlds

CONFIG = Config(
    env="CartPole-v1", env_steps=4000, num_envs=4, train_every=8, learning_starts=40,
    buffer_size=160, batch_size=8, target_update_every=16, hidden=(8,), eval_episodes=2,
    n_step=1,
)  # fmt: skip
VARIANTS = {
    "plain": {},
    "rainbow": {"double": True, "dueling": True, "n_step": 3, "replay": "prioritized",
                "values": "categorical", "atoms": 7},
    "quantile": {"values": "quantile", "atoms": 5, "munchausen": True},
    "image": {"env": "Breakout-MinAtar", "hidden": (8,), "protocol": "original"},
}  # fmt: skip
HPARAMS = HParams(learning_rate=2.5e-4, learning_rate_end=1.0, epsilon_fraction=0.05)


def case(variant="plain", **changes):
    config = dataclasses.replace(CONFIG, **VARIANTS[variant], **changes)
    return contract.Case(make_problem(config), HPARAMS, {"learning_rate": [1e-4, 1e-3]})


STEPS = 15


@pytest.mark.parametrize("variant", ["plain", slow("rainbow")])
def test_a_lane_is_a_lone_run(variant):
    contract.check_a_lane_is_a_lone_run(case(variant), STEPS, atol=1e-4)


@pytest.mark.parametrize("variant", ["plain", "rainbow"])
def test_place_changes_no_bit(variant):
    contract.check_place_changes_no_bit(case(variant), STEPS)


@pytest.mark.parametrize("variant", ["plain", "rainbow", slow("quantile"), slow("image")])
def test_all_steps_are_half_a_file_and_half(tmp_path, variant):
    contract.check_resumes_bit_for_bit(case(variant), tmp_path)


@pytest.mark.parametrize("variant", ["plain", "rainbow"])
def test_chunk_length_changes_no_bit(variant):
    contract.check_chunk_length_changes_no_bit(case(variant), STEPS, (STEPS,))


@pytest.mark.slow
def test_no_chunk_length_changes_a_bit():
    contract.check_chunk_length_changes_no_bit(case(), STEPS, (1, 7))


@pytest.mark.parametrize("variant", ["plain"])
def test_sharded_is_unsharded(variant):
    contract.check_sharded_is_unsharded(case(variant), STEPS, atol=1e-4)


@pytest.mark.parametrize("variant", ["plain"])
def test_seeds_differ_and_repeat(variant):
    contract.check_seeds_differ_and_repeat(case(variant), STEPS)


def test_seeds_differ_in_params_in_actions_and_in_the_environment():
    """In a well-known peer all seeds share their initial weights."""
    start = jax.vmap(make_problem(CONFIG).task.init, in_axes=(None, None, 0))
    keys = jax.vmap(jax.random.key)(jnp.arange(3, dtype=jnp.uint32))
    states = jax.device_get(jax.jit(start)(make_problem(CONFIG).shared, HPARAMS, keys))
    kernel = states.params["Dense_0"]["kernel"]
    replay = jax.tree.map(lambda leaf: leaf[:, : CONFIG.learning_starts], states.replay)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (kernel[first] != kernel[second]).mean() > 0.99
        assert (replay.actions[first] != replay.actions[second]).mean() > 0.1
        assert (replay.observations[first] != replay.observations[second]).mean() > 0.3


def test_traced_once():
    contract.check_traced_once(case())


@pytest.mark.parametrize("variant", VARIANTS)
def test_keys_are_used_once(variant):
    contract.check_keys_are_used_once(case(variant))


# By what they need of the config: two values of each hyper-parameter that reads them.
SWEPT = {
    "plain": {
        "learning_rate": [1e-4, 1e-3],
        "learning_rate_end": [0.0, 1.0],
        "adam_eps": [1e-8, 1e-2],
        "max_grad_norm": [0.0, 1e-9],
        "gamma": [0.5, 0.99],
        "epsilon_start": [0.1, 1.0],
        "epsilon_end": [0.0, 1.0],
        "epsilon_fraction": [0.01, 1.0],
        "exploration_length": [1.0, 5.0],
        "tau": [0.01, 1.0],
    },
    "rainbow": {
        "priority_exponent": [0.0, 1.0],
        "importance_exponent": [0.0, 1.0],
        "value_min": [-10.0, 0.0],
        "value_max": [5.0, 50.0],
    },
    "quantile": {"munchausen_scale": [0.0, 0.9], "munchausen_temperature": [0.03, 1.0]},
}


def test_every_hyperparameter_is_tried():
    fields = {field.name for field in dataclasses.fields(HParams)}
    assert set().union(*SWEPT.values()) == fields - {"eval_epsilon"}


@pytest.mark.parametrize("variant", SWEPT)
def test_every_hyperparameter_changes_the_outcome(variant):
    contract.check_every_hparam_changes_the_outcome(case(variant), SWEPT[variant], 30)


def test_an_environment_parameter_is_swept_like_any_other():
    tried = case()
    hparams = add_env_params(HPARAMS, make_environment("CartPole-v1"), ["gravity"])
    tried = tried._replace(hparams=hparams, axes={"env_gravity": [9.8, 30.0]})
    seen = np.asarray(contract.run(tried, 5, seeds=[0]).states.replay.observations)
    assert np.abs(seen[0] - seen[1]).max() > 1e-3


def test_warm_up_then_one_update_every_so_many_environment_steps():
    problem = case().problem
    task, shared = problem.task, problem.shared
    assert (task.work_at_start, task.work_per_step, task.steps) == (40, 8, 495)
    state = task.init(shared, HPARAMS, jax.random.key(0))
    written = lambda state: int(np.any(np.asarray(state.replay.observations) != 0, axis=1).sum())
    assert written(state) == 40
    after, _ = jax.jit(task.step)(shared, HPARAMS, state, jax.random.key(1), jnp.int32(0))
    assert written(after) == 48
    np.testing.assert_array_equal(after.replay.observations[:40], state.replay.observations[:40])
    (count,) = {int(leaf) for leaf in jax.tree.leaves(after.opt_state) if leaf.ndim == 0}
    assert count == 1


def test_the_ring_keeps_what_a_longer_one_has_last():
    """50 rows of 4 environments in a ring of 40 rows and in one of 400."""
    small, large = (
        jax.jit(problem.task.init)(problem.shared, HPARAMS, jax.random.key(0)).replay
        for problem in (case(learning_starts=200, buffer_size=size).problem for size in (160, 1600))
    )
    last = np.arange(40, 200)
    np.testing.assert_array_equal(small.observations[last % 160], large.observations[last])
    np.testing.assert_array_equal(small.actions[last % 160], large.actions[last])
    assert not np.asarray(large.observations[200:]).any()


def test_the_target_network_moves_when_it_is_due_and_not_between():
    """Every 16 environment steps, two updates; warm-up is 40 long."""
    problem = case().problem
    state = problem.task.init(problem.shared, HPARAMS, jax.random.key(0))
    step = jax.jit(problem.task.step)
    moved = []
    for t in range(6):
        before = state.target_params["Dense_0"]["kernel"]
        state, _ = step(problem.shared, HPARAMS, state, jax.random.key(t), jnp.int32(t))
        after = state.target_params["Dense_0"]["kernel"]
        moved.append(bool((before != after).any()))
        if moved[-1]:
            np.testing.assert_array_equal(after, state.params["Dense_0"]["kernel"])
    assert moved == [True, False, True, False, True, False]


def test_tau_averages():
    problem = make_problem(dataclasses.replace(CONFIG, target_update_every=8))
    hparams = HPARAMS.replace(tau=0.25)
    state = problem.task.init(problem.shared, hparams, jax.random.key(0))
    after, _ = jax.jit(problem.task.step)(
        problem.shared, hparams, state, jax.random.key(1), jnp.int32(0)
    )
    expected = jax.tree.map(lambda new, old: 0.25 * new + 0.75 * old, after.params, state.params)
    for ours, theirs in zip(
        jax.tree.leaves(after.target_params), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_epsilon_falls_over_its_fraction_of_all_environment_steps():
    hparams = HParams(epsilon_start=1.0, epsilon_end=0.2, epsilon_fraction=0.5)
    at = [float(epsilon_at(CONFIG, hparams, row)) for row in (0, 250, 500, 900)]
    np.testing.assert_allclose(at, [1.0, 0.6, 0.2, 0.2], rtol=1e-6)


def test_importance_weights_correct_in_full_at_the_end():
    hparams = HParams(importance_exponent=0.4)
    at = [float(importance_exponent_at(CONFIG, hparams, rows)) for rows in (0, 500, 1000)]
    np.testing.assert_allclose(at, [0.4, 0.7, 1.0], rtol=1e-6)


def test_priorities_follow_the_errors_and_hold_for_the_slots_that_begin_a_transition():
    tried = case("rainbow", env="Cut-test")._replace(axes={})
    states = contract.run(tried, 60, seeds=[0]).states
    priorities = jax.tree.map(lambda leaf: np.asarray(leaf[0]), states.priorities)
    ends = np.asarray(states.replay.ends[0])
    values = priorities.tree.levels[0].ravel()[:160]
    held = ends == HELD
    assert held.any()
    assert (values[held] == 0).all()
    rows, newest = 40, (CONFIG.warmup_rows + 60 * CONFIG.rows_per_step - 1) % 40
    row = np.arange(160) // 4
    incomplete = (newest - row) % rows < 3
    assert (values[incomplete] == 0).all()
    assert (values[~held & ~incomplete] > 0).all()
    assert len(np.unique(values)) > 20
    assert priorities.largest >= values.max()
    for ours, anew in zip(priorities.tree.levels, build(jnp.array(values)).levels, strict=True):
        np.testing.assert_allclose(ours, anew, rtol=1e-5)


def test_a_prioritized_run_of_exponent_0_draws_uniformly():
    """All priorities are 1 then: importance weights, too, and only the draw itself differs."""
    tried = case(replay="prioritized")._replace(axes={"priority_exponent": [0.0]})
    states = contract.run(tried, 40, seeds=[0]).states
    values = np.unique(np.asarray(states.priorities.tree.levels[0]))
    np.testing.assert_allclose(values, [0, 1])


def q_values(problem, config, hparams, state, observations):
    env = make_environment(config.env)
    network = make_network(config, env)
    outputs = network.apply({"params": state.params}, jnp.asarray(observations, jnp.float32))
    return np.asarray(action_values(config, hparams, outputs))


GAMMA = 0.8
# Observations (sign, place) and the values of the two actions there.
KNOWN = {
    "Constant-test": {(0, 0): (1, 1), (1, 0): (1, 1)},
    "Observed-test": {(-1, 0): (-1, -1), (1, 0): (1, 1)},
    "Discounted-test": {(0, 0): (GAMMA, GAMMA), (0, 1): (1, 1)},
    "Chosen-test": {(0, 0): (-1, 1), (1, 0): (-1, 1)},
    "Cut-test": {(0, 0): (GAMMA / (1 - GAMMA),) * 2, (0, 1): (1 / (1 - GAMMA),) * 2},
}
ALGORITHMS = {
    "plain": {},
    "n-step": {"n_step": 2},
    "rainbow": {"double": True, "dueling": True, "n_step": 2, "replay": "prioritized"},
    "categorical": {"values": "categorical", "atoms": 41},
    "quantile": {"values": "quantile", "atoms": 8},
}


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("Chosen-test", "plain"), ("Cut-test", "n-step"), ("Chosen-test", "rainbow"),
        ("Cut-test", "categorical"), ("Chosen-test", "quantile"),
        *(slow(name, "plain") for name in sorted(set(KNOWN) - {"Chosen-test"})),
        slow("Chosen-test", "n-step"), slow("Cut-test", "rainbow"),
        slow("Chosen-test", "categorical"), slow("Cut-test", "quantile"),
    ],
)  # fmt: skip
def test_it_finds_the_values_of_the_diagnostic_environments(name, algorithm):
    """Each isolates one mistake: the loss, the inputs, discounting, the choice of action, and a
    time limit taken for an end."""
    assert name in worlds.WORLDS
    config = Config(
        env=name, env_steps=20_000, num_envs=8, train_every=16, learning_starts=160,
        buffer_size=3200, batch_size=64, target_update_every=160, hidden=(32,), eval_episodes=2,
        **{"n_step": 1} | ALGORITHMS[algorithm],
    )  # fmt: skip
    hparams = HParams(
        learning_rate=3e-3, learning_rate_end=0.02, gamma=GAMMA, epsilon_end=1.0,
        value_min=-2.0, value_max=6.0,
    )  # fmt: skip
    problem = make_problem(config)
    steps = problem.task.steps
    cadence, devices = Cadence(steps, steps, steps), jax.local_devices()[:1]
    swept = sweep(problem.task, problem.shared, hparams, 2, steps, cadence=cadence, devices=devices)
    for lane in range(2):
        state = jax.tree.map(lambda leaf: leaf[lane], swept.states)  # noqa: B023
        known = KNOWN[name]
        found = q_values(problem, config, hparams, state, list(known))
        np.testing.assert_allclose(found, list(known.values()), atol=0.15)


@pytest.mark.slow
def test_it_learns_cartpole():
    """Random play lasts about 20 steps."""
    config = Config(
        env_steps=30_000, num_envs=8, train_every=8, learning_starts=800, buffer_size=32_000,
        batch_size=64, target_update_every=8, hidden=(64, 64), n_step=3, double=True,
    )  # fmt: skip
    problem = make_problem(config)
    steps = problem.task.steps
    hparams = HParams(learning_rate=1e-3, learning_rate_end=1.0, tau=0.02, epsilon_fraction=0.3)
    swept = sweep(problem.task, problem.shared, hparams, 4, steps,
                  cadence=Cadence(steps // 4, steps // 4, steps // 4))  # fmt: skip
    last = swept.metrics[swept.metrics["step"] == steps // 4 * 4]
    assert last["evaluation_return"].median() > 100


def step_once(problem, hparams):
    """The params of a run before and after its first step, and that step's metrics."""
    state = jax.jit(problem.task.init)(problem.shared, hparams, jax.random.key(0))
    args = problem.shared, hparams, state, jax.random.key(1), jnp.int32(0)
    after, metrics = jax.jit(problem.task.step)(*args)
    return state.params, after.params, metrics


@pytest.mark.parametrize("env", ["FrozenLake-misc", slow("Catch-bsuite")])
def test_numbers_and_grids_are_learned_from(env):
    before, after, metrics = step_once(case(env=env).problem, HPARAMS)
    assert np.isfinite(metrics["loss"])
    change = np.abs(after["Dense_0"]["kernel"] - before["Dense_0"]["kernel"])
    assert 0 < change.max() < 0.1
