"""Learning-rate schedules.

Optax has relatives of these that do not fit: `cosine_decay_schedule` rounds differently,
`exponential_decay` begins at a whole step and not at a traced epoch, and `reduce_on_plateau` takes
a static patience and counts updates, not validations.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Plateau(NamedTuple):
    """The state of the schedule `plateau`; float32 scalars.

    Attributes:
      best: the lowest validation loss so far.
      stale: how many checks ago that was, or the last decay.
      scale: the factor of the learning rate.
    """

    best: jax.Array
    stale: jax.Array
    scale: jax.Array


def start_plateau() -> Plateau:
    """The state before the first check."""
    return Plateau(jnp.float32(jnp.inf), jnp.float32(0), jnp.float32(1))


def check_plateau(plateau: Plateau, loss: jax.Array, patience: Any, decay: Any) -> Plateau:
    """The state after a validation loss; decays after more than `patience` stale checks."""
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
    """The factor of the learning rate at update `t`: float32 [].

    Args:
      schedule: constant; plateau (its warm-up only, see `Plateau.scale`); cosine (Loshchilov and
        Hutter, 2017, without restarts); or decay (`decay` to the power of the epochs since
        `decay_after`; Zaremba et al., 2014).
      hparams: its fields `warmup`, `decay` and `decay_after` are used.
      t: int32 [].
      updates_an_epoch: the number of updates in an epoch.
      updates: the number of updates in the run.
    """
    at = jnp.float32(t)
    factor = jnp.minimum(1.0, (at + 1) / jnp.maximum(hparams.warmup, 1))
    if schedule == "cosine":
        return factor * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(at / updates, 1)))
    if schedule == "decay":
        epoch = jnp.float32(t // updates_an_epoch)  # from 0
        return factor * jnp.power(hparams.decay, jnp.maximum(epoch + 1 - hparams.decay_after, 0.0))
    return factor
