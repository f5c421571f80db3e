"""Tests of every gymnax environment with discrete actions under our interface."""

import inspect

import chex
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.registration import registered_envs

from research.dqn.environments import (
    LONG_LIMIT,
    STICKY_ACTIONS,
    _parts,
    _step,
    _whole,
    is_minatar,
    make_environment,
)
from research.errors import UserError
from tests.contract import slow
from tests.dqn.worlds import WORLDS

CONTINUOUS = {
    "Pendulum-v1", "MountainCarContinuous-v0", "PointRobot-misc", "Reacher-misc", "Swimmer-misc",
}  # fmt: skip
LARGE = {"Asterix-MinAtar", "Freeway-MinAtar", "Seaquest-MinAtar"}  # take seconds to compile
# Images, grids of bits, vectors and numbers; one whose time limit strikes.
PLAYED = {
    "Breakout-MinAtar", "Catch-bsuite", "CartPole-v1", "FrozenLake-misc", "DiscountingChain-bsuite",
}  # fmt: skip
MINATAR = sorted(name for name in registered_envs if is_minatar(name))
DISCRETE = sorted(set(registered_envs) - CONTINUOUS - {"MNISTBandit-bsuite"} - set(WORLDS))


def test_there_are_five_games_of_minatar():
    assert MINATAR == [
        "Asterix-MinAtar", "Breakout-MinAtar", "Freeway-MinAtar", "Seaquest-MinAtar",
        "SpaceInvaders-MinAtar",
    ]  # fmt: skip
    assert len(DISCRETE) >= 18


def walk(env, step, steps):
    """Takes `steps` steps with each action; returns the first observation and all outcomes."""
    params = env.params

    def run(key):
        reset_key, key = jax.random.split(key)
        state, observation = env.reset(params, reset_key)

        def body(state, t):
            action = t % env.num_actions
            return step(params, jax.random.fold_in(key, t), state, action)

        return observation, jax.lax.scan(body, state, jnp.arange(steps, dtype=jnp.int32))[1]

    return run


@pytest.mark.parametrize("name", [slow(name) if name in LARGE else name for name in DISCRETE])
def test_every_discrete_environment_steps_with_fixed_types(name):
    """Steps in a scan under strict type promotion."""
    env = make_environment(name)
    first, typed = jax.eval_shape(walk(env, env.step, 2), jax.random.key(0))
    assert first.shape == env.observation_shape
    assert first.dtype == typed.observation.dtype == env.observation_dtype
    assert typed.observation.shape[1:] == typed.final_observation.shape[1:] == first.shape
    assert typed.final_observation.dtype == first.dtype
    assert typed.reward.dtype == jnp.float32


@pytest.mark.parametrize("name", [name if name in PLAYED else slow(name) for name in DISCRETE])
def test_every_discrete_environment_tells_termination_from_truncation(name):
    """Within an episode the final observation is the next one; packed ones are binary. To the bit,
    a step in two parts is that of gymnax."""
    env = make_environment(name)
    ways = [_whole(*parts(env.raw, binary=False)) for parts in (_parts, _step)]
    play = jax.jit(
        lambda *keys: [walk(env, step, 200)(key)[1] for step, key in zip(ways, keys, strict=True)]
    )
    outcome, by_gymnax = jax.device_get(play(jax.random.key(0), jax.random.key(0)))
    chex.assert_trees_all_equal(outcome, by_gymnax)
    assert not np.any(outcome.terminated & outcome.truncated)
    going = ~(outcome.terminated | outcome.truncated)
    np.testing.assert_array_equal(outcome.observation[going], outcome.final_observation[going])
    if env.observation_dtype == jnp.bool_:
        assert set(np.unique(outcome.observation).tolist()) == {0.0, 1.0}


def test_termination_at_the_time_limit_is_no_truncation():
    env = make_environment("Discounted-test")  # of two steps
    params = env.params.replace(max_steps_in_episode=np.int32(2))
    outcome = jax.jit(walk(env._replace(params=params), env.step, 2))(jax.random.key(0))[1]
    assert outcome.terminated.tolist() == [False, True]
    assert not outcome.truncated.any()


def test_discrete_observations_become_categories():
    env = make_environment("FrozenLake-misc")
    assert (env.categories, env.observation_shape) == (16, ())
    assert env.observation_dtype == jnp.int32


