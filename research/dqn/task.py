"""The DQN as a task: `train_every` environment steps, then one update (Mnih et al., 2015).

Shape letters: N environments, K rows a step, B batch, A actions.
"""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.dqn import prioritized
from research.dqn.acting import HELD, Actors, linear_schedule, start_actors
from research.dqn.config import Config, HParams, check_intervals, requirements
from research.dqn.env_params import with_env_params
from research.dqn.environments import Environment, make_environment
from research.dqn.evaluation import evaluate_values
from research.dqn.exploring import epsilon_at, explore, training_metrics
from research.dqn.learner import action_values, make_network, make_optimizer, update
from research.dqn.prioritized import SumTree
from research.dqn.problem import agent_problem, agent_task
from research.dqn.replay import Replay, empty_replay, read, uniform_slots, write
from research.task import Metrics, Problem, Task, bind

PRIORITY_FLOOR = 1e-6  # epsilon of Schaul et al. (2016): no transition is never seen again


class Priorities(NamedTuple):
    """What prioritized replay adds.

    Attributes:
      tree: over priority**alpha of every slot; 0 where no transition can begin.
      largest: float32 [], the largest so far, which new transitions get.
    """

    tree: SumTree
    largest: jax.Array


class State(NamedTuple):
    """What a run carries.

    Attributes:
      params: of the network, float32.
      target_params: of the target network.
      opt_state: of Adam.
      actors: the environments.
      replay: what happened in them.
      priorities: of the replay's slots; None if it is uniform.
    """

    params: Any
    target_params: Any
    opt_state: Any
    actors: Actors
    replay: Replay
    priorities: Priorities | None


def init(config: Config, env: Environment, shared: Any, hparams: HParams, key: jax.Array) -> State:
    """A run before its first update: `learning_starts` environment steps at random are done."""
    model_key, actors_key, warmup_key = jax.random.split(key, 3)
    network = make_network(config, env)
    nothing = jnp.zeros((1, *env.observation_shape), env.observation_dtype)
    params = network.init(model_key, nothing)["params"]
    env_params = with_env_params(shared, hparams)
    actors = start_actors(env, env_params, actors_key, config.num_envs)
    actors, replay = _warm_up(config, env, env_params, hparams, actors, warmup_key)
    priorities = None
    if config.replay == "prioritized":
        priorities = _start_priorities(config, replay)
    return State(
        params=params,
        target_params=jax.tree.map(jnp.copy, params),
        opt_state=make_optimizer(config, hparams).init(params),
        actors=actors,
        replay=replay,
        priorities=priorities,
    )


def step(
    config: Config,
    env: Environment,
    shared: Any,
    hparams: HParams,
    state: State,
    key: jax.Array,
    t: jax.Array,
) -> tuple[State, Metrics]:
    """`train_every` environment steps, one update, and the target network moved where it is due."""
    act_key, sample_key = jax.random.split(key)
    row = config.warmup_rows + t * config.rows_per_step  # the first of those to come
    actors, explored = explore(
        env,
        with_env_params(shared, hparams),
        policy_values(config, env, hparams, state.params),
        lambda row: epsilon_at(config, hparams, row),
        hparams.exploration_length,
        state.actors,
        act_key,
        row + jnp.arange(config.rows_per_step, dtype=jnp.int32),
    )
    replay = write(state.replay, explored.rows, _slot(config, row))
    written = row + config.rows_per_step
    priorities = state.priorities
    if priorities is not None:
        priorities = _admit(config, replay, priorities, row)
    slots_B, weight_B = _sample(config, hparams, priorities, sample_key, written)
    batch = read(env, replay, slots_B, config.num_envs, config.n_step, hparams.gamma)
    network = make_network(config, env)
    params, opt_state, learned = update(
        config, network, _decayed(config, hparams, t), state.params, state.target_params,
        state.opt_state, batch, weight_B,
    )  # fmt: skip
    if priorities is not None:
        priorities = _revise(hparams, priorities, slots_B, learned.priority)
    due = written * config.num_envs % config.target_update_every == 0
    target_params = optax.incremental_update(
        params, state.target_params, jnp.where(due, hparams.tau, 0.0)
    )
    metrics = {
        "loss": learned.loss,
        "q_value": learned.q_value,
        **training_metrics(explored.finished),
    }
    return State(params, target_params, opt_state, actors, replay, priorities), metrics


def evaluate(
    config: Config, env: Environment, shared: Any, hparams: HParams, state: State, key: jax.Array
) -> Metrics:
    """Mean return and length of `eval_episodes` episodes in environments of their own."""
    return evaluate_values(
        env,
        with_env_params(shared, hparams),
        policy_values(config, env, hparams, state.params),
        hparams.eval_epsilon,
        key,
        config.eval_episodes,
    )


@cache
def make_task(config: Config) -> Task:
    """The task of one config.

    Raises:
      UserError: for an environment, interval or torso that does not fit.
    """
    env = make_environment(config.env, config.protocol)
    check_intervals(config)
    make_network(config, env)
    return agent_task(
        config,
        env,
        init,
        step,
        evaluate,
        steps=config.updates,
        work_at_start=config.learning_starts,
        requirements=bind(requirements, config),
    )


