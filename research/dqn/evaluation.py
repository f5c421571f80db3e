"""Whole episodes of a fixed policy."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, vmap

from research.dqn.acting import epsilon_greedy
from research.dqn.environments import Environment


def play_episodes(
    env: Environment,
    params: Any,
    values: Callable[[jax.Array], jax.Array],
    epsilon: Any,
    key: jax.Array,
    episodes: int,
) -> tuple[jax.Array, jax.Array]:
    """Undiscounted returns float32 [episodes] and lengths int32 [episodes], all played at once.

    Args:
      env: what to play.
      params: of the environment.
      values: observations [N, ...] -> action values float32 [N, A].
      epsilon: float32 [], how often to act at random instead.
      key: typed.
      episodes: how many.
    """
    start_key, play_key = jax.random.split(key)
    env_state, observation = vmap(env.reset, (None, 0))(
        params, jax.random.split(start_key, episodes)
    )

    def play(carry):
        t, env_state, observation, alive, returns, lengths = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(play_key, t))
        action = epsilon_greedy(values(observation), epsilon, act_key)
        keys = jax.random.split(step_key, episodes)
        env_state, outcome = vmap(env.step, (None, 0, 0, 0))(params, keys, env_state, action)
        returns = returns + jnp.where(alive, outcome.reward, 0)
        lengths = lengths + alive.astype(jnp.int32)
        alive = alive & ~outcome.terminated & ~outcome.truncated
        return t + 1, env_state, outcome.observation, alive, returns, lengths

    zeros = jnp.zeros(episodes, jnp.float32)
    carry = (
        jnp.int32(0), env_state, observation, jnp.ones(episodes, bool), zeros,
        jnp.zeros(episodes, jnp.int32),
    )  # fmt: skip
    carry = lax.while_loop(lambda carry: jnp.any(carry[3]), play, carry)
    return carry[4], carry[5]


def evaluate_values(
    env: Environment,
    params: Any,
    values: Callable[[jax.Array], jax.Array],
    epsilon: Any,
    key: jax.Array,
    episodes: int,
) -> dict[str, jax.Array]:
    """Mean return and length of `play_episodes`, whose arguments these are."""
    returns, lengths = play_episodes(env, params, values, epsilon, key, episodes)
    return {
        "evaluation_return": jnp.mean(returns),
        "evaluation_length": jnp.mean(lengths.astype(jnp.float32)),
    }
