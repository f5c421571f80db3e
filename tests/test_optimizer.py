"""Tests that optimizers with traced hyper-parameters equal those with Python numbers."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.optimizer import adam, adamw, bias_corrections, radam, sgd

PARAMS = {"kernel": np.array([[1, -2], [3, 0.5]], np.float32), "bias": np.float32([0.1, -0.2])}
GRADS = {"kernel": np.array([[0.3, 0.1], [-2, 1]], np.float32), "bias": np.float32([1, -1])}


def descend(optimizer, steps=3):
    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(steps):
        updates, state = optimizer.update(GRADS, state, params)
        params = optax.apply_updates(params, updates)
    return params


def descended(make, *numbers, steps=3):
    """The params after some steps of the optimizer that `make` builds from traced numbers."""
    return jax.jit(lambda *given: descend(make(*given), steps))(*map(np.float32, numbers))


def test_adamw_with_traced_hyperparameters_equals_optax():
    mask = {"kernel": True, "bias": False}
    with jax.numpy_dtype_promotion("standard"):
        make = lambda: optax.adamw(0.1, b1=0.8, b2=0.99, weight_decay=0.3, mask=mask)
        expected = descended(make)
    given = descended(adamw, 0.1, 0.3, 0.8, 0.99)
    chex.assert_trees_all_close(given, expected, rtol=1e-6)


def test_bias_corrections_that_are_given_change_no_bit():
    def descend(known, rate, b1, b2):
        def one_update(carry, t):
            params, state = carry
            corrections = bias_corrections(t, b1, b2) if known else None
            optimizer = adamw(rate, 0.1, b1, b2, corrections=corrections)
            updates, state = optimizer.update(GRADS, state, params)
            return (optax.apply_updates(params, updates), state), None

        start = PARAMS, adamw(rate, 0.1, b1, b2).init(PARAMS)
        return jax.lax.scan(one_update, start, jnp.arange(5))[0]

    numbers = np.float32([0.1, 0.8, 0.99])
    given, computed = (jax.jit(partial(descend, known))(*numbers) for known in (True, False))
    chex.assert_trees_all_equal(given, computed)


def test_learning_rates_under_vmap_equal_single_ones():
    rates = np.asarray([0.1, 0.01], np.float32)
    one = jax.jit(lambda rate: descend(adamw(rate, 0.0, 0.9, 0.999)))
    together = jax.jit(jax.vmap(one))(rates)
    for index, rate in enumerate(rates):
        alone = one(rate)
        lane = jax.tree.map(lambda leaf: leaf[index], together)  # noqa: B023
        chex.assert_trees_all_close(lane, alone, rtol=1e-6)


def test_momentum_by_hand():
    """With v = 0.5 v + g, three steps move params by g x (1 + 1.5 + 1.75) x rate."""
    moved = descended(lambda: sgd(0.1, 0.0, 0.5))["bias"]
    np.testing.assert_allclose(moved, PARAMS["bias"] - 0.1 * 4.25 * GRADS["bias"], rtol=1e-6)


@pytest.mark.parametrize("make", [lambda decay: sgd(0.1, decay, 0.0),
                                  lambda decay: adamw(0.1, decay, 0.9, 0.999)])  # fmt: skip
def test_weight_decay_shrinks_kernels_and_spares_biases(make):
    plain, decayed = (descended(make, decay, steps=1) for decay in (0.0, 0.5))
    difference = jax.tree.map(lambda one, other: np.asarray(one) - other, plain, decayed)
    np.testing.assert_allclose(difference["kernel"], 0.05 * PARAMS["kernel"], atol=1e-6)
    np.testing.assert_array_equal(difference["bias"], 0)


@pytest.mark.parametrize(
    ("make", "theirs"),
    [
        (lambda rate, norm: adam(rate, 1.0, norm), lambda rate: optax.adam(rate, eps=1.0)),
        (radam, optax.radam),
        (lambda rate, norm: sgd(rate, 0.0, max_grad_norm=norm), optax.sgd),
    ],
    ids=["adam", "radam", "sgd"],
)
def test_clipping_to_a_traced_norm_equals_optax(make, theirs):
    """It takes ten steps, since RAdam begins to adapt only after a few."""
    with jax.numpy_dtype_promotion("standard"):
        clipped = lambda: optax.chain(optax.clip_by_global_norm(0.5), theirs(0.1))
        expected = descended(clipped, steps=10)
        unclipped = descended(lambda: theirs(0.1), steps=10)
    traced = jax.jit(lambda rate, norm: descend(make(rate, norm), 10))
    given = traced(np.float32(0.1), np.float32(0.5))
    chex.assert_trees_all_close(given, expected, atol=1e-4)
    chex.assert_trees_all_close(traced(np.float32(0.1), np.float32(0)), unclipped, atol=1e-4)
    assert abs(float(given["bias"][0] - unclipped["bias"][0])) > 1e-2


def test_adamw_clips_gradients_before_it_normalizes_them():
    """Adam is invariant to scale unless its epsilon matters, hence the very small norm."""
    with jax.numpy_dtype_promotion("standard"):
        clipped = lambda: optax.chain(optax.clip_by_global_norm(1e-8), optax.adam(0.1))
        expected = descended(clipped)
    given = descended(lambda: adamw(0.1, 0.0, 0.9, 0.999, 1e-8))
    chex.assert_trees_all_close(given, expected, rtol=1e-5)
    assert abs(float(given["bias"][0] - descended(adamw, 0.1, 0.0, 0.9, 0.999)["bias"][0])) > 1e-2
