"""Tests of the Q-network: shapes, dueling, and the torso for an observation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.dqn.environments import make_environment
from research.dqn.networks import QNetwork, choose_torso, scale
from research.errors import UserError


def values(network, x):
    """A head with one value for each action."""
    return network.actions(x, 1)


def five_values(network, x):
    """A head with five values for each action."""
    return network.actions(x, 5)


@partial(jax.jit, static_argnums=0)
def both(network, observation):
    params = network.init(jax.random.key(0), observation)["params"]
    return params, network.apply({"params": params}, observation)


def initialized(network, observation):
    """Params and outputs, on the host."""
    return jax.device_get(both(network, observation))


@partial(jax.jit, static_argnums=0)
def apply(network, params, observation):
    return network.apply({"params": params}, observation)


def bits(*shape):
    return np.random.default_rng(0).random(shape) < 0.5


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("torso", ["conv", "flat"])
def test_the_head_decides_how_many_outputs_an_action_has(dueling, layer_norm, torso):
    seen = bits(7, 10, 10, 4)
    network = QNetwork(3, five_values, torso, (32, 16), dueling=dueling, layer_norm=layer_norm)
    params, outputs = jax.eval_shape(partial(both, network), seen)
    assert outputs.shape == (7, 3, 5)
    assert outputs.dtype == jnp.float32
    norms = [name for name in params if name.startswith("LayerNorm")]
    layers = (3 if dueling else 2) + (torso == "conv")
    assert len(norms) == (layers if layer_norm else 0)


def test_the_minatar_network_has_the_published_size():
    """16 filters of 3x3 and 128 units (Young and Tian, 2019), here 4 channels and 6 actions."""
    network = QNetwork(6, values, "conv", (128,))
    params, _ = jax.eval_shape(partial(both, network), bits(1, 10, 10, 4))
    sizes = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert sizes == (9 * 4 * 16 + 16) + (8 * 8 * 16 * 128 + 128) + (128 * 6 + 6)


def test_dueling_advantages_sum_to_0():
    """The mean over actions is the state value alone (Wang et al., 2016, eq. 9)."""
    network = QNetwork(4, values, "mlp", (8,), dueling=True)
    x = np.float32(np.random.default_rng(1).normal(size=(6, 3)))
    params, before = initialized(network, x)
    shifted = {**params, "value": {**params["value"], "bias": np.float32([2])}}
    after = apply(network, shifted, x)
    np.testing.assert_allclose(after, before + 2, rtol=1e-5)
    moved = {**params, "advantage": {**params["advantage"], "bias": np.float32([4, 0, 0, 0])}}
    after = apply(network, moved, x)
    np.testing.assert_allclose(after - before, np.tile([[[3], [-1], [-1], [-1]]], (6, 1, 1)),
                               atol=1e-5)  # fmt: skip


def test_integer_observations_are_one_hot():
    network = QNetwork(4, values, "mlp", (), categories=16)
    params, outputs = initialized(network, np.int32([0, 15]))
    kernel = params["action"]["kernel"]
    assert kernel.shape == (16, 4)
    np.testing.assert_allclose(outputs[:, :, 0], kernel[[0, 15]], rtol=1e-6)


@pytest.mark.parametrize(
    ("env", "torso"),
    [("CartPole-v1", "mlp"), ("Breakout-MinAtar", "conv"), ("Catch-bsuite", "flat"),
     ("FrozenLake-misc", "mlp")],
)  # fmt: skip
def test_the_torso_is_chosen_by_the_observation(env, torso):
    assert choose_torso("auto", make_environment(env)) == torso
    assert choose_torso("flat", make_environment(env)) == "flat"


@pytest.mark.parametrize(
    ("env", "torso", "says"),
    [
        ("Breakout-MinAtar", "mlp", "--torso mlp: Breakout-MinAtar shows 10x10x4, no vector"),
        ("Catch-bsuite", "mlp", "--torso mlp: Catch-bsuite shows 10x5, no vector; use flat"),
        ("CartPole-v1", "conv", "--torso conv: CartPole-v1 shows 4; use mlp or flat"),
        ("FrozenLake-misc", "conv", "--torso conv: FrozenLake-misc shows one number"),
        ("CartPole-v1", "resnet", "--torso resnet: there are auto, mlp, flat"),
    ],
)  # fmt: skip
def test_a_torso_that_does_not_fit_gives_a_one_line_error(env, torso, says):
    with pytest.raises(UserError, match=says):
        choose_torso(torso, make_environment(env))


def test_bounded_numbers_are_scaled_to_1_and_others_unchanged():
    bounds = ((-1.2, 0.6), (float("-inf"), float("inf")), (0.0, 4.0))
    given = np.float32([[-1.2, 7.0, 1.0], [0.6, -9.0, 4.0]])
    np.testing.assert_allclose(scale(given, bounds), [[-1, 7, -0.5], [1, -9, 1]], rtol=1e-6)
    assert scale(given, ()) is given
    kernel, bias = np.ones((3, 2), np.float32), np.zeros(2, np.float32)
    params = {"action": {"kernel": kernel, "bias": bias}}
    networks = QNetwork(2, values, "mlp", ()), QNetwork(2, values, "mlp", (), bounds=bounds)
    outputs = [apply(network, params, given)[:, 0, 0] for network in networks]
    np.testing.assert_allclose(outputs, [[6.8, -4.4], [5.5, -7.0]], rtol=1e-5)


def test_bfloat16_gives_nearly_the_same_outputs():
    seen = bits(7, 10, 10, 4)
    params, expected = initialized(QNetwork(3, values, "conv", (32,)), seen)
    outputs = apply(QNetwork(3, values, "conv", (32,), dtype=jnp.bfloat16), params, seen)
    assert outputs.dtype == jnp.float32
    largest = np.max(np.abs(expected))
    assert 0 < np.max(np.abs(np.asarray(outputs) - expected)) < 0.03 * largest
