"""PQN as a task (Gallici et al., 2024): Q-learning without replay and without a target network.

A round plays many environments for a while and then fits the network to the lambda-returns of these
steps, in minibatches; the next round begins with new ones. Normalized layers keep this stable.
Networks, environments, exploration and evaluation are the DQN's.

Shape letters: N environments, K rows a round, B minibatch, A actions.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax, vmap

from research.dqn.agent_config import schedules_end_early
from research.dqn.agents import agent_problem, agent_task
from research.dqn.env_params import with_env_params
from research.dqn.environments import Environment, make_environment
from research.dqn.networks import QNetwork, init_params, make_network
from research.dqn.pqn_config import PQNConfig, PQNHParams, check_rounds
from research.dqn.rollout import (
    PADDING,
    Actors,
    Explored,
    epsilon_at,
    explore,
    linear_schedule,
    start_actors,
    training_metrics,
)
from research.dqn.targets import lambda_returns, select
from research.dqn.values import mean
from research.optimizer import radam
from research.shuffle import at_positions, draw_order
from research.task import Metrics, Problem, Task, bind, in_use


class State(NamedTuple):
    """The state of a run.

    Attributes:
      params: of the network, float32.
      opt_state: of RAdam.
      actors: the environments.
    """

    params: Any
    opt_state: Any
    actors: Actors


class Samples(NamedTuple):
    """Observations, actions and the returns that the network is fitted to.

    Attributes:
      observation: [B, ...].
      action: int32 [B].
      returns: float32 [B], lambda-returns.
      valid: float32 [B], 0 for padding after a truncation, which the loss masks out, else 1.
    """

    observation: jax.Array
    action: jax.Array
    returns: jax.Array
    valid: jax.Array


def init(
    config: PQNConfig, env: Environment, shared: Any, hparams: PQNHParams, key: jax.Array
) -> State:
    """A run before its first environment step."""
    model_key, actors_key = jax.random.split(key)
    params = init_params(_network(config, env), env, model_key)
    actors = start_actors(env, with_env_params(shared, hparams), actors_key, config.num_envs)
    return State(params, _optimizer(config, hparams, hparams.learning_rate).init(params), actors)


def draw(
    config: PQNConfig,
    env: Environment,
    shared: Any,
    hparams: PQNHParams,
    fixed: Any,
    key: jax.Array,
    t: Any,
) -> jax.Array:
    """The key of a round, which is long: it draws as it goes."""
    del config, env, shared, hparams, fixed, t
    return key


def step(
    config: PQNConfig,
    env: Environment,
    shared: Any,
    hparams: PQNHParams,
    state: State,
    key: jax.Array,
    t: jax.Array,
) -> tuple[State, Metrics]:
    """One round: `train_every` environment steps, then `epochs` x `minibatches` updates."""
    act_key, order_key = jax.random.split(key)
    values = pqn_values(config, env, hparams, state.params)
    actors, explored = explore(
        env,
        with_env_params(shared, hparams),
        values,
        lambda row: epsilon_at(config, hparams, row),
        hparams.exploration_length,
        state.actors,
        act_key,
        t * config.rows_per_step + jnp.arange(config.rows_per_step, dtype=jnp.int32),
    )
    samples = _flat(as_samples(explored, values(actors.observation), hparams))
    left = linear_schedule(1.0, hparams.learning_rate_end, config.rounds, jnp.float32(t))
    optimizer = _optimizer(config, hparams, hparams.learning_rate * left)
    network = _network(config, env)

    def one_update(carry, slots_B):
        params, opt_state = carry
        take = lambda leaf: leaf.at[slots_B].get(mode="promise_in_bounds")
        batch = jax.tree.map(take, samples)
        loss, grads = jax.value_and_grad(fit_loss)(params, network, batch)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    carry = state.params, state.opt_state
    (params, opt_state), losses = lax.scan(one_update, carry, minibatches(config, order_key))
    metrics = {
        "loss": jnp.mean(losses),
        "q_value": jnp.mean(explored.q),
        **training_metrics(explored.finished),
    }
    return State(params, opt_state, actors), metrics


def as_samples(explored: Explored, q_last_NxA: jax.Array, hparams: PQNHParams) -> Samples:
    """The observations and actions of K rows with their lambda-returns: leaves [K, N, ...].

    Args:
      explored: the rows.
      q_last_NxA: float32, the values where the environments stand after them.
      hparams: with `gamma` and `trace_lambda`.
    """
    rows = explored.rows
    v_KxN = jnp.max(jnp.concatenate([explored.q[1:], q_last_NxA[None]]), axis=-1)
    along_time = vmap(lambda_returns, in_axes=(1, 1, 1, None, None), out_axes=1)
    returns = along_time(rows.reward, rows.end, v_KxN, hparams.gamma, hparams.trace_lambda)
    return Samples(
        rows.observation, rows.action, returns, (rows.end != PADDING).astype(jnp.float32)
    )


def minibatches(config: PQNConfig, key: jax.Array) -> jax.Array:
    """The environment steps of a round that each update sees: int32 [epochs * minibatches, B].

    Every epoch sees each of them once, in an order of its own.
    """
    steps = config.train_every
    positions = jnp.arange(steps, dtype=jnp.int32)
    orders = vmap(draw_order)(jax.random.split(key, config.epochs))
    slots = vmap(lambda order: at_positions(order, positions, steps))(orders)
    return slots.reshape(config.epochs * config.minibatches, -1)


def fit_loss(params: Any, network: QNetwork, batch: Samples) -> jax.Array:
    """Half the mean squared distance of the values of the actions from their returns."""
    q_BxA: Any = network.apply({"params": params}, batch.observation)
    error_B = batch.returns - vmap(select)(q_BxA[..., 0], batch.action)
    return jnp.sum(batch.valid * optax.l2_loss(error_B)) / jnp.maximum(jnp.sum(batch.valid), 1)


@cache
def make_task(config: PQNConfig) -> Task:
    """The task of one config.

    Raises:
      UserError: for an environment, interval or torso that does not fit.
    """
    env = make_environment(config.env, config.protocol)
    check_rounds(config)
    _network(config, env)
    return agent_task(
        config, env, init, draw, step, pqn_values, steps=config.rounds, extends=schedules_end_early
    )


def make_pqn_problem(config: PQNConfig) -> Problem:
    """The task, and the environment's parameters for all runs to share.

    Raises:
      UserError: as `make_task`.
    """
    return agent_problem(make_task(config), config, "pqn", _network, pqn_values)


def pqn_values(
    config: PQNConfig, env: Environment, hparams: PQNHParams, params: Any
) -> Callable[[jax.Array], jax.Array]:
    """The function an agent acts by: observations [N, ...] -> action values float32 [N, A]."""
    network = _network(config, env)

    def values(observation: jax.Array) -> jax.Array:
        outputs: Any = network.apply({"params": params}, observation)
        return mean.action_values(config, hparams, outputs)

    return values


def _network(config: PQNConfig, env: Environment) -> QNetwork:
    return make_network(config, env, bind(mean.head, config))


def _optimizer(
    config: PQNConfig, hparams: PQNHParams, learning_rate: Any
) -> optax.GradientTransformation:
    return radam(learning_rate, max_grad_norm=in_use(config, hparams, "max_grad_norm"))


def _flat(samples: Samples) -> Samples:
    """[K, N, ...] to [K * N, ...]."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), samples)
