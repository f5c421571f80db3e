"""Training targets that are wrong, to study what a net makes of them.

Whether a row's target is wrong, and how, follows from the row and the run alone: it stays the same
in all epochs, and nothing is stored, whatever the number of rows.

Shape letters: B batch.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from research.shuffle import mix


def draw_noise(key: jax.Array) -> jax.Array:
    """uint32 [2]: which targets are wrong in one run, for the functions below."""
    return jax.random.bits(key, (2,), jnp.uint32)


def noisy_labels(
    labels_B: jax.Array, rows_B: jax.Array, noise: jax.Array, rate: Any, classes: int
) -> jax.Array:
    """The labels, each with probability `rate` replaced by another class, any of them alike
    (symmetric label noise, as in Angluin and Laird, 1988).

    Args:
      labels_B: int32 in [0, classes).
      rows_B: int32, the place of each example in the training part.
      noise: uint32 [2] from `draw_noise`.
      rate: float32 scalar in [0, 1].
      classes: how many.

    Returns:
      int32 [B].
    """
    word_B = mix(rows_B.astype(jnp.uint32) ^ noise[0])
    wrong_B = _uniform(word_B) < rate
    other_B = ((mix(word_B ^ noise[1]) >> 16) * jnp.uint32(max(classes, 2) - 1)) >> 16
    moved_B = (labels_B + 1 + other_B.astype(jnp.int32)) % classes
    return jnp.where(wrong_B, moved_B, labels_B)


def noisy_numbers(
    targets_B: jax.Array, rows_B: jax.Array, noise: jax.Array, scale: Any
) -> jax.Array:
    """The targets, each moved by a normal number of standard deviation `scale`; else as
    `noisy_labels`: float32 [B]."""
    return targets_B + scale * ndtri(_uniform(mix(rows_B.astype(jnp.uint32) ^ noise[0])))


def _uniform(word_B: jax.Array) -> jax.Array:
    """Inside (0, 1), from the upper 23 bits: with more, the last would round to 1."""
    return ((word_B >> 9).astype(jnp.float32) + 0.5) * jnp.float32(2**-23)
