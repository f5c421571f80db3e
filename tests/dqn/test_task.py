"""Tests of the DQN: the contract, and learning where the answer is known."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.dqn import Config, HParams, make_problem
from research.dqn.env_params import add_env_params
from research.dqn.environments import make_environment
from research.dqn.replay import action_of, end_of
from research.dqn.replay.sum_tree import build
from research.dqn.rollout import PADDING, epsilon_at
from research.dqn.task import policy_values
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
    "plain": {"munchausen": True},
    "q-learning": {},
    "rainbow": {"env": "Cut-test", "double": True, "dueling": True, "n_step": 3,
                "replay": "prioritized", "values": "categorical", "atoms": 7},
    "quantile": {"env": "Cut-test", "values": "quantile", "atoms": 5, "munchausen": True},
    "iqn": {"env": "Cut-test", "values": "iqn", "atoms": 5, "double": True, "dueling": True,
            "replay": "prioritized"},
    "image": {"env": "Breakout-MinAtar", "hidden": (8,), "protocol": "original"},
}  # fmt: skip
HPARAMS = HParams(learning_rate=2.5e-4, learning_rate_end=1.0, epsilon_fraction=0.05)


def case(variant="plain", **changes):
    config = dataclasses.replace(CONFIG, **VARIANTS[variant] | changes)
    hparams = HPARAMS
    if config.env == "CartPole-v1":
        hparams = add_env_params(HPARAMS, make_environment(config.env), ["gravity"])
    return contract.Case(make_problem(config), hparams, {"learning_rate": [1e-4, 1e-3]})


STEPS = 15


@pytest.mark.parametrize("variant", [slow("plain"), slow("rainbow")])
def test_a_run_in_a_sweep_equals_the_run_alone(variant):
    contract.check_a_lane_is_a_lone_run(case(variant), STEPS, atol=1e-4)


@pytest.mark.parametrize("variant", ["plain", "rainbow", slow("iqn")])
def test_the_place_of_a_run_changes_no_bit(variant):
    contract.check_place_changes_no_bit(case(variant), STEPS)


@pytest.mark.parametrize(
    "variant", ["plain", "rainbow", slow("quantile"), slow("iqn"), slow("image")]
)
def test_resuming_from_a_file_changes_no_bit(tmp_path, variant):
    contract.check_resumes_bit_for_bit(case(variant), tmp_path)


@pytest.mark.parametrize("variant", ["plain", slow("rainbow")])
def test_chunk_length_changes_no_bit(variant):
    contract.check_chunk_length_changes_no_bit(case(variant), STEPS, (STEPS,))


@pytest.mark.slow
def test_every_chunk_length_gives_the_same_bits():
    contract.check_chunk_length_changes_no_bit(case(), STEPS, (1, 7))


@pytest.mark.parametrize("variant", [slow("plain")])
def test_sharding_over_devices_changes_nothing_beyond_rounding(variant):
    contract.check_sharded_is_unsharded(case(variant), STEPS, atol=1e-4)


@pytest.mark.parametrize("variant", ["plain"])
def test_seeds_give_different_runs_and_the_same_seed_repeats(variant):
    contract.check_seeds_differ_and_repeat(case(variant), STEPS)


def started(tried, seed=0):
    """The state of a run before its first step, on the host; compiled once per task."""
    problem = tried.problem
    state = jax.jit(problem.task.init)(problem.shared, tried.hparams, jax.random.key(seed))
    return jax.device_get(state)


def stepped(tried, state, t):
    """The state after step `t`, on the host."""
    step, shared = jax.jit(tried.problem.task.step), tried.problem.shared
    return jax.device_get(step(shared, tried.hparams, state, jax.random.key(t), np.int32(t))[0])


def test_seeds_differ_in_params_in_actions_and_in_the_environment():
    """In a well-known DQN implementation, all seeds share their initial weights by mistake."""
    states = [started(case(), seed) for seed in range(3)]
    kernel = [state.params["Dense_0"]["kernel"] for state in states]
    actions = [action_of(state.replay.moves)[: CONFIG.learning_starts] for state in states]
    seen = [state.replay.observations[: CONFIG.learning_starts] for state in states]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (kernel[first] != kernel[second]).mean() > 0.99
        assert (actions[first] != actions[second]).mean() > 0.1
        assert (seen[first] != seen[second]).mean() > 0.3


def test_each_program_is_traced_once():
    contract.check_traced_once(case())


@pytest.mark.parametrize("variant", ["rainbow", slow("plain"), slow("quantile"), slow("image")])
def test_the_program_for_gpus_trains_as_that_for_cpus(variant, monkeypatch):
    contract.check_program_of_accelerators(case(variant), monkeypatch)


@pytest.mark.parametrize("variant", ["rainbow", slow("image")])
def test_the_program_for_gpus_acts_and_learns_in_one_batch(variant, monkeypatch):
    """It does where all environments are stepped once a step; with more rows it acts first."""
    one_row = case(variant, train_every=CONFIG.num_envs)
    contract.check_program_of_accelerators(one_row, monkeypatch, trained=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_key_is_used_twice(variant):
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
        "epsilon_steps": [0.0, 1e5],
        "exploration_length": [1.0, 5.0],
        "tau": [0.01, 1.0],
        "munchausen_scale": [0.0, 0.9],
        "munchausen_temperature": [0.03, 1.0],
    },
    "rainbow": {
        "priority_exponent": [0.0, 1.0],
        "importance_exponent": [0.0, 1.0],
        "value_min": [-10.0, 0.0],
        "value_max": [5.0, 50.0],
    },
    "quantile": {"munchausen_scale": [0.0, 0.9], "munchausen_temperature": [0.03, 1.0]},
}


def test_every_hyperparameter_has_a_case():
    """Every hyper-parameter has a case, even without the slow ones of quantiles."""
    tried = SWEPT["plain"].keys() | SWEPT["rainbow"].keys()
    fields = {field.name for field in dataclasses.fields(HParams)}
    assert tried == fields - {"eval_epsilon"}


@pytest.mark.parametrize("variant", ["plain", "rainbow", slow("quantile")])
def test_every_hyperparameter_changes_the_outcome(variant):
    contract.check_every_hparam_changes_the_outcome(case(variant), SWEPT[variant], 30)


def test_an_environment_parameter_is_swept_like_any_other():
    tried = case()._replace(axes={"env_gravity": [9.8, 30.0]})
    seen = np.asarray(contract.run(tried, 5).states.replay.observations)
    assert np.abs(seen[0] - seen[contract.SEEDS]).max() > 1e-3


def test_warm_up_then_one_update_every_train_every_steps():
    tried = case()
    task = tried.problem.task
    assert (task.work_at_start, task.work_per_step, task.steps) == (40, 8, 495)
    state = started(tried)
    written = lambda state: int(np.any(state.replay.observations != 0, axis=1).sum())
    assert written(state) == 40
    after = stepped(tried, state, 0)
    assert written(after) == 48
    np.testing.assert_array_equal(after.replay.observations[:40], state.replay.observations[:40])
    (count,) = {int(leaf) for leaf in jax.tree.leaves(after.opt_state) if leaf.ndim == 0}
    assert count == 1


def test_a_step_writes_only_the_next_rows_of_the_ring():
    """A step has two rows of four environments; the ring has 40 rows and wraps around. The first
    new row begins with the last observations of the environments."""
    tried = case()
    state = started(tried)
    for t in range(20):
        before, state = state, stepped(tried, state, t)
        slots = (40 + 8 * t + np.arange(8)) % 160
        others = np.setdiff1d(np.arange(160), slots)
        for old, new in zip(before.replay, state.replay, strict=True):
            np.testing.assert_array_equal(new[others], old[others])
        np.testing.assert_array_equal(
            state.replay.observations[slots[:4]], before.actors.observation
        )
        assert (state.replay.observations[slots] != before.replay.observations[slots]).any()


@pytest.mark.slow
def test_a_full_ring_holds_the_latest_rows():
    """Writes 50 rows of 4 environments to a ring of 40 rows and to one of 400."""
    small, large = (
        started(case(env="Diary-test", learning_starts=200, buffer_size=size)).replay
        for size in (160, 1600)
    )
    last = np.arange(40, 200)
    np.testing.assert_array_equal(small.observations[last % 160], large.observations[last])
    np.testing.assert_array_equal(small.moves[last % 160], large.moves[last])
    assert len(np.unique(large.observations[last], axis=0)) > 100
    assert not large.observations[200:].any()


def test_the_target_network_is_updated_only_when_due():
    """It is due every 16 environment steps, or two updates, after a warm-up of 40 steps."""
    tried = case()
    state = started(tried)
    moved = []
    for t in range(6):
        before = state.target_params["Dense_0"]["kernel"]
        state = stepped(tried, state, t)
        after = state.target_params["Dense_0"]["kernel"]
        moved.append(bool((before != after).any()))
        if moved[-1]:
            np.testing.assert_array_equal(after, state.params["Dense_0"]["kernel"])
    assert moved == [True, False, True, False, True, False]


def test_tau_averages_the_target_network():
    tried = case()
    tried = tried._replace(hparams=tried.hparams.replace(tau=0.25))
    state = started(tried)
    after = stepped(tried, state, 0)
    average = lambda new, old: np.float32(0.25) * new + np.float32(0.75) * old
    expected = jax.tree.map(average, after.params, state.params)
    chex.assert_trees_all_close(after.target_params, expected, atol=1e-7, rtol=0)
    kernels = after.target_params["Dense_0"]["kernel"], state.params["Dense_0"]["kernel"]
    assert (kernels[0] != kernels[1]).any()


def test_epsilon_decays_over_epsilon_fraction_of_the_steps():
    hparams = HParams(epsilon_start=1.0, epsilon_end=0.2, epsilon_fraction=0.5)
    at = epsilon_at(CONFIG, hparams, np.array([0, 250, 500, 900]))
    np.testing.assert_allclose(at, [1.0, 0.6, 0.2, 0.2], rtol=1e-6)


def test_epsilon_decays_over_epsilon_steps_whatever_the_length_of_a_run():
    hparams = HParams(epsilon_start=1.0, epsilon_end=0.2, epsilon_steps=100.0)
    row = np.array([0, 50, 100, 900]) // CONFIG.num_envs
    at = epsilon_at(CONFIG, hparams, row)
    np.testing.assert_allclose(at, 1 - 0.8 * np.minimum(row * CONFIG.num_envs / 100, 1), rtol=1e-6)


def test_priorities_follow_the_errors_and_hold_for_the_slots_that_begin_a_transition():
    states = contract.run(case("rainbow"), 60).states
    priorities = jax.tree.map(lambda leaf: np.asarray(leaf[0]), states.priorities)
    ends = end_of(np.asarray(states.replay.moves[0]))
    values = priorities.tree.levels[0].ravel()[:160]
    padding = ends == PADDING
    assert padding.any()
    assert (values[padding] == 0).all()
    rows, newest = 40, (CONFIG.warmup_rows + 60 * CONFIG.rows_per_step - 1) % 40
    row = np.arange(160) // 4
    incomplete = (newest - row) % rows < 3
    assert (values[incomplete] == 0).all()
    assert (values[~padding & ~incomplete] > 0).all()
    assert len(np.unique(values)) > 20
    assert priorities.largest >= values.max()
    for ours, anew in zip(priorities.tree.levels, jax.jit(build)(values).levels, strict=True):
        np.testing.assert_allclose(ours, anew, rtol=1e-5)


def test_a_prioritized_run_of_exponent_0_draws_uniformly():
    """All priorities and importance weights are 1 then, so only the random samples differ."""
    tried = case("rainbow")._replace(axes={"priority_exponent": [0.0, 1.0]})
    numbers = np.asarray(contract.run(tried, 40).states.priorities.tree.levels[0])
    np.testing.assert_allclose(np.unique(numbers[: contract.SEEDS]), [0, 1])


GAMMA = 0.8
# Observations (sign, place) and the values of the two actions there.
KNOWN = {
    "Constant-test": {(0, 0): (1, 1), (1, 0): (1, 1)},
    "Observed-test": {(-1, 0): (-1, -1), (1, 0): (1, 1)},
    "Discounted-test": {(0, 0): (GAMMA, GAMMA), (0, 1): (1, 1)},
    "Chosen-test": {(0, 0): (-1, 1), (1, 0): (-1, 1)},
    "Cut-test": {(0, 0): (GAMMA / (1 - GAMMA),) * 2, (0, 1): (1 / (1 - GAMMA),) * 2},
}
# Five numbers that say which world it is, then the sign and the place. No sign matters but one.
KNOWN["Mixed-test"] = {
    (*np.eye(5)[which].tolist(), sign, place): values
    for which, name in enumerate(list(KNOWN))
    for (told, place), values in KNOWN[name].items()
    for sign in ([told] if name == "Observed-test" else [-1, 1])
}
ALGORITHMS = {
    "plain": {},
    "n-step": {"n_step": 2},
    "double": {"double": True, "dueling": True, "n_step": 2, "replay": "prioritized"},
    "rainbow": {"double": True, "dueling": True, "n_step": 2, "replay": "prioritized",
                "values": "categorical", "atoms": 17},
    "categorical": {"values": "categorical", "atoms": 17},
    "quantile": {"values": "quantile", "atoms": 8},
    "iqn": {"values": "iqn", "atoms": 8, "hidden": (32, 32)},
}  # fmt: skip


def found_values(name, problem, hparams, values_by, seeds=2):
    """The values of `KNOWN[name]` with which fully trained runs end, trained in one program.

    Args:
      name: of the world.
      problem, hparams: as a sweep takes them.
      values_by: of what a config's agent acts by, (hparams, params) -> observations -> values.
      seeds: how many runs.
    """
    assert name in worlds.WORLDS
    task, observations = problem.task, np.array(list(KNOWN[name]), np.float32)

    @jax.jit
    def train(shared, hparams, seed):
        init_key, run_key = jax.random.split(jax.random.key(seed))

        def one_step(state, t):
            return task.step(shared, hparams, state, jax.random.fold_in(run_key, t), t)[0], None

        state = task.init(shared, hparams, init_key)
        state, _ = jax.lax.scan(one_step, state, jnp.arange(task.steps, dtype=jnp.int32))
        return values_by(hparams, state.params)(observations)

    return [np.asarray(train(problem.shared, hparams, seed)) for seed in range(seeds)]


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        *(("Mixed-test", algorithm) for algorithm in ("n-step", "rainbow")),
        *(slow("Mixed-test", algorithm)
          for algorithm in ("double", "categorical", "quantile", "iqn")),
        *(slow(name, "plain") for name in sorted(KNOWN)),
    ],
)  # fmt: skip
def test_it_finds_the_values_of_the_diagnostic_environments(name, algorithm):
    """Each isolates one mistake: in the loss, the inputs, discounting, the choice of action, or a
    time limit treated as a terminal state. The mixed environment contains all five, and its values
    tell which is wrong; one algorithm finds each of them alone as well."""
    config = Config(
        env=name, env_steps=8000, num_envs=8, train_every=8, learning_starts=160,
        buffer_size=3200, batch_size=32, target_update_every=80, eval_episodes=2,
        **{"n_step": 1, "hidden": (32,)} | ALGORITHMS[algorithm],
    )  # fmt: skip
    hparams = HParams(
        learning_rate=1e-2, learning_rate_end=0.02, gamma=GAMMA, epsilon_end=1.0,
        value_min=-2.0, value_max=6.0,
    )  # fmt: skip
    values_by = partial(policy_values, config, make_environment(name))
    for found in found_values(name, make_problem(config), hparams, values_by):
        np.testing.assert_allclose(found, list(KNOWN[name].values()), atol=0.1)


@pytest.mark.slow
def test_it_learns_cartpole():
    """Random play lasts about 20 steps."""
    config = Config(
        env_steps=29_600, num_envs=8, train_every=8, learning_starts=800, buffer_size=32_000,
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
    task = problem.task

    @jax.jit
    def both(shared, hparams, init_key, step_key):
        state = task.init(shared, hparams, init_key)
        after, metrics = task.step(shared, hparams, state, step_key, jnp.int32(0))
        return state.params, after.params, metrics

    keys = jax.random.key(0), jax.random.key(1)
    return jax.device_get(both(problem.shared, hparams, *keys))


@pytest.mark.parametrize("env", [slow("FrozenLake-misc"), slow("Catch-bsuite")])
def test_it_learns_from_vectors_and_grids(env):
    before, after, metrics = step_once(case(env=env).problem, HPARAMS)
    assert np.isfinite(metrics["loss"])
    change = np.abs(after["Dense_0"]["kernel"] - before["Dense_0"]["kernel"])
    assert 0 < change.max() < 0.1
