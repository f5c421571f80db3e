"""C51 and quantile regression by hand, in float64 numpy, and as rlax has them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from research.dqn import distributional as dist
from tests.dqn.oracles import lenient, rlax

ATOMS = np.linspace(-2, 2, 5, dtype=np.float32)

project, target_of = jax.jit(dist.project), jax.jit(dist.categorical_target)
quantile_huber = jax.jit(dist.quantile_huber, static_argnums=2)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0.0, [0, 0, 1, 0, 0]),
        (0.25, [0, 0, 0.75, 0.25, 0]),
        (-1.5, [0.5, 0.5, 0, 0, 0]),
        (7.0, [0, 0, 0, 0, 1]),
        (-7.0, [1, 0, 0, 0, 0]),
    ],
)
def test_mass_goes_to_the_nearest_atoms(at, expected):
    np.testing.assert_allclose(
        project(np.float32([at]), np.float32([1]), ATOMS), expected, atol=1e-6
    )


def c51_in_float64(r_t, discount_t, probabilities, atoms):
    """Algorithm 1 of the paper, its loop over the atoms."""
    mass, spacing = np.zeros(len(atoms)), atoms[1] - atoms[0]
    for probability, atom in zip(probabilities, atoms, strict=True):
        b = (np.clip(r_t + discount_t * atom, atoms[0], atoms[-1]) - atoms[0]) / spacing
        low, high = int(np.floor(b)), int(np.ceil(b))
        mass[low] += probability * (high - b if high > low else 1)
        mass[high] += probability * (b - low)
    return mass


def test_the_target_is_the_papers_algorithm_and_rlaxs():
    rng = np.random.default_rng(0)
    atoms = np.linspace(-10, 10, 51)
    for _ in range(20):
        r_t, discount_t = rng.normal() * 5, rng.choice([0.0, 0.97])
        probabilities = rng.dirichlet(np.ones(51))
        given = (np.float32(r_t), np.float32(discount_t), np.float32(probabilities))
        ours = np.asarray(target_of(*given, np.float32(atoms)))
        np.testing.assert_allclose(
            ours, c51_in_float64(r_t, discount_t, probabilities, atoms), atol=3e-6
        )
        assert float(ours.sum()) == pytest.approx(1, abs=1e-5)
        with lenient():
            projected = jax.jit(rlax.categorical_l2_project)(
                given[0] + given[1] * np.float32(atoms), given[2], np.float32(atoms)
            )
        np.testing.assert_allclose(ours, projected, atol=3e-6)


def test_cross_entropy_is_least_where_the_prediction_is_right():
    target = np.float32([0.1, 0.2, 0.7])
    logits = np.log(target)
    loss, entropy = jax.jit(dist.cross_entropy), jax.jit(dist.entropy)
    least = entropy(target)
    np.testing.assert_allclose(loss(target, logits + 3), least, rtol=1e-6)
    assert float(loss(target, np.zeros(3, np.float32))) > float(least) + 0.1
    gradient = jax.jit(jax.grad(dist.cross_entropy, argnums=1))(target, logits)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert entropy(np.float32([0, 1, 0])) == 0


def test_quantile_midpoints():
    np.testing.assert_allclose(dist.quantile_midpoints(4), [0.125, 0.375, 0.625, 0.875])


def test_quantile_loss_by_hand():
    """Two quantiles at 0, one target at 2: Huber's 1.5, weighted by 1/4 and 3/4."""
    zeros = np.zeros(2, np.float32)
    loss = quantile_huber(zeros, np.float32([2]))
    assert float(loss) == pytest.approx(1.5 * 0.25 + 1.5 * 0.75)
    loss = quantile_huber(zeros, np.float32([-2]))
    assert float(loss) == pytest.approx(1.5 * 0.75 + 1.5 * 0.25)
    assert float(quantile_huber(zeros[:1], np.float32([2]), 0)) == 1.0


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_quantile_loss_is_rlaxs(kappa):
    rng = np.random.default_rng(1)
    quantiles, target = np.float32(rng.normal(size=(2, 16)) * 2)
    midpoints = (np.arange(16, dtype=np.float32) + np.float32(0.5)) / np.float32(16)
    with lenient():
        theirs = jax.jit(rlax.quantile_regression_loss, static_argnums=3)
        expected = theirs(quantiles, midpoints, target, kappa)
    np.testing.assert_allclose(quantile_huber(quantiles, target, kappa), expected, rtol=1e-5)


def test_the_slope_of_the_quantile_loss():
    rng = np.random.default_rng(2)
    quantiles, target = np.float32(rng.normal(size=(2, 8)))
    loss = jax.jit(lambda quantiles: dist.quantile_huber(quantiles, target))
    check_grads(loss, (quantiles,), order=1, modes=["rev"], eps=1e-3, rtol=2e-2, atol=2e-2)


def test_quantile_regression_finds_the_quantiles():
    """Of 0, 1, ..., 99 the four midpoint quantiles are 12, 37, 62, 87, all to within 1."""
    samples = jnp.arange(100.0)

    def descend(quantiles, _):
        slope = jax.grad(dist.quantile_huber)(quantiles, samples)
        return quantiles - 20 * slope, None

    quantiles, _ = jax.lax.scan(descend, jnp.full(4, 50.0), length=2000)
    np.testing.assert_allclose(quantiles, [12, 37, 62, 87], atol=1)