def test_observation_bounds_match_the_space():
    (position, velocity) = make_environment("MountainCar-v0").bounds
    np.testing.assert_allclose([position, velocity], [(-1.2, 0.6), (-0.07, 0.07)], rtol=1e-6)
    bounds = make_environment("CartPole-v1").bounds
    assert np.isinf(bounds).tolist() == [[False] * 2, [True] * 2] * 2
    assert make_environment("Breakout-MinAtar").bounds == ()
    assert make_environment("FrozenLake-misc").bounds == ()


@pytest.mark.parametrize("name", MINATAR)
def test_minatar_protocols_differ_in_actions_and_limits(name):
    """gymnax has minimal actions and short limits, the original six and a limit in Freeway."""
    ours, original = make_environment(name), make_environment(name, "original")
    assert original.num_actions == 6
    assert ours.num_actions == dict(zip(MINATAR, (5, 3, 3, 6, 4), strict=True))[name]
    default = gymnax.make(name)[1].max_steps_in_episode
    limit = int(original.params.max_steps_in_episode)
    assert int(ours.params.max_steps_in_episode) == default
    assert limit == (default if name == "Freeway-MinAtar" else LONG_LIMIT)


def test_sticky_actions_repeat_with_probability_0_1():
    """In Breakout the paddle moves by the action, or by the previous one if that sticks."""
    env = make_environment("Breakout-MinAtar", "original")
    params = env.params

    def stuck(key):
        reset_key, first_key, second_key = jax.random.split(key, 3)
        state, _ = env.reset(params, reset_key)
        state, _ = env.step(params, first_key, state, jnp.int32(1))  # left
        before = state.env_state.pos
        state, _ = env.step(params, second_key, state, jnp.int32(3))  # right
        return state.env_state.pos < before

    many = jax.jit(lambda key: jax.vmap(stuck)(jax.random.split(key, 4000)))
    share = np.mean(many(jax.random.key(0)))
    assert share == pytest.approx(STICKY_ACTIONS * (1 - STICKY_ACTIONS), abs=0.02)


@pytest.mark.slow
def test_freeway_never_terminates():
    env = make_environment("Freeway-MinAtar")
    params = jax.tree.map(jnp.asarray, env.params)
    state, _ = env.reset(params, jax.random.key(0))

    def body(state, t):
        return env.step(params, jax.random.fold_in(jax.random.key(1), t), state, jnp.int32(1))

    _, outcome = jax.jit(lambda state: jax.lax.scan(body, state, jnp.arange(5000)))(state)
    assert not outcome.terminated.any()
    assert outcome.truncated.sum() == 5000 // int(env.params.max_steps_in_episode)


@pytest.mark.parametrize(
    ("name", "protocol", "says"),
    [
        ("CartPole-v2", "gymnax", "--env CartPole-v2: no such environment; did you mean"),
        ("breakout", "gymnax", "did you mean Breakout-MinAtar"),
        ("Pendulum-v1", "gymnax", "--env Pendulum-v1: its actions are continuous"),
        ("MNISTBandit-bsuite", "gymnax", "--env MNISTBandit-bsuite: it downloads"),
        ("CartPole-v1", "original", "--protocol original: it is MinAtar's"),
        ("Breakout-MinAtar", "sticky", "--protocol sticky: there are gymnax, original"),
    ],
)  # fmt: skip
def test_an_unknown_environment_gives_a_one_line_error(name, protocol, says):
    with pytest.raises(UserError, match=says):
        make_environment(name, protocol)


def test_only_environments_that_can_be_trained_on_are_suggested():
    with pytest.raises(UserError) as refused:
        make_environment("x" * 40)
    suggested = set(str(refused.value).partition("there are ")[2].split(", "))
    assert suggested == set(DISCRETE) | set(WORLDS)


def test_environments_are_cached():
    assert make_environment("CartPole-v1") is make_environment("CartPole-v1")


def test_gymnax_is_not_imported_before_it_is_needed():
    """Importing gymnax creates arrays, after which the devices of JAX cannot be configured."""
    import research.dqn.environments as module

    top = [
        line
        for line in inspect.getsource(module).splitlines()
        if line.startswith(("import", "from"))
    ]
    assert not any("gymnax" in line for line in top)
