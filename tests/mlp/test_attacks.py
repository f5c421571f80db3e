"""Tests of FGSM and PGD: exact on linear nets, within their box, and PGD never weaker."""

from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.mlp import attacks
from research.mlp.attacks import Box
from tests.contract import slow

fgsm = jax.jit(attacks.fgsm, static_argnums=0)
pgd_step = jax.jit(attacks.pgd_step, static_argnums=(0, 4))
random_start = jax.jit(attacks.random_start)
adversarial = jax.jit(attacks.adversarial, static_argnums=(0, 3))
attack = jax.jit(attacks.attack, static_argnums=(0, 1, 5))

W = np.float32([2.0, -3.0, 0.5, 0.0])
X = np.float32(np.random.default_rng(2).normal(size=(7, 4)) * 0.3)
INFINITE = np.full(4, np.inf, np.float32)
FREE = Box(np.float32([0.1, 0.2, 0.4, 0.1]), -INFINITE, INFINITE)
TIGHT = FREE._replace(low=np.full(4, -0.3, np.float32), high=np.full(4, 0.3, np.float32))
INSIDE = np.clip(X, TIGHT.low, TIGHT.high)
SEEDS = range(3)
RADII = np.float32([0.0, 0.1, 0.5, 1.0, 2.0])


def linear(x):
    return x @ W


@jax.jit
def bent(x):
    """A loss that is neither convex nor monotone, so that a single long step overshoots."""
    return jnp.sum(jnp.sin(9 * x) * (W + 1)[None, :], axis=1) - jnp.square(x[:, 0] * x[:, 1])


def squares(x):
    return jnp.sum(jnp.square(x), axis=1)


@cache
def gradient_of(errors):
    return jax.grad(lambda x: jnp.sum(errors(x)))


def assert_in_box(moved, x, box):
    moved, x = np.asarray(moved), np.asarray(x)
    assert (np.abs(moved - x) <= np.asarray(box.radius) + 1e-6).all()
    assert (moved >= np.asarray(box.low)).all()
    assert (moved <= np.asarray(box.high)).all()


def attacked(errors, radii=RADII, x=INSIDE, box=TIGHT, steps=4):
    found = attack(gradient_of(errors), errors, x, radii, box, steps, jax.random.key(0))
    return jax.device_get(found)


def test_fgsm_of_a_linear_net_by_hand():
    """Each feature moves by its full radius in the direction of the sign of its weight."""
    expected = np.asarray(X) + np.array([0.1, -0.2, 0.4, 0.0])
    chex.assert_trees_all_close(fgsm(gradient_of(linear), X, FREE), expected, atol=1e-6)


def test_fgsm_stays_within_the_bounds_of_the_data():
    moved = fgsm(gradient_of(linear), INSIDE, TIGHT)
    expected = np.clip(np.asarray(INSIDE) + np.array([0.1, -0.2, 0.4, 0.0]), -0.3, 0.3)
    chex.assert_trees_all_close(moved, expected, atol=1e-6)
    assert (np.asarray(moved)[:, 2] == np.float32(0.3)).sum() > 3


@pytest.mark.parametrize(("steps", "length"), [(1, 1.25), (5, 0.5), (10, 0.25)])
def test_a_pgd_step_is_a_fraction_of_the_radius(steps, length):
    box = FREE._replace(radius=FREE.radius * 2)
    far = box._replace(radius=np.full(4, 9, np.float32))
    moved = pgd_step(gradient_of(linear), X, X, far, steps) - X
    limited = np.minimum(length, 1)
    np.testing.assert_allclose(moved, np.tile([1, -1, 1, 0], (7, 1)) * limited * 9, rtol=1e-5)
    assert_in_box(pgd_step(gradient_of(linear), X + 1, X, box, steps), X, box)


@pytest.mark.parametrize("box", [FREE, TIGHT])
def test_steps_and_starts_stay_in_the_box(box):
    gradient = gradient_of(bent)
    for seed in SEEDS:
        at = random_start(INSIDE, box, jax.random.key(seed))
        assert_in_box(at, INSIDE, box)
        for _ in range(4):
            at = pgd_step(gradient, at, INSIDE, box, 4)
            assert_in_box(at, INSIDE, box)
        assert_in_box(adversarial(gradient, INSIDE, box, 2, jax.random.key(seed)), INSIDE, box)


