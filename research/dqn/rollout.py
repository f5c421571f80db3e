"""Playing the environments of one run: choosing actions, exploring to learn, evaluating.

Shape letters: N environments, K rows, A actions.

A row is one step of all N environments. Where a time limit cuts an episode short, its last
observation has a value to bootstrap from but no action: the next row of that environment is
padding, in which the agent is shown that observation and nothing happens. So the successor of an
observation is always the next one of the same environment, or does not matter, and no second copy
of the observations need be kept.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax, vmap

from research.by_platform import by_platform
from research.dqn.environments import Environment
from research.task import Mean

# How a step ended. Padding follows a truncation: the loss masks it out.
CONTINUES, TERMINATED, TRUNCATED, PADDING = 0, 1, 2, 3

# Steps of an evaluation between two looks at whether all episodes have ended: a GPU waits for the
# host at each look.
BLOCK = 32


class Actors(NamedTuple):
    """N environments in the middle of their episodes.

    Attributes:
      env_state: gymnax states [N, ...].
      observation: [N, ...], what the agent sees.
      start: [N, ...], what it sees after padding.
      padding: bool [N], whether the next row is padding.
      episode_return: float32 [N], undiscounted, so far.
      episode_length: int32 [N], so far.
      repeated: int32 [N], the random action that is being repeated; -1 while there is none.
    """

    env_state: Any
    observation: jax.Array
    start: jax.Array
    padding: jax.Array
    episode_return: jax.Array
    episode_length: jax.Array
    repeated: jax.Array


class Draws(NamedTuple):
    """What a row draws at random, whatever the state, so that it may be drawn ahead.

    Attributes:
      bits: uint32 [3, N], by which actions are chosen.
      env: [N, ...], what the environments draw.
    """

    bits: jax.Array
    env: Any


class Row(NamedTuple):
    """One step of N environments: what was seen, done and rewarded, and how the step ended.

    Attributes:
      observation: [N, ...].
      action: int32 [N].
      reward: float32 [N].
      end: uint8 [N], `CONTINUES`, `TERMINATED`, `TRUNCATED` or `PADDING`.
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


class Explored(NamedTuple):
    """K rows of exploration.

    Attributes:
      rows: [K, N, ...].
      q: float32 [K, N, A], the values by which the actions were chosen.
      finished: the episodes that ended.
    """

    rows: Row
    q: jax.Array
    finished: Finished


def start_actors(env: Environment, params: Any, key: jax.Array, n: int) -> Actors:
    """N new episodes."""
    env_state, observation = vmap(env.reset, (None, 0))(params, jax.random.split(key, n))
    return Actors(
        env_state=env_state,
        observation=observation,
        start=observation,
        padding=jnp.zeros(n, bool),
        episode_return=jnp.zeros(n, jnp.float32),
        episode_length=jnp.zeros(n, jnp.int32),
        repeated=jnp.full(n, -1, jnp.int32),
    )


def step_actors(
    env: Environment, params: Any, actors: Actors, action_N: jax.Array, drawn: Any
) -> tuple[Actors, Row, Finished]:
    """Every environment takes its action, but those whose row is padding.

    Args:
      drawn: [N, ...], by `env.draw`.
    """
    padding = actors.padding
    env_state, outcome = vmap(env.step_drawn, (None, 0, 0, 0))(
        params, drawn, actors.env_state, action_N
    )
    reward = jnp.where(padding, jnp.float32(0), outcome.reward)
    end = _how_it_ended(padding, outcome.terminated, outcome.truncated)
    cut = end == TRUNCATED
    done = cut | (end == TERMINATED)
    seen = _where(cut, outcome.final_observation, outcome.observation)
    episode_return = actors.episode_return + reward
    episode_length = actors.episode_length + jnp.where(padding, 0, 1)
    finished = Finished(
        returns=jnp.sum(jnp.where(done, episode_return, 0)),
        lengths=jnp.sum(jnp.where(done, episode_length, 0)).astype(jnp.float32),
        episodes=jnp.sum(done).astype(jnp.float32),
    )
    row = Row(actors.observation, action_N, reward, end)
    actors = Actors(
        env_state=jax.tree.map(
            lambda new, old: _where(padding, old, new), env_state, actors.env_state
        ),
        observation=_where(padding, actors.start, seen),
        start=outcome.observation,
        padding=cut,
        episode_return=jnp.where(done, 0, episode_return),
        episode_length=jnp.where(done, 0, episode_length),
        repeated=jnp.where(done, -1, actors.repeated),
    )
    return actors, row, finished


def linear_schedule(start: Any, end: Any, duration: Any, at: Any) -> jax.Array:
    """`start` at 0, `end` from `duration` on, a straight line between.

    `optax.linear_schedule` takes no traced duration.
    """
    fraction = jnp.clip(at / jnp.maximum(jnp.float32(duration), 1e-8), 0, 1)
    return start + fraction * (end - start)


