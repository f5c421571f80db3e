"""Tests of counting floating-point operations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from research import lm, mlp
from research.engine.flops import count_flops
from research.lm.data import Heldout, TextData
from research.mlp.dataset import Dataset, Split
from research.shuffle import at_positions, draw_order
from research.task import Problem, always_zero

ONE = 2 * 8 * 8 * 8  # of a product of 8 x 8 matrices


def counted(function):
    return count_flops(jax.jit(function).trace(jnp.zeros((8, 8))).jaxpr)


def a_step(function, steps):
    """The FLOPs of `function(x, t)`, on average over so many steps."""
    return count_flops(jax.jit(function).trace(jnp.zeros((8, 8)), np.int32(0)).jaxpr, steps)


def product(x, _=None):
    return x @ x, None


def scanned(turns, body=product):
    return lambda x, _=None: (lax.scan(body, x, None, length=turns)[0], None)


def test_a_matrix_product_counts_2mkn_operations():
    assert counted(product) == ONE


@pytest.mark.parametrize("turns", [1, 7])
def test_a_scan_counts_every_iteration(turns):
    assert counted(scanned(turns)) == turns * ONE


def test_nested_scans_count_every_iteration_of_both():
    assert counted(scanned(3, scanned(5))) == 15 * ONE


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, jax.vmap])
def test_a_scan_inside_another_function_is_found(wrap):
    inner = lambda x: scanned(7)(x)[0]
    if wrap is jax.vmap:
        assert counted(lambda x: wrap(inner)(jnp.stack([x, x]))) == 14 * ONE
    else:
        assert counted(wrap(inner)) == 7 * ONE


def test_a_convolution_counts_a_product_for_every_patch():
    convolve = lambda x: lax.conv(x.reshape(1, 2, 4, 8), jnp.ones((5, 2, 3, 3)), (1, 1), "VALID")
    assert counted(convolve) == 2 * (5 * 2 * 6) * (2 * 3 * 3)


def test_sums_functions_and_their_gradients_are_counted_by_element():
    assert counted(lambda x: jnp.sum(jnp.tanh(x) * x)) == 64 + 64 + 63
    assert counted(lambda x: jnp.max(x + 1, axis=1)) == 64 + 8 * 7
    # The cosine, and its product with the cotangent of the sum; nobody needs the sine.
    assert counted(jax.grad(lambda x: jnp.sum(jnp.sin(x)))) == 64 + 64


def test_integer_operations_and_data_movement_count_nothing():
    def moved(x):
        bits = jax.random.bits(jax.random.key(0), (64,), jnp.uint32)
        order = draw_order(jax.random.key(1))
        places = at_positions(order, jnp.arange(64, dtype=jnp.int32), 64)
        words = bits * jnp.uint32(3) + lax.bitcast_convert_type(x, jnp.uint32).ravel()[places]
        return jnp.where(x > 1, x, 0).T, words, x.astype(jnp.bfloat16)

    assert counted(moved) == 0


def test_operations_that_no_output_needs_are_not_counted():
    assert counted(lambda x: (x @ (x @ x), x)[1]) == 0
    assert counted(lambda x: jax.jit(lambda x: (x @ x, x @ x @ x))(x)[0]) == ONE


def test_a_branch_on_the_step_counts_as_often_as_it_is_taken():
    def seldom(x, t):
        return lax.cond((t % 10 == 0) & (t > 0), lambda x: x @ x, lambda x: x, x)

    assert a_step(seldom, 100) == pytest.approx(9 / 100 * ONE)
    assert a_step(jax.jit(seldom), 11) == pytest.approx(1 / 11 * ONE)
    both = lambda x, t: (seldom(x, t) @ x, lax.scan(lambda x, _: (seldom(x, t), None), x, None, 3))
    assert a_step(both, 100) == pytest.approx((1 + 4 * 9 / 100) * ONE)


def test_each_of_several_branches_counts_by_its_share():
    def chosen(x, t):
        doing = [lambda x, n=n: scanned(n)(x)[0] for n in (1, 2, 4)]
        return lax.switch(t % 4, doing, x)  # 3 is brought to 2

    assert a_step(chosen, 8) == (1 + 2 + 4 + 4) / 4 * ONE


def test_a_branch_in_a_branch_counts_by_the_share_of_both():
    def nested(x, t):
        inner = lambda x: lax.cond(t % 4 == 0, lambda x: x @ x, lambda x: x, x)
        return lax.cond(t % 2 == 0, inner, lambda x: x, x)

    assert a_step(nested, 8) == ONE / 4


def test_a_branch_on_the_state_counts_both_sides_as_under_vmap():
    def on_state(x, t):
        return lax.cond(x[0, 0] + jnp.float32(t) > 0, lambda x: x @ x, lambda x: x @ x @ x, x)

    assert a_step(on_state, 5) == 3 * ONE + 1


def test_a_branch_on_the_platform_counts_this_platform():
    by_platform = lambda x: lax.platform_dependent(
        x, cpu=lambda x: x @ x, default=lambda x: x @ x @ x
    )
    assert counted(by_platform) == ONE
    assert counted(jax.vmap(lambda x: by_platform(jnp.outer(x, x)))) == 8 * (ONE + 64)


def test_the_flops_of_a_gradient_equal_the_compilers_count():
    def loss(params, x):
        for w in params:
            x = jnp.sin(x @ w)
        return jnp.mean(jnp.square(x))

    shapes = [jnp.zeros((16, 32)), jnp.zeros((32, 32)), jnp.zeros((32, 4))]
    traced = jax.jit(jax.value_and_grad(loss)).trace(shapes, jnp.zeros((64, 16)))
    theirs = traced.lower().cost_analysis()
    both = theirs["flops"] + theirs.get("transcendentals", 0)
    assert count_flops(traced.jaxpr) == pytest.approx(both, rel=0.02)


def step_flops(problem: Problem, hparams, steps=100):
    """The FLOPs of a task's step, and the number of its params."""
    task, key = problem.task, jax.random.key(0)
    state = jax.eval_shape(task.init, problem.shared, hparams, key)
    traced = jax.jit(task.step).trace(problem.shared, hparams, state, key, np.int32(0))
    params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return count_flops(traced.jaxpr, steps), params


