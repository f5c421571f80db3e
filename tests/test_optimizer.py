"""Traced hyper-parameters give what numbers give."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.optimizer import adam, adamw, radam, sgd

PARAMS = {"kernel": jnp.asarray([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.asarray([0.1, -0.2])}
GRADS = {"kernel": jnp.asarray([[0.3, 0.1], [-2.0, 1.0]]), "bias": jnp.asarray([1.0, -1.0])}


def descend(optimizer, steps=3):
    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(steps):
        updates, state = optimizer.update(GRADS, state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_adamw_with_traced_hyperparameters_is_optax_with_numbers():
    mask = {"kernel": True, "bias": False}
    with jax.numpy_dtype_promotion("standard"):
        expected = descend(optax.adamw(0.1, b1=0.8, b2=0.99, weight_decay=0.3, mask=mask))
    traced = jax.jit(lambda *hparams: descend(adamw(*hparams)))
    given = traced(*map(jnp.float32, (0.1, 0.3, 0.8, 0.99)))
    chex.assert_trees_all_close(given, expected, rtol=1e-6)


def test_many_rates_under_vmap_are_each_what_one_is():
    rates = jnp.asarray([0.1, 0.01])
    together = jax.vmap(lambda rate: descend(adamw(rate, 0.0, 0.9, 0.999)))(rates)
    for index, rate in enumerate(rates):
        alone = descend(adamw(rate, 0.0, 0.9, 0.999))
        lane = jax.tree.map(lambda leaf: leaf[index], together)  # noqa: B023
        chex.assert_trees_all_close(lane, alone, rtol=1e-6)


def test_momentum_by_hand():
    """v = 0.5 v + g, so that three steps move by g x (1 + 1.5 + 1.75) x rate."""
    moved = descend(sgd(0.1, 0.0, 0.5))["bias"]
    np.testing.assert_allclose(moved, PARAMS["bias"] - 0.1 * 4.25 * GRADS["bias"], rtol=1e-6)


@pytest.mark.parametrize("make", [lambda decay: sgd(0.1, decay, 0.0),
                                  lambda decay: adamw(0.1, decay, 0.9, 0.999)])  # fmt: skip
def test_decay_shrinks_kernels_by_rate_times_decay_and_spares_biases(make):
    plain, decayed = descend(make(0.0), 1), descend(make(0.5), 1)
    difference = jax.tree.map(jnp.subtract, plain, decayed)
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
def test_a_traced_bound_on_the_norm_is_optaxs_clipping(make, theirs):
    """Ten steps: RAdam waits a few before it adapts."""
    with jax.numpy_dtype_promotion("standard"):
        expected = descend(optax.chain(optax.clip_by_global_norm(0.5), theirs(0.1)), 10)
        unclipped = descend(theirs(0.1), 10)
    traced = jax.jit(lambda rate, norm: descend(make(rate, norm), 10))
    given = traced(jnp.float32(0.1), jnp.float32(0.5))
    chex.assert_trees_all_close(given, expected, atol=1e-4)
    chex.assert_trees_all_close(traced(jnp.float32(0.1), jnp.float32(0)), unclipped, atol=1e-4)
    assert abs(float(given["bias"][0] - unclipped["bias"][0])) > 1e-2


def test_adamw_shortens_gradients_before_it_forgets_their_size():
    """Adam is blind to a factor unless its epsilon matters: so a very small bound."""
    with jax.numpy_dtype_promotion("standard"):
        expected = descend(optax.chain(optax.clip_by_global_norm(1e-8), optax.adam(0.1)))
    given = descend(adamw(0.1, 0.0, 0.9, 0.999, 1e-8))
    chex.assert_trees_all_close(given, expected, rtol=1e-5)
    assert abs(float(given["bias"][0] - descend(adamw(0.1, 0.0, 0.9, 0.999))["bias"][0])) > 1e-2
