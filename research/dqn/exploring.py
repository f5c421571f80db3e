"""Epsilon-greedy play of a run's environments, row by row, for whatever algorithm learns from it.

Shape letters: N environments, K rows, A actions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax, vmap

from research.dqn.acting import Actors, Finished, Row, keep_up, linear_schedule, step_actors
from research.dqn.environments import Environment
from research.task import Mean


class Explored(NamedTuple):
    """What K rows of play gave.

    Attributes:
      rows: [K, N, ...].
      q: float32 [K, N, A], the values by which the actions were chosen.
      finished: the episodes that ended.
    """

    rows: Row
    q: jax.Array
    finished: Finished


def explore(
    env: Environment,
    params: Any,
    values: Callable[[jax.Array], jax.Array],
    epsilon: Callable[[jax.Array], jax.Array],
    length: Any,
    actors: Actors,
    key: jax.Array,
    rows_K: jax.Array,
) -> tuple[Actors, Explored]:
    """Steps every environment once a row.

    Args:
      env: what to play.
      params: of the environment.
      values: observations [N, ...] -> action values float32 [N, A].
      epsilon: row -> the probability of a random action.
      length: how long it is repeated, on average (see `keep_up`).
      actors: the environments.
      key: typed; with the number of the row it makes that row's keys.
      rows_K: int32 [K], the numbers of the rows, counted from the run's beginning.
    """

    def one_row(actors, row):
        act_key, env_key = vmap(jax.random.fold_in, (None, 0))(
            key, 2 * row + jnp.arange(2, dtype=jnp.int32)
        )
        q_NxA = values(actors.observation)
        action_N, kept_N = keep_up(q_NxA, epsilon(row), length, actors.kept, act_key)
        actors = actors._replace(kept=kept_N)
        actors, played, finished = step_actors(env, params, actors, action_N, env_key)
        return actors, Explored(played, q_NxA, finished)

    actors, explored = _scan(one_row, actors, rows_K)
    sums = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), explored.finished)
    return actors, explored._replace(finished=sums)


def epsilon_at(config: Any, hparams: Any, row: Any) -> jax.Array:
    """The probability of a random action in a row: linear over `epsilon_fraction` of the run.

    Args:
      config: with `num_envs` and `env_steps`.
      hparams: with `epsilon_start`, `epsilon_end` and `epsilon_fraction`.
      row: int32 [].
    """
    env_step = jnp.float32(row) * config.num_envs
    duration = hparams.epsilon_fraction * config.env_steps
    return linear_schedule(hparams.epsilon_start, hparams.epsilon_end, duration, env_step)


def training_metrics(finished: Finished) -> dict[str, Mean]:
    """Undiscounted return and length of the episodes that ended while exploring."""
    return {
        "training_return": Mean(finished.returns, finished.episodes),
        "training_length": Mean(finished.lengths, finished.episodes),
    }


def _scan(body: Callable[..., Any], carry: Any, xs: jax.Array) -> tuple[Any, Any]:
    """`lax.scan`; written out where there is a single turn, which compiles to faster code."""
    if len(xs) > 1:
        return lax.scan(body, carry, xs)
    carry, y = body(carry, xs[0])
    return carry, jax.tree.map(lambda leaf: leaf[None], y)
