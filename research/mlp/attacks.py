"""Adversarial examples: FGSM, PGD, and inputs for adversarial training.

Shape letters: B rows, F features, M radii.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

InputGradient = Callable[[jax.Array], jax.Array]  # [B, F] -> gradient of each row's loss, [B, F]
Errors = Callable[[jax.Array], jax.Array]  # [B, F] -> error of each row, [B]


class Box(NamedTuple):
    """The set of allowed perturbations, in the units that the net reads.

    Attributes:
      radius: float32 [F], of the ball in the maximum norm around a row, by feature.
      low, high: float32 [F], the bounds of every row.
    """

    radius: jax.Array
    low: jax.Array
    high: jax.Array

    def nearest(self, moved_BxF: jax.Array, x_BxF: jax.Array) -> jax.Array:
        """The projection of `moved_BxF` onto the box around `x_BxF`."""
        radius = self.radius[None, :]
        inside = jnp.clip(moved_BxF, x_BxF - radius, x_BxF + radius)
        return jnp.clip(inside, self.low[None, :], self.high[None, :])


def fgsm(input_gradient: InputGradient, x_BxF: jax.Array, box: Box) -> jax.Array:
    """FGSM examples, float32 [B, F]: one step of the radius along the sign of the input gradient.

    Reference: Goodfellow, Shlens and Szegedy (2015), section 4.
    """
    return box.nearest(x_BxF + box.radius[None, :] * jnp.sign(input_gradient(x_BxF)), x_BxF)


def pgd_step(
    input_gradient: InputGradient, at_BxF: jax.Array, x_BxF: jax.Array, box: Box, steps: int
) -> jax.Array:
    """The points after one PGD step: along the sign of the input gradient, then projected.

    A step is 2.5 / steps of the radius long, so that `steps` of them can cross the box (Madry et
    al., 2018, section 2.1); a single step is 1.25 radii long (Wong, Rice and Kolter, 2020).
    """
    length = 1.25 if steps == 1 else 2.5 / steps
    moved = at_BxF + length * box.radius[None, :] * jnp.sign(input_gradient(at_BxF))
    return box.nearest(moved, x_BxF)


def random_start(x_BxF: jax.Array, box: Box, key: jax.Array) -> jax.Array:
    """Random points, uniform in the box around each row."""
    shift = jax.random.uniform(key, x_BxF.shape, jnp.float32, -1.0, 1.0)
    return box.nearest(x_BxF + box.radius[None, :] * shift, x_BxF)


def adversarial(
    input_gradient: InputGradient, x_BxF: jax.Array, box: Box, steps: int, key: jax.Array
) -> jax.Array:
    """Training inputs after `steps` of PGD from a random start, without a gradient.

    With one step it is the FGSM of Wong, Rice and Kolter (2020).
    """
    at = random_start(x_BxF, box, key)
    for _ in range(steps):
        at = pgd_step(input_gradient, at, x_BxF, box, steps)
    return lax.stop_gradient(at)


def attack(
    input_gradient: InputGradient,
    errors: Errors,
    x_BxF: jax.Array,
    radii_M: jax.Array,
    box: Box,
    steps: int,
    key: jax.Array,
    other_gradient: InputGradient | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The largest error of each row under FGSM and under PGD, for every radius.

    PGD starts from FGSM's point and from a random one. It keeps the worst of all points that it
    visits, including FGSM's and those of smaller radii, so it is never weaker than FGSM and never
    weaker at a larger radius.

    Args:
      input_gradient, errors: of the net.
      x_BxF: the rows to attack.
      radii_M: in increasing order; each multiplies the radius of `box`.
      box: the box of radius 1.
      steps: PGD steps from each start.
      key: typed key of the random starts.
      other_gradient: what PGD follows from the random starts; `input_gradient` if None.

    Returns:
      Errors under FGSM and under PGD, float32 [M, B] each.
    """

    def one_radius(worst_B: jax.Array, radius_and_key: Any) -> Any:
        radius, start_key = radius_and_key
        around = box._replace(radius=radius * box.radius)
        fast_BxF = fgsm(input_gradient, x_BxF, around)
        fast_B = errors(fast_BxF)
        worst_B = jnp.maximum(worst_B, fast_B)
        starts = fast_BxF, random_start(x_BxF, around, start_key)

        def walk(carry, _):
            points, worst_B = carry
            points = tuple(
                pgd_step(some, at, x_BxF, around, steps)
                for some, at in zip(
                    (input_gradient, other_gradient or input_gradient), points, strict=True
                )
            )
            for at in points:
                worst_B = jnp.maximum(worst_B, errors(at))
            return (points, worst_B), None

        (_, worst_B), _ = lax.scan(walk, (starts, worst_B), None, length=steps)
        return worst_B, (fast_B, worst_B)

    keys = jax.random.split(key, len(radii_M))
    _, (fast_MxB, worst_MxB) = lax.scan(one_radius, errors(x_BxF), (radii_M, keys))
    return fast_MxB, worst_MxB
