"""The network."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.mlp.model import ACTIVATIONS, MLP

X = jax.random.normal(jax.random.key(0), (6, 4))
BY_HAND = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "identity": lambda x: x,
}


def initial(model):
    return model.init(jax.random.key(1), X)["params"]


@pytest.mark.parametrize("activation", list(BY_HAND))
@pytest.mark.parametrize("hidden", [(), (5,), (5, 3, 7)])
def test_it_is_f_of_wx_plus_b_layer_by_layer(hidden, activation):
    model = MLP(hidden, 2, activation)
    params = jax.tree.map(lambda leaf: leaf + 0.1, initial(model))  # no zero biases
    h = np.asarray(X)
    for layer in range(len(hidden) + 1):
        dense = params[f"Dense_{layer}"]
        h = h @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
        if layer < len(hidden):
            h = BY_HAND[activation](h)
    chex.assert_trees_all_close(model.apply({"params": params}, X), h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_every_parameter_has_a_gradient(activation):
    model = MLP((16, 8), 2, activation)

    def total(params):
        return jnp.sum(jnp.square(model.apply({"params": params}, X)))

    for gradient in jax.tree.leaves(jax.grad(total)(initial(model))):
        assert jnp.any(gradient != 0)


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2.0), ("tanh", 1.0)])
def test_kernels_start_with_the_variance_of_their_papers(activation, gain):
    model = MLP((2000,), 1, activation)
    kernel = initial(model)["Dense_0"]["kernel"]
    np.testing.assert_allclose(jnp.var(kernel), gain / 4, rtol=0.05)
