"""Episodes played to their end, in environments and with keys of their own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from research.dqn.environments import make_environment
from research.dqn.evaluation import play_episodes
from tests.dqn import worlds


@partial(jax.jit, static_argnums=(0, 1))
def program(name, episodes, action, epsilon, seed):
    env = make_environment(name)
    always = lambda seen: jnp.tile(jax.nn.one_hot(action, 2)[None], (len(seen), 1))
    return play_episodes(env, env.params, always, epsilon, jax.random.key(seed), episodes)


def played(name, action, episodes=4000, epsilon=0.0, seed=0):
    """Returns and lengths where this action has the largest value."""
    return jax.device_get(program(name, episodes, action, epsilon, seed))


def test_returns_are_undiscounted_sums_of_one_episode():
    """The diary pays place + 1, for at most 4 steps: 1, 3, 6 or 10."""
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
    """CartPole pushed to one side falls after 8 to 11 steps, by where it started."""
    _, lengths = played("CartPole-v1", 1, episodes=64)
    assert set(lengths.tolist()) <= {8, 9, 10, 11}
    assert len(set(lengths.tolist())) > 1
    _, other = played("CartPole-v1", 1, episodes=64, seed=1)
    assert (lengths != other).any()