def table(features, classes, image=()):
    column, part = np.ones(features, np.float32), Split(
        np.zeros((256, features), np.float32), np.zeros(256, np.int32)
    )  # fmt: skip
    return Dataset(
        train=part, validation=part, test=part, x_mean=0 * column, x_scale=column, x_low=-column,
        x_high=column, radius=column, target_mean=np.float32(0), target_scale=np.float32(1),
        class_weights=np.ones(classes, np.float32), classes=classes, image=image,
    )  # fmt: skip


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
def test_the_flops_of_an_mlp_step_equal_hand_counted_products(compute):
    """The backward pass takes twice the forward pass, less the unneeded gradient of the rows."""
    hparams = mlp.HParams()
    config = mlp.Config(
        hidden=(64, 64), batch_size=256, optimizer="sgd", loss="cross_entropy", compute=compute,
        off=always_zero(hparams),
    )  # fmt: skip
    found, params = step_flops(Problem(mlp.make_task(config), table(32, 10)), hparams)
    forward = 2 * 256 * (32 * 64 + 64 * 64 + 64 * 10)
    products = 3 * forward - 2 * 256 * 32 * 64
    # Biases and ReLU of each layer with their gradients, the softmax, SGD with momentum and decay.
    assert products < found < products + 256 * (4 * 138 + 12 * 10) + 6 * params


def test_the_flops_of_convolutions_equal_hand_counted_products():
    """Layers have 8 x 8 pixels, then 4 x 4 with 4 channels; each filter reads 3 x 3."""
    hparams = mlp.HParams()
    config = mlp.Config(
        channels=(4, 8), hidden=(), batch_size=128, optimizer="sgd", loss="cross_entropy",
        off=always_zero(hparams),
    )  # fmt: skip
    found, _ = step_flops(Problem(mlp.make_task(config), table(64, 10, (8, 8, 1))), hparams)
    first, second, last = 2 * 64 * 9 * 4, 2 * 16 * 36 * 8, 2 * 2 * 2 * 8 * 10
    products = 128 * (2 * first + 3 * second + 3 * last)
    assert products < found < 1.2 * products


WINDOWS, T, B, V, H = 10, 5, 16, 50, 32


def language_model(**changes):
    hparams = lm.HParams()
    config = lm.Config(
        hidden=(H,), embedding_size=H, batch_size=B, window=T, optimizer="sgd", epochs=4,
        off=always_zero(hparams), **{"schedule": "constant"} | changes,
    )  # fmt: skip
    tokens = np.zeros((WINDOWS * T + 1, B), np.uint16)
    heldout = Heldout(tokens, np.ones((WINDOWS * T, B), np.float32), np.float32(1))
    return Problem(lm.make_task(config, WINDOWS), TextData(tokens, heldout, None, V)), hparams


FORWARD = 2 * T * B * (2 * H * 4 * H + H * V)  # of the recurrence and the softmax of a window


def test_the_flops_of_a_language_model_step_equal_hand_counted_products():
    """The backward pass takes twice the forward pass."""
    found, params = step_flops(*language_model())
    assert 3 * FORWARD < found < 1.1 * 3 * FORWARD + 4 * params


def test_an_evaluation_inside_a_step_counts_once_per_epoch():
    """Ten windows are evaluated in 3 of 40 steps."""
    plain, _ = step_flops(*language_model(), steps=4 * WINDOWS)
    looking, _ = step_flops(*language_model(schedule="plateau"), steps=4 * WINDOWS)
    looks = (looking - plain) / (3 / 40 * WINDOWS * FORWARD)
    assert 1 < looks < 1.2
