"""Tests of stepping environments: ends of episodes, exploration, and whole episodes."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.dqn import rollout
from research.dqn.environments import make_environment
from research.dqn.rollout import (
    CONTINUES,
    PADDING,
    TERMINATED,
    TRUNCATED,
    epsilon_greedy,
    extended_epsilon_greedy,
    linear_schedule,
    play_episodes,
    start_actors,
    step_actors,
)
from tests.dqn import worlds


def drawn_by(env, key, n):
    """What one step of `n` environments draws."""
    return jax.vmap(env.draw, (None, 0))(env.params, jax.random.split(key, n))


@cache
def play(name, n, steps, seed=0):
    """Rows [steps, N, ...] of random actions, and the sums over finished episodes [steps]."""
    assert name in worlds.WORLDS
    env = make_environment(name)

    def body(actors, t):
        act_key, key = jax.random.split(jax.random.fold_in(jax.random.key(seed), t))
        action = jax.random.randint(act_key, (n,), 0, env.num_actions)
        actors, row, finished = step_actors(env, env.params, actors, action, drawn_by(env, key, n))
        return actors, (row, finished)

    @jax.jit
    def run(key):
        actors = start_actors(env, env.params, key, n)
        return jax.lax.scan(body, actors, jnp.arange(steps))[1]

    return jax.device_get(run(jax.random.key(seed + 1)))


choose = jax.jit(epsilon_greedy)


def test_rows_chain_observations_to_their_successors():
    """The diary environment shows its episode, its place and the last action."""
    rows, _ = play("Diary-test", n=4, steps=300)
    episode, place, last_action = np.moveaxis(rows.observation, -1, 0)
    end = rows.end
    assert set(np.unique(end)) == {CONTINUES, TERMINATED, TRUNCATED, PADDING}
    goes_on = (end[:-1] == CONTINUES) | (end[:-1] == TRUNCATED)
    np.testing.assert_array_equal(episode[1:][goes_on], episode[:-1][goes_on])
    np.testing.assert_array_equal(place[1:][goes_on], place[:-1][goes_on] + 1)
    np.testing.assert_array_equal(last_action[1:][goes_on], rows.action[:-1][goes_on])
    anew = (end[:-1] == TERMINATED) | (end[:-1] == PADDING)
    np.testing.assert_array_equal(place[1:][anew], 0)
    assert np.all(episode[1:][anew] != episode[:-1][anew])


def test_a_truncation_is_followed_by_one_row_of_padding():
    rows, _ = play("Diary-test", n=4, steps=300)
    cut = rows.end[:-1] == TRUNCATED
    np.testing.assert_array_equal(rows.end[1:][cut], PADDING)
    np.testing.assert_array_equal(rows.observation[1:][cut][:, 1], 4)  # the limit
    np.testing.assert_array_equal(cut, rows.end[1:] == PADDING)
    assert np.all(rows.reward[rows.end == PADDING] == 0)
    played = rows.end != PADDING
    np.testing.assert_array_equal(rows.reward[played], rows.observation[played][:, 1] + 1)


def test_episodes_are_counted_with_their_returns_and_lengths():
    rows, finished = play("Diary-test", n=4, steps=300)
    returns, lengths = [], []
    for n in range(4):
        total, length = 0.0, 0
        for t in range(300):
            if rows.end[t, n] == PADDING:
                continue
            total, length = total + rows.reward[t, n], length + 1
            if rows.end[t, n] in (TERMINATED, TRUNCATED):
                returns.append(total)
                lengths.append(length)
                total, length = 0.0, 0
    assert finished.returns.sum() == sum(returns)
    assert finished.lengths.sum() == sum(lengths)
    assert finished.episodes.sum() == len(returns)
    assert max(lengths) == 4


def test_environments_of_a_run_differ():
    rows, _ = play("Diary-test", n=4, steps=300)
    assert len(np.unique(rows.observation[0, :, 0])) == 4


@pytest.mark.parametrize("at", [0, 25, 50, 100, 1000])
def test_linear_schedule_is_linear_then_constant(at):
    value = linear_schedule(1.0, 0.1, 100.0, jnp.float32(at))
    np.testing.assert_allclose(value, max(1 - 0.9 * at / 100, 0.1), rtol=1e-6)


def test_linear_schedule_of_duration_0_is_at_its_end():
    assert linear_schedule(1.0, 0.1, 0.0, jnp.float32(1)) == pytest.approx(0.1)


def test_epsilon_is_the_probability_of_a_random_action():
    """With 4 actions, a random one is the best action in a quarter of cases."""
    q = np.tile(np.float32([0, 3, 1, 2]), (20_000, 1))
    for epsilon in (0.0, 0.3, 1.0):
        actions = choose(q, epsilon, jax.random.key(0))
        shares = np.bincount(np.asarray(actions), minlength=4) / len(actions)
        expected = np.full(4, epsilon / 4)
        expected[1] += 1 - epsilon
        np.testing.assert_allclose(shares, expected, atol=0.012)
        assert actions.dtype == jnp.int32


def test_greedy_ties_are_broken_by_the_first_action():
    assert choose(np.zeros((3, 4), np.float32), 0.0, jax.random.key(0)).tolist() == [0, 0, 0]


def test_the_greedy_action_by_pairs_is_the_first_of_the_largest():
    """Values of few kinds, so that many are equal."""
    values = np.random.default_rng(0).integers(0, 3, (200, 5)).astype(np.float32)
    np.testing.assert_array_equal(rollout._greedy_by_pairs(values), values.argmax(axis=1))


def repetitions(length, epsilon, steps=4000, n=8):
    """Actions and `repeated` [steps, N] where action 0 is the best of three."""
    return jax.device_get(extended_epsilon_greedy_often(steps, n, length, epsilon))


@partial(jax.jit, static_argnums=(0, 1))
def extended_epsilon_greedy_often(steps, n, length, epsilon):
    q = jnp.tile(jnp.array([1.0, 0.0, 0.0]), (n, 1))

    def body(repeated, key):
        bits = jax.random.bits(key, (3, n), jnp.uint32)
        action, repeated = extended_epsilon_greedy(q, epsilon, length, repeated, bits)
        return repeated, (action, repeated)

    keys = jax.random.split(jax.random.key(0), steps)
    return jax.lax.scan(body, jnp.full(n, -1), keys)[1]


def test_random_actions_are_repeated_for_the_given_mean_length():
    """Consecutive choices may be equal, which makes observed repetitions 3/2 times as long."""
    length, epsilon = 5.0, 1.0
    actions, repeated = repetitions(length, epsilon)
    np.testing.assert_array_equal(actions, repeated)
    changes = np.mean(actions[1:] != actions[:-1])
    assert changes == pytest.approx(2 / 3 / length, rel=0.05)


def test_exploration_length_1_is_plain_epsilon_greedy():
    actions, repeated = repetitions(1.0, 0.3)
    assert np.mean(repeated >= 0) == pytest.approx(0.3, rel=0.05)
    assert np.mean(actions != 0) == pytest.approx(0.2, rel=0.05)
    again = (repeated[1:] >= 0) & (repeated[:-1] >= 0)
    assert np.mean(again) == pytest.approx(0.09, rel=0.1)


def test_longer_repetition_gives_more_random_steps():
    _, repeated = repetitions(10.0, 0.1)
    assert np.mean(repeated >= 0) == pytest.approx(0.1 / (0.1 + 0.9 / 10), rel=0.05)


def test_no_action_is_repeated_into_the_next_episode():
    env = make_environment("Discounted-test")

    @jax.jit
    def two_steps(key):
        start_key, *step_keys = jax.random.split(key, 3)
        actors, seen = start_actors(env, env.params, start_key, 3), []
        for step_key in step_keys:  # episodes of two steps
            actors = actors._replace(repeated=jnp.array([1, 0, -1]))
            drawn, still = drawn_by(env, step_key, 3), jnp.zeros(3, jnp.int32)
            actors, row, _ = step_actors(env, env.params, actors, still, drawn)
            seen.append((row.end, actors.repeated))
        return seen

    (first_end, first_repeated), (end, repeated) = jax.device_get(two_steps(jax.random.key(0)))
    assert (first_end == CONTINUES).all()
    assert first_repeated.tolist() == [1, 0, -1]
    assert (end == TERMINATED).all()
    assert repeated.tolist() == [-1, -1, -1]


@partial(jax.jit, static_argnums=(0, 1))
def program(name, episodes, action, epsilon, seed):
    env = make_environment(name)
    always = lambda seen: jnp.tile(jax.nn.one_hot(action, 2)[None], (len(seen), 1))
    return play_episodes(env, env.params, always, epsilon, jax.random.key(seed), episodes)


def played(name, action, episodes=4000, epsilon=0.0, seed=0):
    """Returns and lengths where this action has the largest value."""
    return jax.device_get(program(name, episodes, action, epsilon, seed))


def test_returns_are_undiscounted_sums_of_one_episode():
    """The diary's reward is place + 1 for at most 4 steps, so returns are 1, 3, 6 or 10."""
    assert "Diary-test" in worlds.WORLDS
    returns, lengths = played("Diary-test", 0, episodes=64)
    assert set(lengths.tolist()) == {1, 2, 3, 4}
    np.testing.assert_array_equal(returns, lengths * (lengths + 1) / 2)


