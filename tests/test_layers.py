"""Tests of layers: the convolution against XLA, the dense layer against flax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.layers import NARROW, Conv3x3, Dense


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("pad", "padding"), [(False, "VALID"), (True, "SAME")])
def test_the_convolution_equals_xla(pad, padding):
    x = drawn(5, 7, 10, 4)
    ours = Conv3x3(16, pad)

    @jax.jit
    def both(key):
        params = {**ours.init(key, x)["params"], "bias": jnp.arange(16.0)}
        kernel = params["kernel"].reshape(3, 3, 4, 16)
        expected = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return ours.apply({"params": params}, x), expected + params["bias"][None, None, None]

    given, expected = both(jax.random.key(1))
    np.testing.assert_allclose(given, expected, atol=1e-5)


LAYERS = {
    "narrow": Dense(NARROW),
    "wide": Dense(NARROW + 1),
    "narrow, low": Dense(NARROW, dtype=jnp.bfloat16),
    "wide, low": Dense(NARROW + 1, dtype=jnp.bfloat16),
}


@pytest.mark.parametrize("name", list(LAYERS))
def test_the_dense_layer_and_its_gradients_equal_flax(name):
    layer, x = LAYERS[name], drawn(3, 24, 7)
    theirs = nn.Dense(layer.features)
    init = jax.jit(jax.vmap(lambda key: theirs.init(key, x[0])))
    params = init(jax.random.split(jax.random.key(1), 3))
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), params)
    begun = jax.eval_shape(layer.init, jax.random.key(0), x[0])
    assert jax.tree.structure(params) == jax.tree.structure(begun)

    def squares(layer):
        def loss(params, x):
            out = layer.apply(params, x)
            return jnp.sum(jnp.square(out)), out

        return jax.jit(jax.vmap(jax.grad(loss, (0, 1), has_aux=True)))(params, x)

    tolerance = 2e-2 if layer.dtype == jnp.bfloat16 else 1e-5
    for ours, other in zip(*map(jax.tree.leaves, (squares(layer), squares(theirs))), strict=True):
        assert ours.dtype == jnp.float32
        ours, other = np.asarray(ours), np.asarray(other)
        assert np.linalg.norm(ours - other) < tolerance * np.linalg.norm(other)


@pytest.mark.parametrize("name", ["narrow", "wide"])
def test_float32_layers_support_forward_over_reverse_second_derivatives(name):
    layer, x = LAYERS[name], drawn(5, 3)
    params = jax.jit(layer.init)(jax.random.key(1), x)
    gradient = jax.grad(lambda params: jnp.sum(layer.apply(params, x) ** 3))
    gradients, curved = jax.jit(lambda params: jax.jvp(gradient, (params,), (params,)))(params)
    for ours, grad in zip(*map(jax.tree.leaves, (curved, gradients)), strict=True):
        np.testing.assert_allclose(ours, 2 * np.asarray(grad), rtol=1e-4, atol=1e-4)  # of degree 2
