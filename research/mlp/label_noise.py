"""Noise on training targets.

The noise is a hash of the row and of the run: it stays the same in all epochs, and needs no memory
whatever the number of rows.

Shape letters: B batch.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from research.shuffle import mix


def draw_noise(key: jax.Array) -> jax.Array:
    """The noise of one run, uint32 [2], an argument of the functions below."""
    return jax.random.bits(key, (2,), jnp.uint32)


def noisy_labels(
    labels_B: jax.Array, rows_B: jax.Array, noise: jax.Array, rate: Any, classes: int
) -> jax.Array:
    """The labels, each replaced with probability `rate` by another class, drawn uniformly.

    This is symmetric label noise, as in Angluin and Laird (1988).

    Args:
      labels_B: int32 in [0, classes).
      rows_B: int32, the index of each example in the training part.
      noise: uint32 [2] from `draw_noise`.
      rate: float32 scalar in [0, 1].
      classes: the number of classes.

    Returns:
      int32 [B].
    """
    word_B = mix(rows_B.astype(jnp.uint32) ^ noise[0])
    wrong_B = _uniform(word_B) < rate
    other_B = ((mix(word_B ^ noise[1]) >> 16) * jnp.uint32(max(classes, 2) - 1)) >> 16
    moved_B = (labels_B + 1 + other_B.astype(jnp.int32)) % classes
    return jnp.where(wrong_B, moved_B, labels_B)


def noisy_targets(
    targets_B: jax.Array, rows_B: jax.Array, noise: jax.Array, scale: Any
) -> jax.Array:
    """Regression targets with normal noise of standard deviation `scale`: float32 [B].

    The other arguments are as in `noisy_labels`.
    """
    return targets_B + scale * ndtri(_uniform(mix(rows_B.astype(jnp.uint32) ^ noise[0])))


def _uniform(word_B: jax.Array) -> jax.Array:
    """Uniform numbers in (0, 1) from the upper 23 bits; with more, the largest would round to 1."""
    return ((word_B >> 9).astype(jnp.float32) + 0.5) * jnp.float32(2**-23)