def test_the_greedy_action_is_taken():
    for action, expected in ((0, -1.0), (1, 1.0)):
        returns, lengths = played("Chosen-test", action)
        np.testing.assert_array_equal(returns, expected)
        np.testing.assert_array_equal(lengths, 1)


def test_with_epsilon_some_actions_are_random():
    returns, _ = played("Chosen-test", 1, epsilon=0.5)
    np.testing.assert_allclose(np.mean(returns == 1), 0.75, atol=0.03)


def test_episodes_and_keys_differ():
    """CartPole pushed to one side falls after 8 to 11 steps, depending on its initial state."""
    _, lengths = played("CartPole-v1", 1, episodes=64)
    assert set(lengths.tolist()) <= {8, 9, 10, 11}
    assert len(set(lengths.tolist())) > 1
    _, other = played("CartPole-v1", 1, episodes=64, seed=1)
    assert (lengths != other).any()


def test_the_length_of_a_block_changes_no_bit(monkeypatch):
    """Steps after the last episode has ended add nothing, and keys follow the step."""
    played_by = {}
    for block in (1, 32):
        monkeypatch.setattr(rollout, "BLOCK", block)
        program.clear_cache()
        played_by[block] = jax.device_get(program("Diary-test", 16, 0, 0.5, 3))
    program.clear_cache()
    np.testing.assert_array_equal(*(returns for returns, _ in played_by.values()))
    np.testing.assert_array_equal(*(lengths for _, lengths in played_by.values()))
    assert played_by[32][1].max() < 32