def make_problem(config: Config) -> Problem:
    """The task, and the environment's parameters for all runs to share.

    Raises:
      UserError: as `make_task`.
    """
    return agent_problem(make_task(config), config)


def policy_values(
    config: Config, env: Environment, hparams: HParams, params: Any
) -> Callable[[jax.Array], jax.Array]:
    """What the agent acts by: observations [N, ...] -> action values float32 [N, A]."""
    network = make_network(config, env)

    def values(observation: jax.Array) -> jax.Array:
        outputs: Any = network.apply({"params": params}, observation)
        return action_values(config, hparams, outputs)

    return values


def _decayed(config: Config, hparams: HParams, t: jax.Array) -> HParams:
    """With the learning rate of step `t`."""
    left = linear_schedule(1.0, hparams.learning_rate_end, config.updates, jnp.float32(t))
    return dataclasses.replace(hparams, learning_rate=hparams.learning_rate * left)


def _warm_up(
    config: Config, env: Environment, env_params: Any, hparams: HParams, actors: Actors, key: Any
) -> tuple[Actors, Replay]:
    """The replay after `warmup_rows` rows of random actions, as far as it holds them."""

    def one_row(carry, row):
        actors, replay = carry
        actors, explored = explore(
            env, env_params, lambda _: jnp.zeros((config.num_envs, env.num_actions), jnp.float32),
            lambda _: jnp.float32(1), hparams.exploration_length, actors, key, row[None],
        )  # fmt: skip
        return (actors, write(replay, explored.rows, _slot(config, row))), None

    start = actors, empty_replay(env, config.buffer_size)
    (actors, replay), _ = lax.scan(one_row, start, jnp.arange(config.warmup_rows, dtype=jnp.int32))
    return actors, replay


def _sample(
    config: Config,
    hparams: HParams,
    priorities: Priorities | None,
    key: jax.Array,
    written: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Slots int32 [B] and importance weights float32 [B]."""
    size, n_envs, n = config.buffer_size, config.num_envs, config.n_step
    if priorities is None:
        slots_B = uniform_slots(key, config.batch_size, size, n_envs, written, n)
        return slots_B, jnp.ones(config.batch_size, jnp.float32)
    tree = priorities.tree
    slots_B = prioritized.draw(tree, key, config.batch_size)
    count = (jnp.minimum(written, size // n_envs) - n) * n_envs
    weight_B = prioritized.importance_weights(
        prioritized.get(tree, slots_B),
        tree.total,
        count.astype(jnp.float32),
        importance_exponent_at(config, hparams, written),
    )
    return slots_B, weight_B


def importance_exponent_at(config: Config, hparams: HParams, rows: Any) -> jax.Array:
    """beta after so many rows: it reaches 1 with the last (Schaul et al., 2016, section 3.4)."""
    env_step = jnp.float32(rows) * config.num_envs
    return linear_schedule(hparams.importance_exponent, 1.0, config.env_steps, env_step)


def _start_priorities(config: Config, replay: Replay) -> Priorities:
    """Of the warm-up's transitions, all alike."""
    rows = config.buffer_size // config.num_envs
    row = jnp.arange(config.buffer_size, dtype=jnp.int32) // config.num_envs
    age = (config.warmup_rows - 1 - row) % rows  # 0 is the newest
    begins = (age >= config.n_step) & (age < config.warmup_rows) & (replay.ends != HELD)
    return Priorities(prioritized.build(begins.astype(jnp.float32)), jnp.float32(1))


def _admit(config: Config, replay: Replay, priorities: Priorities, row: jax.Array) -> Priorities:
    """After the rows from `row` on were written: their transitions are not complete before n more
    rows, those of n rows ago now are."""
    n, rows = config.n_step, config.buffer_size // config.num_envs
    ages = jnp.arange(-n, config.rows_per_step, dtype=jnp.int32)
    slots = _slots_of_rows(config, (row + ages) % rows)
    complete = jnp.repeat(ages < config.rows_per_step - n, config.num_envs)
    begins = complete & (replay.ends[slots] != HELD)
    new = jnp.where(begins, priorities.largest, 0)
    return priorities._replace(tree=prioritized.put(priorities.tree, slots, new))


def _revise(
    hparams: HParams, priorities: Priorities, slots_B: jax.Array, priority_B: jax.Array
) -> Priorities:
    """After an update: the transitions seen get the priority that their error deserves."""
    powered_B = jnp.power(priority_B + PRIORITY_FLOOR, hparams.priority_exponent)
    # A slot where none begins is drawn only if all are 0, and must stay 0.
    powered_B = jnp.where(prioritized.get(priorities.tree, slots_B) > 0, powered_B, 0)
    tree = prioritized.put(priorities.tree, slots_B, powered_B)
    return Priorities(tree, jnp.maximum(priorities.largest, jnp.max(powered_B)))


def _slots_of_rows(config: Config, rows_K: jax.Array) -> jax.Array:
    """All slots of these rows of the ring, int32 [K * N]."""
    envs_1xN = jnp.arange(config.num_envs, dtype=jnp.int32)[None, :]
    slots_KxN = rows_K[:, None] * config.num_envs + envs_1xN
    return slots_KxN.reshape(-1)


def _slot(config: Config, row: jax.Array) -> jax.Array:
    """Where a row begins in the ring."""
    return row % (config.buffer_size // config.num_envs) * config.num_envs