def test_random_starts_are_uniform_in_the_box():
    x = np.zeros((4000, 4), np.float32)
    shift = np.asarray(random_start(x, FREE, jax.random.key(0))) / FREE.radius
    np.testing.assert_allclose(shift.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(shift.std(axis=0), 1 / np.sqrt(3), rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(shift.T), np.eye(4), atol=0.06)
    assert shift.min() < -0.99
    assert shift.max() > 0.99


def test_a_pgd_step_uses_the_gradient_at_the_current_point():
    at, box = X - np.float32(0.05), FREE._replace(radius=np.ones(4, np.float32))
    moved = pgd_step(gradient_of(squares), at, X, box, 25)
    chex.assert_trees_all_close(moved, at + np.float32(0.1) * np.sign(at), atol=1e-6)
    assert (np.sign(at) != np.sign(X)).any()


@pytest.mark.parametrize("steps", [2, 10])
def test_pgd_of_a_linear_net_finds_the_worst_corner(steps):
    for seed in SEEDS:
        worst = adversarial(gradient_of(linear), X, FREE, steps, jax.random.key(seed))
        gained = linear(np.asarray(worst)) - linear(X)
        np.testing.assert_allclose(gained, 0.1 * 2 + 0.2 * 3 + 0.4 * 0.5, rtol=1e-5)


def test_attacks_of_a_linear_net_grow_with_the_radius():
    fast, worst = attacked(linear, x=X, box=FREE)
    expected = linear(X)[None, :] + RADII[:, None]  # radius 1 is worth 1
    chex.assert_trees_all_close(fast, expected, atol=1e-5)
    chex.assert_trees_all_close(worst, expected, atol=1e-5)


@pytest.mark.parametrize("errors", [bent, slow(linear)])
def test_attack_reports_fgsm_and_the_larger_error_of_pgd(errors):
    fast, worst = attacked(errors)
    chex.assert_shape([fast, worst], (5, 7))
    for m, radius in enumerate(RADII):
        box = TIGHT._replace(radius=radius * TIGHT.radius)
        expected = errors(fgsm(gradient_of(errors), INSIDE, box))
        chex.assert_trees_all_close(fast[m], np.asarray(expected), atol=1e-5)
    assert (worst >= fast).all()
    assert (worst[1:] >= worst[:-1]).all()


def test_pgd_finds_errors_that_fgsm_misses():
    fast, worst = attacked(bent, steps=8)
    assert (worst[3:] > fast[3:] + 0.1).any(axis=1).all()
    weaker, _ = attacked(bent, radii=RADII[3:4], steps=8)
    assert (weaker < worst[2][None, :]).any()  # so it takes a smaller radius to be monotone


# Nets of one feature, about rows at 0 that can go from -1 to 1.
NETS = {
    "no gradient at the row": (lambda x: jnp.square(x), 4, 1),
    "a gradient at the row alone": (
        lambda x: jnp.exp(-jnp.square((x - 0.8) / 0.05)) + jnp.clip(x, -0.01, 0.01), 10, 0.3,
    ),
    "a step beyond FGSM's point loses": (lambda x: 1 - jnp.square(x - 0.99), 1, 0.999),
}  # fmt: skip


@pytest.mark.parametrize("name", list(NETS))
def test_pgd_starts_at_random_and_at_the_fgsm_point(name):
    net, steps, least = NETS[name]
    one = np.ones(1, np.float32)
    x = np.zeros((50, 1), np.float32)
    fast, worst = attacked(lambda x: net(x[:, 0]), one, x, Box(one, -one, one), steps)
    assert (worst >= fast).all()
    assert worst.min() >= least


def test_no_row_is_made_worse_than_its_box_allows():
    x, one = np.linspace(-1, 1, 9, dtype=np.float32)[:, None], np.ones(1, np.float32)
    radii, box = np.float32([0.3]), Box(one, -one, one)
    _, worst = attacked(lambda x: jnp.sin(7 * x[:, 0]), radii, x, box, steps=20)
    places = np.clip(x + np.linspace(-0.3, 0.3, 601)[None, :], -1, 1)
    best = np.sin(7 * places).max(axis=1)
    np.testing.assert_array_less(worst[0], best + 1e-5)
    np.testing.assert_array_less(best - 0.05, worst[0])


def test_radius_0_changes_nothing():
    nowhere = TIGHT._replace(radius=np.zeros(4, np.float32))
    for seed in SEEDS:
        chex.assert_trees_all_equal(
            adversarial(gradient_of(bent), INSIDE, nowhere, 3, jax.random.key(seed)), INSIDE
        )
    chex.assert_trees_all_equal(fgsm(gradient_of(bent), INSIDE, nowhere), INSIDE)
    fast, worst = attacked(bent, radii=np.zeros(5, np.float32))
    chex.assert_trees_all_close(fast, np.tile(bent(INSIDE), (5, 1)), atol=1e-6)
    chex.assert_trees_all_close(worst, fast, atol=1e-6)


def test_a_feature_of_radius_0_never_moves():
    box = FREE._replace(radius=np.float32([0.1, 0.0, 0.4, 0.0]))
    for seed in SEEDS:
        for moved in (
            fgsm(gradient_of(bent), X, box),
            random_start(X, box, jax.random.key(seed)),
            adversarial(gradient_of(bent), X, box, 3, jax.random.key(seed)),
        ):
            moved = np.asarray(moved)
            chex.assert_trees_all_equal(moved[:, 1::2], X[:, 1::2])
            assert (moved[:, 0::2] != X[:, 0::2]).any(axis=0).all()


@pytest.mark.parametrize("steps", [1, 3])
def test_training_on_attacks_is_not_differentiated_through_them(steps):
    """Gradients of the loss flow at the attacked rows, but not through the attack itself."""

    def attacked(x, w):
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(x) @ w))
        return attacks.adversarial(gradient, x, FREE, steps, jax.random.key(0))

    @jax.jit
    def both(x, w):
        loss = lambda x, w: jnp.sum(attacked(x, w) @ w)
        return jax.grad(loss, argnums=(0, 1))(x, w), attacked(x, w).sum(axis=0)

    (x_gradient, w_gradient), expected = jax.device_get(both(X, W))
    assert not x_gradient.any()
    chex.assert_trees_all_close(w_gradient, expected, rtol=1e-5)


def test_random_starts_follow_the_key():
    first, again, other = (
        np.asarray(adversarial(gradient_of(bent), X, FREE, 3, jax.random.key(seed)))
        for seed in (0, 0, 1)
    )
    chex.assert_trees_all_equal(first, again)
    assert (first != other).any(axis=1).all()
