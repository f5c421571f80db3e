"""How the learning rate changes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Plateau(NamedTuple):
    """Whether validation still makes progress; float32 scalars.

    Attributes:
      best: the lowest loss so far.
      stale: how many checks ago that was.
      scale: what the learning rate is multiplied with.
    """

    best: jax.Array
    stale: jax.Array
    scale: jax.Array


def start_plateau() -> Plateau:
    """Before the first check."""
    return Plateau(jnp.float32(jnp.inf), jnp.float32(0), jnp.float32(1))


def check_plateau(plateau: Plateau, loss: jax.Array, patience: Any, decay: Any) -> Plateau:
    """After a validation loss: `decay` is due when more than `patience` checks saw no progress."""
    better = loss < plateau.best
    stale = jnp.where(better, 0.0, plateau.stale + 1)
    due = stale > patience
    return Plateau(
        best=jnp.minimum(loss, plateau.best),
        stale=jnp.where(due, 0.0, stale),
        scale=jnp.where(due, plateau.scale * decay, plateau.scale),
    )


def rate_factor(
    schedule: str, hparams: Any, t: jax.Array, updates_an_epoch: int, updates: int
) -> jax.Array:
    """What the learning rate of update `t` is multiplied with: float32 [].

    Args:
      schedule: constant, plateau (of which only the warm-up is from `t`), cosine (Loshchilov and
        Hutter, 2017, without restarts) or decay (`decay` to the power of the epochs begun since
        `decay_after`; Zaremba et al., 2014).
      hparams: with `warmup`, `decay` and `decay_after`.
      t: int32 [].
      updates_an_epoch, updates: the latter of the whole run.
    """
    at = jnp.float32(t)
    factor = jnp.minimum(1.0, (at + 1) / jnp.maximum(hparams.warmup, 1))
    if schedule == "cosine":
        return factor * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(at / updates, 1)))
    if schedule == "decay":
        epoch = jnp.float32(t // updates_an_epoch)  # from 0
        return factor * jnp.power(hparams.decay, jnp.maximum(epoch + 1 - hparams.decay_after, 0.0))
    return factor
