"""Tests of the MLP: layers, normalization, residuals, dropout and convolutions."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.mlp.model import ACTIVATIONS, MLP, Dropout, pool
from tests.contract import slow

X = np.float32(np.random.default_rng(0).normal(size=(6, 4)))
BY_HAND = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "identity": lambda x: x,
}


def some_params(model, x=X):
    """Params of the right shapes, none of them 0."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
    return jax.tree.map(lambda leaf: np.float32(rng.normal(size=leaf.shape)), shapes)


def normal(*shape):
    return np.float32(np.random.default_rng(1).normal(size=shape))


def outputs(model, params, x=X):
    return jax.jit(model.apply)({"params": params}, x)


def passes_on(width, layer):
    """Params of a layer that returns its input."""
    return {f"Dense_{layer}": {"kernel": np.eye(width, dtype=np.float32),
                               "bias": np.zeros(width, np.float32)}}  # fmt: skip


def dense(params, layer, x):
    layer = params[f"Dense_{layer}"]
    return x @ layer["kernel"] + layer["bias"]


def close(given, expected):
    chex.assert_trees_all_close(given, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("hidden", "activation"),
    [*(((5, 3, 7), name) for name in BY_HAND), ((), "relu"), ((5,), "tanh"),
     *(slow(hidden, name) for hidden in ((), (5,)) for name in BY_HAND)],
)  # fmt: skip
def test_the_net_applies_f_of_wx_plus_b_in_every_layer(hidden, activation):
    model = MLP(hidden, 2, activation)
    params = some_params(model)
    h = X
    for layer in range(len(hidden)):
        h = BY_HAND[activation](dense(params, layer, h))
    close(outputs(model, params), dense(params, len(hidden), h))


def test_layer_norm_normalizes_each_row_before_the_activation():
    model = MLP((5, 3), 2, "tanh", layer_norm=True)
    params = some_params(model)
    h = X
    for layer in range(2):
        h = dense(params, layer, h)
        h = (h - h.mean(axis=1, keepdims=True)) / np.sqrt(h.var(axis=1, keepdims=True) + 1e-6)
        norm = params[f"LayerNorm_{layer}"]
        h = np.tanh(h * norm["scale"] + norm["bias"])
    close(outputs(model, params), dense(params, 2, h))


def test_residual_layers_add_their_input_where_widths_agree():
    """These are the first and third; the second is wider, and the last is no hidden layer."""
    model = MLP((4, 6, 6), 6, "tanh", residual=True)
    params = some_params(model)
    h = X
    h = h + np.tanh(dense(params, 0, h))
    h = np.tanh(dense(params, 1, h))
    h = h + np.tanh(dense(params, 2, h))
    close(outputs(model, params), dense(params, 3, h))


