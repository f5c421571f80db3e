"""Targets and losses of Q-learning, for one transition each; use them under `vmap`.

Subscripts count time, `tm1` being t - 1:

    q_tm1, a_tm1, r_t, discount_t, q_t

Action values are float32 [A]. `discount_t` is gamma while the episode continues and 0 once it has
terminated. n-step returns take the place of `r_t` and gamma**n that of `discount_t`.
"""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.by_platform import by_platform
from research.dqn.rollout import TERMINATED, TRUNCATED


def q_learning(r_t: Any, discount_t: Any, q_t: jax.Array) -> jax.Array:
    """The target `r + gamma max_a Q(s', a)` (Watkins, 1989; Mnih et al., 2015, eq. 2)."""
    return lax.stop_gradient(r_t + discount_t * largest(q_t))


def double_q_learning(
    r_t: Any, discount_t: Any, q_t_value: jax.Array, q_t_selector: jax.Array
) -> jax.Array:
    """The target of double Q-learning: one network chooses the action, the other values it.

    Van Hasselt et al. (2016), eq. 4.
    """
    return lax.stop_gradient(r_t + discount_t * select(q_t_value, jnp.argmax(q_t_selector)))


def munchausen_bonus(q_tm1: jax.Array, a_tm1: jax.Array, scale: Any, temperature: Any) -> jax.Array:
    """The bonus `scale * temperature * log pi(a | s)`, at least -scale.

    Vieillard et al. (2020), eq. 1. `pi` is the softmax of the target network's values over
    `temperature`. The authors clip `temperature * log pi` at -1.
    """
    log_policy = temperature * jax.nn.log_softmax(q_tm1 / temperature)
    return scale * jnp.clip(select(log_policy, a_tm1), -1.0, 0.0)


def munchausen_q_learning(
    r_t: Any,
    discount_t: Any,
    q_t: jax.Array,
    q_tm1: jax.Array,
    a_tm1: jax.Array,
    scale: Any,
    temperature: Any,
) -> jax.Array:
    """The Munchausen target: reward, bonus and soft value (Vieillard et al., 2020, eq. 2).

    All values are the target network's.
    """
    soft_value = temperature * jax.nn.logsumexp(q_t / temperature)
    bonus = munchausen_bonus(q_tm1, a_tm1, scale, temperature)
    return lax.stop_gradient(r_t + bonus + discount_t * soft_value)


def lambda_returns(
    reward_T: jax.Array, end_T: jax.Array, v_t_T: jax.Array, gamma: Any, lambda_: Any
) -> jax.Array:
    """Returns of Peng's Q(lambda) (Gallici et al., 2024, eq. 11): float32 [T].

    `G_t = r_t + gamma (lambda G_{t+1} + (1 - lambda) v_t)`, from `v_t` alone at the last step and
    where a time limit struck, and without anything after a termination.

    Args:
      reward_T: float32 [T].
      end_T: uint8 [T], how each step ended.
      v_t_T: float32 [T], the value of what each step led to, `max_a Q`.
      gamma, lambda_: float32 [].
    """
    chex.assert_equal_shape([reward_T, end_T, v_t_T])

    def back(return_t, step):
        reward, end, v_t = step
        mixed = lambda_ * return_t + (1 - lambda_) * v_t
        future = jnp.where(end == TRUNCATED, v_t, mixed)
        return_tm1 = reward + jnp.where(end == TERMINATED, 0, gamma * future)
        return return_tm1, return_tm1

    _, returns_T = lax.scan(back, v_t_T[-1], (reward_T, end_T, v_t_T), reverse=True)
    return lax.stop_gradient(returns_T)


LOSSES = {
    "huber": optax.huber_loss,
    "squared": optax.l2_loss,
}  # of a TD error; both half its square


def largest(values: jax.Array) -> jax.Array:
    """The largest of action values [A]."""
    by_pairs = lambda values: functools.reduce(jnp.maximum, list(values))
    return by_platform(values, gpu=by_pairs, other=jnp.max)


def select(values: jax.Array, action: jax.Array | int) -> jax.Array:
    """The row of `values` [A, ...] for one action.

    It is taken by masking: a gather under `vmap` is slower.
    """
    action = jnp.asarray(action, jnp.int32)
    return by_platform(values, action, gpu=_select_by_rows, other=_select_by_mask)


def _select_by_mask(values, action):
    chosen = jnp.arange(values.shape[0], dtype=jnp.int32) == action
    return jnp.sum(jnp.where(chosen.reshape((-1,) + (1,) * (values.ndim - 1)), values, 0), axis=0)


def _select_by_rows(values, action):
    """`select` without a reduction, which on a GPU is a kernel of its own."""
    rows = [jnp.where(action == one, row, 0) for one, row in enumerate(values)]
    return functools.reduce(jnp.add, rows)
