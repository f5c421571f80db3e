"""Tests of IQN: the fractions of its quantiles, and its loss against rlax."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from research.dqn import Config, HParams
from research.dqn.environments import make_environment
from research.dqn.task import q_network
from research.dqn.values import ValueOutputs, iqn
from research.dqn.values.iqn import Quantiles
from tests.dqn.oracles import lenient, rlax

CONFIG = Config(values="iqn", atoms=6, hidden=(8, 8), n_step=1)
NET = q_network(CONFIG, make_environment("CartPole-v1"))
SEEN = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)

loss = jax.jit(partial(iqn.loss, CONFIG, HParams()))


@pytest.fixture(scope="module")
def params():
    return jax.jit(NET.init)(jax.random.key(0), SEEN)["params"]


@jax.jit
def at_midpoints(params, seen):
    return NET.apply({"params": params}, seen)


@jax.jit
def at_random(params, seen, key):
    return NET.apply({"params": params}, seen, rngs={"tau": key})


def test_the_policy_looks_at_the_midpoints_and_the_loss_at_random_fractions(params):
    greedy = jax.device_get(at_midpoints(params, SEEN))
    midpoints = (np.arange(6) + 0.5) / 6
    np.testing.assert_allclose(greedy.fraction, np.tile(midpoints, (5, 1)), rtol=1e-6)
    drawn = jax.device_get(at_random(params, SEEN, jax.random.key(1)))
    assert drawn.value.shape == (5, 2, 6)
    assert len(np.unique(drawn.fraction)) == 30  # of every transition its own
    assert ((drawn.fraction > 0) & (drawn.fraction < 1)).all()
    again = at_random(params, SEEN, jax.random.key(2))
    assert not np.allclose(drawn.fraction, again.fraction)


def test_a_quantile_depends_on_its_observation_and_fraction_alone(params):
    """Permuting three observations with the same fractions permutes their quantiles."""
    first = jax.device_get(at_random(params, SEEN, jax.random.key(1)))
    order = np.array([3, 0, 4, 2, 1])
    by_hand = jax.jit(partial(quantile_by_hand))
    for row in order:
        for place in (0, 5):
            expected = by_hand(params, SEEN[row], first.fraction[row, place])
            np.testing.assert_allclose(first.value[row, :, place], expected, rtol=1e-4, atol=1e-6)


def quantile_by_hand(params, seen, fraction):
    """Eq. 4 of the paper and the layers around it for one observation: float32 [A]."""
    layer = lambda name, x: x @ params[name]["kernel"] + params[name]["bias"]
    embedding = jax.nn.relu(
        layer("tau", jnp.cos(jnp.pi * jnp.arange(64, dtype=jnp.float32) * fraction))
    )
    features = jax.nn.relu(layer("Dense_0", seen)) * embedding
    return layer("action", jax.nn.relu(layer("Dense_1", features)))


def outputs(seed):
    """The network outputs of one transition with three actions."""
    rng = np.random.default_rng(seed)
    one = lambda: Quantiles(
        rng.normal(size=(3, 6)).astype(np.float32), rng.random(6).astype(np.float32)
    )
    return ValueOutputs(one(), one())


def test_the_loss_equals_rlax():
    given = outputs(0)
    ours, priority = loss(given, np.int32(1), 0.5, 0.9)
    best = int(np.argmax(given.target_t.value.mean(axis=1)))
    target = 0.5 + 0.9 * given.target_t.value[best]
    with lenient():
        theirs = jax.jit(rlax.quantile_regression_loss, static_argnums=3)
        expected = theirs(given.online_tm1.value[1], given.online_tm1.fraction, target, 1.0)
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)
    distance = abs(target.mean() - given.online_tm1.value[1].mean())
    assert float(priority) == pytest.approx(float(distance), rel=1e-5)


def test_the_gradient_of_the_loss():
    given = outputs(1)

    def of_values(value):
        online = given.online_tm1._replace(value=value)
        return loss(given._replace(online_tm1=online), np.int32(0), 0.5, 0.9)[0]

    check_grads(of_values, (given.online_tm1.value,), order=1, modes=["rev"], eps=1e-3, rtol=2e-2)
