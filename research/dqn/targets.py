"""What a value function should have said: returns, targets and losses of Q-learning.

One transition each, to be used under `vmap`; subscripts count time, `tm1` being t - 1:

    q_tm1, a_tm1, r_t, discount_t, q_t

Action values are float32 [A]. `discount_t` is gamma while the episode continues and 0 once it has
terminated. n-step returns take the place of `r_t` and gamma**n that of `discount_t`.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax

from research.dqn.acting import TERMINATED, TRUNCATED


class NStep(NamedTuple):
    """A return over the steps that one episode has left, at most n.

    Attributes:
      r_t: float32 [], the discounted sum of rewards.
      discount_t: float32 [], what to multiply the value of the bootstrap observation with.
      steps: int32 [], how many steps after the first that observation lies.
    """

    r_t: jax.Array
    discount_t: jax.Array
    steps: jax.Array


def n_step_return(reward_n: jax.Array, end_n: jax.Array, gamma: Any) -> NStep:
    """Sutton (1988): the rewards of n steps, or of fewer where the episode ends among them.

    After a termination there is no value to bootstrap from; where a time limit cut the episode
    short there is, that of its last observation.

    Args:
      reward_n: float32 [n].
      end_n: uint8 [n], how each step ended (see `acting`).
      gamma: float32 [], of one step.
    """
    chex.assert_equal_shape([reward_n, end_n])
    r_t, discount, going = jnp.float32(0), jnp.float32(1), jnp.bool_(True)
    steps = jnp.int32(0)
    for reward, end in zip(reward_n, end_n, strict=True):
        r_t = r_t + jnp.where(going, discount * reward, 0)
        steps = steps + going.astype(jnp.int32)
        ends_here = jnp.where(end == TERMINATED, 0.0, gamma)
        discount = jnp.where(going, discount * ends_here, discount)
        going = going & (end != TERMINATED) & (end != TRUNCATED)
    return NStep(r_t, discount, steps)


def q_learning(r_t: Any, discount_t: Any, q_t: jax.Array) -> jax.Array:
    """Watkins (1989); Mnih et al. (2015), eq. 2: `r + gamma max_a Q(s', a)`."""
    return lax.stop_gradient(r_t + discount_t * jnp.max(q_t))


def double_q_learning(
    r_t: Any, discount_t: Any, q_t_value: jax.Array, q_t_selector: jax.Array
) -> jax.Array:
    """Van Hasselt et al. (2016), eq. 4: one network chooses the action, the other values it."""
    return lax.stop_gradient(r_t + discount_t * select(q_t_value, jnp.argmax(q_t_selector)))


def munchausen_bonus(q_tm1: jax.Array, a_tm1: jax.Array, scale: Any, temperature: Any) -> jax.Array:
    """Vieillard et al. (2020), eq. 1: `scale * temperature * log pi(a | s)`, no less than -scale.

    `pi` is the softmax of the target network's values over `temperature`. The authors clip
    `temperature * log pi` at -1.
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
    """Vieillard et al. (2020), eq. 2. All values are the target network's."""
    soft_value = temperature * jax.nn.logsumexp(q_t / temperature)
    bonus = munchausen_bonus(q_tm1, a_tm1, scale, temperature)
    return lax.stop_gradient(r_t + bonus + discount_t * soft_value)


def lambda_returns(
    reward_T: jax.Array, end_T: jax.Array, v_t_T: jax.Array, gamma: Any, lambda_: Any
) -> jax.Array:
    """Peng's Q(lambda), Gallici et al. (2024), eq. 11: float32 [T].

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


def squared(td_error: jax.Array) -> jax.Array:
    """Half the squared error, whose slope is the error."""
    return 0.5 * jnp.square(td_error)


def huber(td_error: jax.Array, delta: float = 1.0) -> jax.Array:
    """Huber (1964): quadratic within `delta` of zero, linear beyond (Mnih et al., 2015)."""
    size = jnp.abs(td_error)
    inside = jnp.minimum(size, delta)
    return 0.5 * jnp.square(inside) + delta * (size - inside)


LOSSES = {"huber": huber, "squared": squared}


def select(values: jax.Array, action: jax.Array | int) -> jax.Array:
    """The row of `values` [A, ...] for one action, by masking: a gather under `vmap` is slower."""
    chosen = jnp.arange(values.shape[0], dtype=jnp.int32) == jnp.asarray(action, jnp.int32)
    return jnp.sum(jnp.where(chosen.reshape((-1,) + (1,) * (values.ndim - 1)), values, 0), axis=0)
