"""Episodes played to their end, in environments and with keys of their own."""

import jax
import jax.numpy as jnp
import numpy as np

from research.dqn.environments import make_environment
from research.dqn.evaluation import play_episodes
from tests.dqn import worlds


def played(name, values, episodes=16, epsilon=0.0, seed=0):
    env = make_environment(name)
    params = jax.tree.map(jnp.asarray, env.params)
    returns, lengths = play_episodes(env, params, values, epsilon, jax.random.key(seed), episodes)
    return np.asarray(returns), np.asarray(lengths)


def always(action):
    return lambda observation: jnp.tile(jax.nn.one_hot(action, 2)[None], (len(observation), 1))


def test_returns_are_undiscounted_sums_of_one_episode():
    """The diary pays place + 1, for at most 4 steps: 1, 3, 6 or 10."""
    assert "Diary-test" in worlds.WORLDS
    returns, lengths = played("Diary-test", always(0), episodes=64)
    assert set(lengths.tolist()) == {1, 2, 3, 4}
    np.testing.assert_array_equal(returns, lengths * (lengths + 1) / 2)


def test_the_greedy_action_is_taken():
    for action, expected in ((0, -1.0), (1, 1.0)):
        returns, lengths = played("Chosen-test", always(action))
        np.testing.assert_array_equal(returns, expected)
        np.testing.assert_array_equal(lengths, 1)


def test_with_epsilon_some_actions_are_random():
    returns, _ = played("Chosen-test", always(1), episodes=4000, epsilon=0.5)
    np.testing.assert_allclose(np.mean(returns == 1), 0.75, atol=0.03)


def test_episodes_and_keys_differ():
    """CartPole pushed to one side falls after 8 to 11 steps, by where it started."""
    _, lengths = played("CartPole-v1", always(1), episodes=64)
    assert set(lengths.tolist()) <= {8, 9, 10, 11}
    assert len(set(lengths.tolist())) > 1
    _, other = played("CartPole-v1", always(1), episodes=64, seed=1)
    assert (lengths != other).any()