@pytest.mark.parametrize("image", [(6, 8, 2), (5, 7, 1)])
def test_convolutions_equal_xla_and_are_max_pooled(image):
    x = normal(3, np.prod(image))
    model = MLP((5,), 2, "silu", channels=(4, 3), image=image)
    params = some_params(model, x)

    @jax.jit
    def both(params, x):
        return convolved(params, x), model.apply({"params": params}, x)

    def convolved(params, x):
        h = x.reshape(3, *image)
        for layer, filters in enumerate((4, 3)):
            conv = params[f"Conv3x3_{layer}"]
            kernel = conv["kernel"].reshape(3, 3, h.shape[3], filters)
            names = ("NHWC", "HWIO", "NHWC")
            h = jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=names)
            h = jax.nn.silu(h + conv["bias"][None, None, None])
            window = (1, 2, 2, 1)
            h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, window, window, "VALID")
        return h.reshape(3, -1)

    expected, found = both(params, x)
    h = BY_HAND["silu"](dense(params, 0, np.asarray(expected)))
    assert params["Dense_0"]["kernel"].shape == (image[0] // 4 * (image[1] // 4) * 3, 5)
    close(found, dense(params, 1, h))


def test_layer_norm_of_convolutions_is_over_the_channels_of_a_pixel():
    x = normal(3, 16)
    model = MLP((), 2, "tanh", layer_norm=True, channels=(4,), image=(4, 4, 1))
    params = some_params(model, x)
    assert params["LayerNorm_0"]["scale"].shape == (4,)
    moved = jax.tree.map(lambda leaf: leaf, params)
    moved["Conv3x3_0"]["kernel"] = 7 * params["Conv3x3_0"]["kernel"]
    moved["Conv3x3_0"]["bias"] = 7 * params["Conv3x3_0"]["bias"]
    apply = jax.jit(model.apply)
    chex.assert_trees_all_close(
        apply({"params": moved}, x), apply({"params": params}, x), atol=1e-3
    )


def test_pooling_leaves_out_the_last_pixels_of_an_odd_side():
    x = np.arange(2 * 5 * 3 * 2.0, dtype=np.float32).reshape(2, 5, 3, 2)
    pooled = np.asarray(jax.jit(pool)(np.concatenate([x, -x])))
    chex.assert_shape(pooled, (4, 2, 1, 2))
    np.testing.assert_array_equal(pooled[:2, :, 0], x[:, 1:4:2, 1])
    np.testing.assert_array_equal(pooled[2:, :, 0], -x[:, 0:4:2, 0])


@partial(jax.jit, static_argnums=0)
def apply_dropout(model, params, x, rate, key):
    return model.apply({"params": params}, x, Dropout(rate, key))


def dropped(model, params, rate, seed=0, x=X):
    return np.asarray(apply_dropout(model, params, x, np.float32(rate), jax.random.key(seed)))


def test_dropout_at_rate_0_changes_nothing():
    model = MLP((5,), 2)
    params = some_params(model)
    close(dropped(model, params, 0.0), outputs(model, params))


@pytest.mark.parametrize("rate", [0.25, 0.8])
def test_dropout_drops_units_at_the_rate_and_scales_the_others(rate):
    """Each unit of each row is dropped independently."""
    model = MLP((200,), 200, "identity")
    params = some_params(model)
    params |= passes_on(200, 1)
    kept = dropped(model, params, rate) / dense(params, 0, X)
    is_kept = kept != 0
    np.testing.assert_allclose(kept[is_kept], 1 / (1 - rate), rtol=1e-4)
    np.testing.assert_allclose(is_kept.mean(), 1 - rate, atol=0.05)
    assert len(np.unique(is_kept, axis=0)) == len(X)
    assert len(np.unique(is_kept, axis=1).T) > 10


def test_dropout_at_rate_1_leaves_the_last_bias_and_finite_gradients():
    model = MLP((5,), 2)
    params = some_params(model)
    expected = np.tile(params["Dense_1"]["bias"], (6, 1))
    close(dropped(model, params, 1.0), expected)

    @jax.jit
    def gradient(params, rate):
        total = lambda params: jnp.sum(apply_dropout(model, params, X, rate, jax.random.key(0)))
        return jax.grad(total)(params)

    chex.assert_tree_all_finite(jax.device_get(gradient(params, np.float32(1))))


def test_dropout_draws_anew_for_each_layer_and_for_each_key():
    """After three identity layers at rate 1/2, one in eight units is left."""
    model = MLP((400, 400, 400), 400, "identity")
    params = passes_on(400, 0) | passes_on(400, 1) | passes_on(400, 2) | passes_on(400, 3)
    ones = np.ones((4, 400), np.float32)
    first, again, other = (dropped(model, params, 0.5, seed, ones) for seed in (0, 0, 1))
    np.testing.assert_allclose((first != 0).mean(), 1 / 8, atol=0.04)
    np.testing.assert_array_equal(first, again)
    assert ((first != 0) != (other != 0)).mean() > 0.1


def test_dropout_leaves_the_residual_path():
    model = MLP((4,), 4, "identity", residual=True)
    close(dropped(model, passes_on(4, 0) | passes_on(4, 1), 1.0), X)


STRUCTURES = {
    "plain": {},
    "layer norm": {"layer_norm": True},
    "residual": {"hidden": (4, 4, 8), "residual": True},
    "convolutions": {"channels": (3, 2), "image": (4, 5, 2)},
    "all": {"layer_norm": True, "residual": True, "channels": (3,), "image": (5, 4, 2)},
}


def assert_every_gradient(model, x, with_dropout=False):
    """Asserts that every param has a gradient, without dropout and optionally with it."""

    def total(params, dropout):
        outputs = model.apply({"params": params}, x, dropout)
        return jnp.sum(jnp.square(outputs - 1))

    @jax.jit
    def gradients(params):
        dropouts = [None, Dropout(np.float32(0.3), jax.random.key(3))][: 1 + with_dropout]
        return [jax.grad(total)(params, dropout) for dropout in dropouts]

    found = jax.device_get(gradients(some_params(model, x)))
    for path, gradient in jax.tree_util.tree_leaves_with_path(found):
        assert (np.abs(gradient) > 1e-6).any(), path


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_every_parameter_has_a_gradient(activation):
    assert_every_gradient(MLP((16, 8), 2, activation), X)


@pytest.mark.parametrize(
    "structure",
    ["all", slow("residual"), slow("plain"), slow("layer norm"), slow("convolutions")],
)
def test_every_parameter_of_every_structure_has_a_gradient(structure):
    options = {"hidden": (8, 8), **STRUCTURES[structure]}
    x = normal(6, 40) if "image" in options else X
    assert_every_gradient(MLP(outputs=2, activation="silu", **options), x, with_dropout=True)


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2.0), ("tanh", 1.0)])
def test_initial_kernels_have_the_published_variance(activation, gain):
    model = MLP((2000,), 1, activation)
    kernel = jax.jit(model.init)(jax.random.key(1), X)["params"]["Dense_0"]["kernel"]
    np.testing.assert_allclose(np.var(kernel), gain / 4, rtol=0.05)


@pytest.mark.parametrize("channels", [(), (4,)])
def test_bfloat16_gives_nearly_the_same_outputs(channels):
    image = (4, 4, 1) if channels else ()
    x = normal(6, 16)
    exact, low = (MLP((20,), 3, "relu", channels=channels, image=image, dtype=dtype)
                  for dtype in (jnp.float32, jnp.bfloat16))  # fmt: skip
    params = {"params": some_params(exact, x)}
    outputs, expected = jax.jit(lambda: (low.apply(params, x), exact.apply(params, x)))()
    assert outputs.dtype == np.float32
    outputs, expected = np.asarray(outputs), np.asarray(expected)
    assert 0 < np.abs(outputs - expected).max() < 0.03 * np.abs(expected).max()
