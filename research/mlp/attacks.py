"""Inputs moved a little so that a net errs: FGSM, PGD, and training on them.

Shape letters: B rows, F features, M radii.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Slope = Callable[[jax.Array], jax.Array]  # [B, F] -> d loss of each row / d the row, [B, F]
Errors = Callable[[jax.Array], jax.Array]  # [B, F] -> how wrong the net is about each row, [B]


class Box(NamedTuple):
    """How far rows may be moved, in the units that the net reads.

    Attributes:
      radius: float32 [F], of each feature: the ball of the maximum norm that is attacked.
      low, high: float32 [F], between what any row lies.
    """

    radius: jax.Array
    low: jax.Array
    high: jax.Array

    def nearest(self, moved_BxF: jax.Array, x_BxF: jax.Array) -> jax.Array:
        """What is in the box around `x_BxF` and nearest to `moved_BxF`."""
        radius = self.radius[None, :]
        inside = jnp.clip(moved_BxF, x_BxF - radius, x_BxF + radius)
        return jnp.clip(inside, self.low[None, :], self.high[None, :])


def fgsm(slope: Slope, x_BxF: jax.Array, box: Box) -> jax.Array:
    """One step as long as the radius along the signs of the slope (Goodfellow, Shlens and Szegedy,
    2015, section 4): float32 [B, F]."""
    return box.nearest(x_BxF + box.radius[None, :] * jnp.sign(slope(x_BxF)), x_BxF)


def pgd_step(slope: Slope, at_BxF: jax.Array, x_BxF: jax.Array, box: Box, steps: int) -> jax.Array:
    """One of `steps` steps along the signs of the slope, then back into the box (Madry et al.,
    2018, section 2.1). It is 2.5 / steps of the radius long, so that all of it can be crossed; 1.25
    where it is the only one (Wong, Rice and Kolter, 2020)."""
    length = 1.25 if steps == 1 else 2.5 / steps
    moved = at_BxF + length * box.radius[None, :] * jnp.sign(slope(at_BxF))
    return box.nearest(moved, x_BxF)


def random_start(x_BxF: jax.Array, box: Box, key: jax.Array) -> jax.Array:
    """A point of the box, drawn evenly."""
    shift = jax.random.uniform(key, x_BxF.shape, jnp.float32, -1.0, 1.0)
    return box.nearest(x_BxF + box.radius[None, :] * shift, x_BxF)


def adversarial(slope: Slope, x_BxF: jax.Array, box: Box, steps: int, key: jax.Array) -> jax.Array:
    """What adversarial training learns from: `steps` of PGD from a random start; with one, FGSM as
    Wong, Rice and Kolter (2020) do it. Nothing is differentiated through it."""
    at = random_start(x_BxF, box, key)
    for _ in range(steps):
        at = pgd_step(slope, at, x_BxF, box, steps)
    return lax.stop_gradient(at)


def attack(
    slope: Slope,
    errors: Errors,
    x_BxF: jax.Array,
    radii_M: jax.Array,
    box: Box,
    steps: int,
    key: jax.Array,
    other_slope: Slope | None = None,
) -> tuple[jax.Array, jax.Array]:
    """How wrong a net can be made about each row, by FGSM and by PGD.

    PGD starts from FGSM's point and from a random one, and the worst of all points it comes to
    counts, FGSM's and those of smaller radii, which lie in every larger box, included: so it is
    never weaker than FGSM and never grows weaker with the radius.

    Args:
      slope, errors: of the net.
      x_BxF: rows.
      radii_M: in increasing order; each multiplies the radius of `box`.
      box: of radius 1.
      steps: of PGD, from each start.
      key: typed; of the random starts.
      other_slope: that PGD follows from those; `slope` if not given.

    Returns:
      Errors under FGSM and under PGD, float32 [M, B] each.
    """

    def one_radius(worst_B: jax.Array, radius_and_key: Any) -> Any:
        radius, start_key = radius_and_key
        around = box._replace(radius=radius * box.radius)
        fast_BxF = fgsm(slope, x_BxF, around)
        fast_B = errors(fast_BxF)
        worst_B = jnp.maximum(worst_B, fast_B)
        starts = fast_BxF, random_start(x_BxF, around, start_key)

        def walk(carry, _):
            points, worst_B = carry
            points = tuple(
                pgd_step(some, at, x_BxF, around, steps)
                for some, at in zip((slope, other_slope or slope), points, strict=True)
            )
            for at in points:
                worst_B = jnp.maximum(worst_B, errors(at))
            return (points, worst_B), None

        (_, worst_B), _ = lax.scan(walk, (starts, worst_B), None, length=steps)
        return worst_B, (fast_B, worst_B)

    keys = jax.random.split(key, len(radii_M))
    _, (fast_MxB, worst_MxB) = lax.scan(one_radius, errors(x_BxF), (radii_M, keys))
    return fast_MxB, worst_MxB
