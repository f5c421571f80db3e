"""The DQN as a task: `train_every` environment steps, then one update (Mnih et al., 2015).

Shape letters: N environments, K rows a step, B batch, A actions.
"""

import dataclasses
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.by_platform import by_platform
from research.dqn.agents import agent_problem, agent_task
from research.dqn.config import Config, HParams, check_intervals, extends, requirements
from research.dqn.env_params import with_env_params
from research.dqn.environments import Environment, make_environment
from research.dqn.learner import Learned, make_optimizer, update
from research.dqn.networks import QNetwork, init_params, make_network
from research.dqn.replay import (
    SAMPLERS,
    Replay,
    empty_replay,
    read,
    slot_of,
    write,
    write_moves,
    write_seen,
)
from research.dqn.rollout import (
    Actors,
    Finished,
    draw_row,
    epsilon_at,
    explore,
    linear_schedule,
    start_actors,
    take_row,
    training_metrics,
)
from research.dqn.values import VALUES
from research.task import Metrics, Problem, Task, bind


class State(NamedTuple):
    """The state of a run.

    Attributes:
      params: of the online network, float32.
      target_params: of the target network.
      opt_state: of Adam.
      actors: the environments.
      replay: the transitions in them.
      priorities: the state of the replay's sampler, such as the priorities of its slots.
    """

    params: Any
    target_params: Any
    opt_state: Any
    actors: Actors
    replay: Replay
    priorities: Any


class Drawn(NamedTuple):
    """What a step needs whatever the state: what it draws at random, and one number.

    Attributes:
      rows: `Draws` for the environment steps, if they are one row; else their key.
      sample: for the replay's sampler.
      tau_key: typed, for a head that samples.
      moved: float32 [], how far the target network moves.
    """

    rows: Any
    sample: Any
    tau_key: jax.Array
    moved: jax.Array


def init(config: Config, env: Environment, shared: Any, hparams: HParams, key: jax.Array) -> State:
    """A run before its first update, after `learning_starts` environment steps at random."""
    model_key, actors_key, warmup_key = jax.random.split(key, 3)
    params = init_params(q_network(config, env), env, model_key)
    env_params = with_env_params(shared, hparams)
    actors = start_actors(env, env_params, actors_key, config.num_envs)
    actors, replay = _warm_up(config, env, env_params, hparams, actors, warmup_key)
    return State(
        params=params,
        target_params=jax.tree.map(jnp.copy, params),
        opt_state=make_optimizer(config, hparams).init(params),
        actors=actors,
        replay=replay,
        priorities=SAMPLERS[config.replay].init(config, replay),
    )


def draw(
    config: Config,
    env: Environment,
    shared: Any,
    hparams: HParams,
    fixed: Any,
    key: jax.Array,
    t: jax.Array,
) -> Drawn:
    """What step `t` needs whatever the state."""
    del fixed
    act_key, sample_key, tau_key = jax.random.split(key, 3)
    params, rows_K = with_env_params(shared, hparams), _rows_of(config, t)
    rows = act_key
    if config.rows_per_step == 1:
        rows = draw_row(env, params, act_key, rows_K[0], config.num_envs)
    written = rows_K[-1] + 1
    sample = SAMPLERS[config.replay].draw(config, sample_key, written)
    due = written * config.num_envs % config.target_update_every == 0
    return Drawn(rows, sample, tau_key, jnp.where(due, hparams.tau, 0.0))


def step(
    config: Config,
    env: Environment,
    shared: Any,
    hparams: HParams,
    state: State,
    drawn: Drawn,
    t: jax.Array,
) -> tuple[State, Metrics]:
    """`train_every` environment steps, one update, and a move of the target network when due."""
    # What a choice by platform is given counts as read; what its branches enclose, only if it is.
    args = config, env, shared, hparams, state, drawn, t
    first_act = lambda: _act_then_learn(*args)
    if VALUES[config.values].samples or config.rows_per_step > 1:
        return first_act()
    return by_platform(gpu=lambda: _act_and_learn(*args), other=first_act)


def _act_then_learn(config, env, shared, hparams, state, drawn, t):
    rows_K, source = _rows_of(config, t), drawn.rows
    if config.rows_per_step == 1:
        source = jax.tree.map(lambda leaf: leaf[None], drawn.rows)
    actors, explored = explore(
        env,
        with_env_params(shared, hparams),
        policy_values(config, env, hparams, state.params),
        partial(epsilon_at, config, hparams),
        hparams.exploration_length,
        state.actors,
        source,
        rows_K,
    )
    replay = write(state.replay, explored.rows, _slot(config, rows_K[0]))
    state, learned = _learn(config, env, hparams, state, replay, drawn, t)
    return state._replace(actors=actors), _metrics(learned, explored.finished)


