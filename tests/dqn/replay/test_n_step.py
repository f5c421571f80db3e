"""Tests of n-step returns against hand-computed values and rlax."""

import jax
import numpy as np
import pytest

from research.dqn.replay import n_step
from research.dqn.rollout import CONTINUES, PADDING, TERMINATED, TRUNCATED
from tests.dqn.oracles import lenient, rlax

GO, END, CUT = CONTINUES, TERMINATED, TRUNCATED

n_step_return = jax.jit(n_step.n_step_return)


@pytest.mark.parametrize(
    ("ends", "r_t", "discount_t", "steps"),
    [
        ([GO, GO, GO], 1 + 0.5 * 2 + 0.25 * 4, 0.125, 3),
        ([END, GO, GO], 1, 0, 1),
        ([GO, END, GO], 1 + 0.5 * 2, 0, 2),
        ([GO, GO, END], 1 + 0.5 * 2 + 0.25 * 4, 0, 3),
        ([CUT, PADDING, GO], 1, 0.5, 1),
        ([GO, CUT, PADDING], 1 + 0.5 * 2, 0.25, 2),
        ([GO, GO, CUT], 1 + 0.5 * 2 + 0.25 * 4, 0.125, 3),
    ],
)
def test_n_step_returns_stop_at_the_end_of_an_episode(ends, r_t, discount_t, steps):
    """A time limit bootstraps from the last observation, a terminal state from none."""
    returns = n_step_return(np.float32([1, 2, 4]), np.uint8(ends), 0.5)
    np.testing.assert_allclose(returns, (r_t, discount_t, steps), rtol=1e-7)


def test_a_return_of_one_step_is_the_reward():
    returns = n_step_return(np.float32([3]), np.uint8([GO]), 0.9)
    np.testing.assert_allclose(returns, (3.0, 0.9, 1), rtol=1e-7)


def test_n_step_returns_equal_rlax():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=20).astype(np.float32)
    ends = np.where(rng.random(20) < 0.2, END, GO).astype(np.uint8)
    values = rng.normal(size=20).astype(np.float32)
    n, gamma = 4, 0.9
    with lenient():
        discounts = gamma * (ends != END).astype(np.float32)
        theirs = jax.jit(rlax.n_step_bootstrapped_returns, static_argnums=3)
        expected = np.asarray(theirs(rewards, discounts, values, n))
    for start in range(20 - n + 1):
        part = slice(start, start + n)
        ours = jax.device_get(n_step_return(rewards[part], ends[part], gamma))
        value = values[start + int(ours.steps) - 1]
        np.testing.assert_allclose(ours.r_t + ours.discount_t * value, expected[start], rtol=1e-5)
