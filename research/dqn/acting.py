"""N environments of one run, stepped together, and which action they take.

Shape letters: N environments, A actions.

Where a time limit cuts an episode short, its last observation has a successor's value but no
action: the environment is held for one step, in which the agent is shown that observation and
nothing happens. So the successor of an observation is always the next one in the same environment,
or does not matter; no second copy of observations need be kept.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import vmap

from research.dqn.environments import Environment

# How a step ended. Of a held step neither observation nor action count.
CONTINUES, TERMINATED, TRUNCATED, HELD = 0, 1, 2, 3


class Actors(NamedTuple):
    """N environments in the midst of an episode.

    Attributes:
      env_state: gymnax states [N, ...].
      observation: [N, ...], what the agent sees.
      start: [N, ...], what it sees after being held.
      held: bool [N].
      episode_return: float32 [N], undiscounted, so far.
      episode_length: int32 [N], so far.
      kept: int32 [N], the random action that is being repeated, -1 if none is.
    """

    env_state: Any
    observation: jax.Array
    start: jax.Array
    held: jax.Array
    episode_return: jax.Array
    episode_length: jax.Array
    kept: jax.Array


class Row(NamedTuple):
    """One step of N environments: in `observation`, `action` gave `reward`, and how it ended.

    Attributes:
      observation: [N, ...].
      action: int32 [N].
      reward: float32 [N].
      end: uint8 [N], `CONTINUES`, `TERMINATED`, `TRUNCATED` or `HELD`.
    """

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    end: jax.Array


class Finished(NamedTuple):
    """Sums over the episodes that ended: float32 scalars."""

    returns: jax.Array
    lengths: jax.Array
    episodes: jax.Array


def start_actors(env: Environment, params: Any, key: jax.Array, n: int) -> Actors:
    """N new episodes."""
    env_state, observation = vmap(env.reset, (None, 0))(params, jax.random.split(key, n))
    return Actors(
        env_state=env_state,
        observation=observation,
        start=observation,
        held=jnp.zeros(n, bool),
        episode_return=jnp.zeros(n, jnp.float32),
        episode_length=jnp.zeros(n, jnp.int32),
        kept=jnp.full(n, -1, jnp.int32),
    )


def step_actors(
    env: Environment, params: Any, actors: Actors, action_N: jax.Array, key: jax.Array
) -> tuple[Actors, Row, Finished]:
    """Every environment takes its action, or is held."""
    held = actors.held
    keys = jax.random.split(key, len(held))
    env_state, outcome = vmap(env.step, (None, 0, 0, 0))(params, keys, actors.env_state, action_N)
    reward = jnp.where(held, jnp.float32(0), outcome.reward)
    end = _how_it_ended(held, outcome.terminated, outcome.truncated)
    cut = end == TRUNCATED
    done = cut | (end == TERMINATED)
    seen = _where(cut, outcome.final_observation, outcome.observation)
    episode_return = actors.episode_return + reward
    episode_length = actors.episode_length + jnp.where(held, 0, 1)
    finished = Finished(
        returns=jnp.sum(jnp.where(done, episode_return, 0)),
        lengths=jnp.sum(jnp.where(done, episode_length, 0)).astype(jnp.float32),
        episodes=jnp.sum(done).astype(jnp.float32),
    )
    row = Row(actors.observation, action_N, reward, end)
    actors = Actors(
        env_state=jax.tree.map(
            lambda new, old: _where(held, old, new), env_state, actors.env_state
        ),
        observation=_where(held, actors.start, seen),
        start=outcome.observation,
        held=cut,
        episode_return=jnp.where(done, 0, episode_return),
        episode_length=jnp.where(done, 0, episode_length),
        kept=jnp.where(done, -1, actors.kept),
    )
    return actors, row, finished


def linear_schedule(start: Any, end: Any, duration: Any, at: Any) -> jax.Array:
    """`start` at 0, `end` from `duration` on, a straight line between."""
    fraction = jnp.clip(at / jnp.maximum(jnp.float32(duration), 1e-8), 0, 1)
    return start + fraction * (end - start)


def epsilon_greedy(q_NxA: jax.Array, epsilon: Any, key: jax.Array) -> jax.Array:
    """The action of the largest value, or with probability `epsilon` any: int32 [N].

    Of equal values the first is the largest, as everywhere in this field.
    """
    return _choose(q_NxA, epsilon, jax.random.bits(key, (2, len(q_NxA)), jnp.uint32))[0]


def keep_up(
    q_NxA: jax.Array, epsilon: Any, length: Any, kept_N: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Temporally extended epsilon-greedy, which repeats its random actions: int32 [N] actions and
    `kept`.

    Dabney, Ostrovski and Barreto (2021), with durations drawn from a geometric distribution: a
    single random step leads nowhere where many in one direction are needed. The share of random
    steps is then larger than `epsilon`.

    Args:
      q_NxA: float32.
      epsilon: how often to begin with a random action.
      length: how many steps it is repeated for, on average; 1 is plain epsilon-greedy.
      kept_N: int32, as the last call returned it; -1 where an episode begins.
      key: typed.
    """
    # At once: each call of the generator counts.
    bits_3xN = jax.random.bits(key, (3, len(q_NxA)), jnp.uint32)
    goes_on = _fraction(bits_3xN[0]) < 1 - 1 / length
    action_N, explores_N = _choose(q_NxA, epsilon, bits_3xN[1:])
    new_N = jnp.where(explores_N, action_N, -1)
    kept_N = jnp.where((kept_N >= 0) & goes_on, kept_N, new_N)
    return jnp.where(kept_N >= 0, kept_N, action_N), kept_N


def _choose(q_NxA: jax.Array, epsilon: Any, bits_2xN: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Actions int32 [N], and whether they are random."""
    explores = _fraction(bits_2xN[0]) < epsilon
    any_action = (bits_2xN[1] % jnp.uint32(q_NxA.shape[1])).astype(jnp.int32)
    return jnp.where(explores, any_action, jnp.argmax(q_NxA, axis=-1).astype(jnp.int32)), explores


def _fraction(bits: jax.Array) -> jax.Array:
    """uint32 as float32 in [0, 1), evenly spread."""
    return (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24)


def _how_it_ended(held: jax.Array, terminated: jax.Array, truncated: jax.Array) -> jax.Array:
    end = jnp.where(terminated, TERMINATED, jnp.where(truncated, TRUNCATED, CONTINUES))
    return jnp.where(held, HELD, end).astype(jnp.uint8)


def _where(condition_N: jax.Array, yes: jax.Array, no: jax.Array) -> jax.Array:
    """`jnp.where` along the first axis of [N, ...]."""
    return jnp.where(condition_N.reshape(condition_N.shape + (1,) * (yes.ndim - 1)), yes, no)