def _act_and_learn(config, env, shared, hparams, state, drawn, t):
    """The same for one row, with fewer kernels: no transition of a batch needs more of the last row
    than what is seen in it. So the batch is read before the actions are chosen, and one call of the
    network serves both. A CPU would copy the ring to read it before it is written."""
    (row,), replay = _rows_of(config, t), state.replay
    replay = write_seen(replay, state.actors.observation, _slot(config, row))
    state, learned = _learn(config, env, hparams, state, replay, drawn, t, state.actors.observation)
    actors, played = take_row(
        env, with_env_params(shared, hparams), learned.seen_q, epsilon_at(config, hparams, row),
        hparams.exploration_length, state.actors, drawn.rows,
    )  # fmt: skip
    replay = write_moves(state.replay, played.rows, _slot(config, row))
    state = state._replace(actors=actors, replay=replay)
    return state, _metrics(learned, played.finished)


def _learn(
    config: Config,
    env: Environment,
    hparams: HParams,
    state: State,
    replay: Replay,
    drawn: Drawn,
    t: jax.Array,
    seen: jax.Array | None = None,
) -> tuple[State, Learned]:
    """A state with this replay after an update, and what was measured; its actors are as before."""
    sampler, rows_K = SAMPLERS[config.replay], _rows_of(config, t)
    priorities = sampler.write(config, replay, state.priorities, rows_K[0])
    slots_B, weight_B = sampler.sample(config, hparams, priorities, drawn.sample, rows_K[-1] + 1)
    batch = read(env, replay, slots_B, config.num_envs, config.n_step, hparams.gamma)
    params, opt_state, learned = update(
        config, q_network(config, env), _decayed(config, hparams, t), state.params,
        state.target_params, state.opt_state, batch, weight_B, drawn.tau_key, seen,
    )  # fmt: skip
    priorities = sampler.update(hparams, priorities, slots_B, learned.priority)
    target_params = optax.incremental_update(params, state.target_params, drawn.moved)
    state = State(params, target_params, opt_state, state.actors, replay, priorities)
    return state, learned


def _metrics(learned: Learned, finished: Finished) -> Metrics:
    return {"loss": learned.loss, "q_value": learned.q_value, **training_metrics(finished)}


def with_params(state: State, params: Any) -> State:
    """A run before its first step with other params, which its target network has, too."""
    return state._replace(params=params, target_params=jax.tree.map(jnp.copy, params))


@cache
def make_task(config: Config) -> Task:
    """The task of one config.

    Raises:
      UserError: for an environment, interval or torso that does not fit.
    """
    env = make_environment(config.env, config.protocol)
    check_intervals(config)
    q_network(config, env)
    return agent_task(
        config,
        env,
        init,
        draw,
        step,
        policy_values,
        steps=config.updates,
        work_at_start=config.learning_starts,
        requirements=bind(requirements, config),
        extends=bind(extends, config),
    )._replace(with_params=with_params)


def make_problem(config: Config) -> Problem:
    """The task, and the environment's parameters for all runs to share.

    Raises:
      UserError: as `make_task`.
    """
    return agent_problem(make_task(config), config, "dqn", q_network, policy_values)


def policy_values(
    config: Config, env: Environment, hparams: HParams, params: Any
) -> Callable[[jax.Array], jax.Array]:
    """The function an agent acts by: observations [N, ...] -> action values float32 [N, A]."""
    network = q_network(config, env)

    def values(observation: jax.Array) -> jax.Array:
        outputs: Any = network.apply({"params": params}, observation)
        return VALUES[config.values].action_values(config, hparams, outputs)

    return values


def q_network(config: Config, env: Environment) -> QNetwork:
    """The network that a config describes for an environment."""
    head = bind(VALUES[config.values].head, config)
    return make_network(config, env, head, config.dueling)


def _decayed(config: Config, hparams: HParams, t: jax.Array) -> HParams:
    """Hyper-parameters with the learning rate of step `t`."""
    left = linear_schedule(1.0, hparams.learning_rate_end, config.updates, jnp.float32(t))
    return dataclasses.replace(hparams, learning_rate=hparams.learning_rate * left)


def _rows_of(config: Config, t: jax.Array) -> jax.Array:
    """The rows of step `t`, counted from the beginning of the run: int32 [K]."""
    first = config.warmup_rows + t * config.rows_per_step
    return first + jnp.arange(config.rows_per_step, dtype=jnp.int32)


def _slot(config: Config, row: Any) -> Any:
    return slot_of(row, config.buffer_size, config.num_envs)


def _warm_up(
    config: Config, env: Environment, env_params: Any, hparams: HParams, actors: Actors, key: Any
) -> tuple[Actors, Replay]:
    """Actors and replay after `warmup_rows` rows of random actions."""

    def one_row(carry, row):
        actors, replay = carry
        actors, explored = explore(
            env, env_params, lambda _: jnp.zeros((config.num_envs, env.num_actions), jnp.float32),
            lambda _: jnp.float32(1), hparams.exploration_length, actors, key, row[None],
        )  # fmt: skip
        return (
            actors,
            write(replay, explored.rows, _slot(config, row)),
        ), None

    start = actors, empty_replay(env, config.buffer_size)
    (actors, replay), _ = lax.scan(one_row, start, jnp.arange(config.warmup_rows, dtype=jnp.int32))
    return actors, replay