def epsilon_greedy(q_NxA: jax.Array, epsilon: Any, key: jax.Array) -> jax.Array:
    """The action of the largest value, or with probability `epsilon` any: int32 [N].

    Of equal values the first one counts as the largest.
    """
    return _choose(q_NxA, epsilon, jax.random.bits(key, (2, len(q_NxA)), jnp.uint32))[0]


def greedy(q_NxA: jax.Array) -> jax.Array:
    """The action of the largest value, of equal ones the first: int32 [N]."""
    by_reduction = lambda q_NxA: jnp.argmax(q_NxA, axis=-1).astype(jnp.int32)
    return by_platform(q_NxA, gpu=_greedy_by_pairs, other=by_reduction)


def _greedy_by_pairs(q_NxA):
    """`greedy` without a reduction, which on a GPU is a kernel of its own."""
    action_N, largest_N = jnp.zeros(len(q_NxA), jnp.int32), q_NxA[:, 0]
    for one in range(1, q_NxA.shape[1]):
        larger_N = q_NxA[:, one] > largest_N
        action_N = jnp.where(larger_N, one, action_N)
        largest_N = jnp.where(larger_N, q_NxA[:, one], largest_N)
    return action_N


def extended_epsilon_greedy(
    q_NxA: jax.Array, epsilon: Any, length: Any, repeated_N: jax.Array, bits_3xN: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Temporally extended epsilon-greedy actions, and which of them are being repeated: int32 [N].

    A random action is repeated for a number of steps drawn from a geometric distribution (Dabney,
    Ostrovski and Barreto, 2021): a single random step leads nowhere where many in one direction are
    needed. The share of random steps is then larger than `epsilon`.

    Args:
      q_NxA: float32.
      epsilon: how often to begin with a random action.
      length: for how many steps it is repeated, on average; 1 is plain epsilon-greedy.
      repeated_N: int32, as the last call returned them; -1 where an episode begins.
      bits_3xN: uint32, random.
    """
    continues = _fraction(bits_3xN[0]) < 1 - 1 / length
    action_N, explores_N = _choose(q_NxA, epsilon, bits_3xN[1:])
    new_N = jnp.where(explores_N, action_N, -1)
    repeated_N = jnp.where((repeated_N >= 0) & continues, repeated_N, new_N)
    return jnp.where(repeated_N >= 0, repeated_N, action_N), repeated_N


def draw_row(env: Environment, params: Any, key: jax.Array, row: jax.Array, n: int) -> Draws:
    """What a row of N environments draws.

    Args:
      env, params: the environment and its parameters.
      key: typed; the number of the row is folded in.
      row: int32 [], its number since the run began.
      n: N.
    """
    act_key, env_key = vmap(jax.random.fold_in, (None, 0))(
        key, 2 * row + jnp.arange(2, dtype=jnp.int32)
    )
    # One call draws all random bits of the row: every call is a kernel launch.
    bits_3xN = jax.random.bits(act_key, (3, n), jnp.uint32)
    return Draws(bits_3xN, vmap(env.draw, (None, 0))(params, jax.random.split(env_key, n)))


def take_row(
    env: Environment,
    params: Any,
    q_NxA: jax.Array,
    epsilon: Any,
    length: Any,
    actors: Actors,
    drawn: Draws,
) -> tuple[Actors, Explored]:
    """Steps every environment once, with actions by their values; leaves without the axis K."""
    action_N, repeated_N = extended_epsilon_greedy(
        q_NxA, epsilon, length, actors.repeated, drawn.bits
    )
    actors = actors._replace(repeated=repeated_N)
    actors, played, finished = step_actors(env, params, actors, action_N, drawn.env)
    return actors, Explored(played, q_NxA, finished)


def explore(
    env: Environment,
    params: Any,
    values: Callable[[jax.Array], jax.Array],
    epsilon: Callable[[jax.Array], jax.Array],
    length: Any,
    actors: Actors,
    source: Any,
    rows_K: jax.Array,
) -> tuple[Actors, Explored]:
    """Steps every environment once a row with epsilon-greedy actions.

    Args:
      env, params: the environment and its parameters.
      values: observations [N, ...] -> action values float32 [N, A].
      epsilon: row -> the probability of a random action.
      length: for how many steps it is repeated, on average (see `extended_epsilon_greedy`).
      actors: the environments.
      source: what `draw_row` draws for these rows, leaves [K, ...]; or the key to draw each with
        as its turn comes, which takes less memory.
      rows_K: int32 [K], the numbers of the rows since the run began.
    """

    def one_row(actors, now):
        drawn, row = now
        drawn = drawn or draw_row(env, params, source, row, len(actors.padding))
        q_NxA = values(actors.observation)
        return take_row(env, params, q_NxA, epsilon(row), length, actors, drawn)

    ahead = source if isinstance(source, Draws) else None
    actors, explored = _scan(one_row, actors, (ahead, rows_K))
    sums = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), explored.finished)
    return actors, explored._replace(finished=sums)


def epsilon_at(config: Any, hparams: Any, row: Any) -> jax.Array:
    """The probability of a random action in a row; it falls linearly over `epsilon_steps`, or over
    `epsilon_fraction` of the run where these are 0.

    Args:
      config: with `num_envs` and `env_steps`.
      hparams: with `epsilon_start`, `epsilon_end`, `epsilon_steps` and `epsilon_fraction`.
      row: int32 [].
    """
    env_step = jnp.float32(row) * config.num_envs
    share = hparams.epsilon_fraction * config.env_steps
    duration = jnp.where(hparams.epsilon_steps > 0, hparams.epsilon_steps, share)
    return linear_schedule(hparams.epsilon_start, hparams.epsilon_end, duration, env_step)


def training_metrics(finished: Finished) -> dict[str, Mean]:
    """Undiscounted return and length of the episodes that ended while exploring."""
    return {
        "training_return": Mean(finished.returns, finished.episodes),
        "training_length": Mean(finished.lengths, finished.episodes),
    }


def play_episodes(
    env: Environment,
    params: Any,
    values: Callable[[jax.Array], jax.Array],
    epsilon: Any,
    key: jax.Array,
    episodes: int,
) -> tuple[jax.Array, jax.Array]:
    """Undiscounted returns float32 [episodes] and lengths int32 [episodes] of whole episodes, or of
    their beginnings, where an environment of the user does not end them; see `Environment.longest`.

    Args:
      env, params: the environment and its parameters.
      values: observations [N, ...] -> action values float32 [N, A].
      epsilon: float32 [], the probability of a random action.
      key: typed.
      episodes: how many, all played at once.
    """
    start_key, play_key = jax.random.split(key)
    env_state, observation = vmap(env.reset, (None, 0))(
        params, jax.random.split(start_key, episodes)
    )

    longest = env.longest and jnp.maximum(
        env.longest, getattr(params, "max_steps_in_episode", 0)
    ).astype(jnp.int32)

    def one_step(carry, t):
        env_state, observation, alive, returns, lengths = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(play_key, t))
        action = epsilon_greedy(values(observation), epsilon, act_key)
        keys = jax.random.split(step_key, episodes)
        env_state, outcome = vmap(env.step, (None, 0, 0, 0))(params, keys, env_state, action)
        returns = returns + jnp.where(alive, outcome.reward, 0)
        lengths = lengths + alive.astype(jnp.int32)
        alive = alive & ~outcome.terminated & ~outcome.truncated
        if longest is not None:
            alive = alive & (t + 1 < longest)
        return (env_state, outcome.observation, alive, returns, lengths), None

    def one_block(carry):
        t, *played = carry
        played, _ = lax.scan(one_step, tuple(played), t + jnp.arange(BLOCK, dtype=jnp.int32))
        return t + BLOCK, *played

    alive, zeros = jnp.ones(episodes, bool), jnp.zeros(episodes, jnp.float32)
    carry = jnp.int32(0), env_state, observation, alive, zeros, jnp.zeros(episodes, jnp.int32)
    carry = lax.while_loop(lambda carry: jnp.any(carry[3]), one_block, carry)
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


def _scan(body: Callable[..., Any], carry: Any, xs: Any) -> tuple[Any, Any]:
    """`lax.scan`, unrolled where there is a single turn, which compiles to faster code."""
    if len(jax.tree.leaves(xs)[0]) > 1:
        return lax.scan(body, carry, xs)
    carry, y = body(carry, jax.tree.map(lambda leaf: leaf[0], xs))
    return carry, jax.tree.map(lambda leaf: leaf[None], y)


def _choose(q_NxA: jax.Array, epsilon: Any, bits_2xN: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Epsilon-greedy actions int32 [N], and whether they are random."""
    explores = _fraction(bits_2xN[0]) < epsilon
    any_action = (bits_2xN[1] % jnp.uint32(q_NxA.shape[1])).astype(jnp.int32)
    return jnp.where(explores, any_action, greedy(q_NxA)), explores


def _fraction(bits: jax.Array) -> jax.Array:
    """uint32 as float32 in [0, 1), evenly spread."""
    return (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24)


def _how_it_ended(padding: jax.Array, terminated: jax.Array, truncated: jax.Array) -> jax.Array:
    end = jnp.where(terminated, TERMINATED, jnp.where(truncated, TRUNCATED, CONTINUES))
    return jnp.where(padding, PADDING, end).astype(jnp.uint8)


def _where(condition_N: jax.Array, yes: jax.Array, no: jax.Array) -> jax.Array:
    """`jnp.where` along the first axis of [N, ...]."""
    return jnp.where(condition_N.reshape(condition_N.shape + (1,) * (yes.ndim - 1)), yes, no)
