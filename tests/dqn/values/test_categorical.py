"""Tests of C51 against hand-computed values, float64 NumPy and rlax."""

import jax
import numpy as np
import pytest

from research.dqn.values import categorical
from tests.dqn.oracles import lenient, rlax

ATOMS = np.linspace(-2, 2, 5, dtype=np.float32)

project, target_of = jax.jit(categorical.project), jax.jit(categorical.categorical_target)


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
def test_probability_mass_is_projected_to_the_nearest_atoms(at, expected):
    np.testing.assert_allclose(
        project(np.float32([at]), np.float32([1]), ATOMS), expected, atol=1e-6
    )


def c51_in_float64(r_t, discount_t, probabilities, atoms):
    """Algorithm 1 of the paper, with its loop over the atoms."""
    mass, spacing = np.zeros(len(atoms)), atoms[1] - atoms[0]
    for probability, atom in zip(probabilities, atoms, strict=True):
        b = (np.clip(r_t + discount_t * atom, atoms[0], atoms[-1]) - atoms[0]) / spacing
        low, high = int(np.floor(b)), int(np.ceil(b))
        mass[low] += probability * (high - b if high > low else 1)
        mass[high] += probability * (b - low)
    return mass


def test_the_target_equals_algorithm_1_and_rlax():
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
    loss, entropy = jax.jit(categorical.cross_entropy), jax.jit(categorical.entropy)
    least = entropy(target)
    np.testing.assert_allclose(loss(target, logits + 3), least, rtol=1e-6)
    assert float(loss(target, np.zeros(3, np.float32))) > float(least) + 0.1
    gradient = jax.jit(jax.grad(categorical.cross_entropy, argnums=1))(target, logits)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert entropy(np.float32([0, 1, 0])) == 0
