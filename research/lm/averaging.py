"""Averages of the weights over training, which often predict better than the last of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

MEMORY = 256  # checks that a trigger can look back on; `trigger_after` is less


class Trigger(NamedTuple):
    """When averaging begins.

    Attributes:
      lowest: float32 [MEMORY], the lowest validation loss of all checks but the last 0, 1, 2, ...
      begun: bool [].
      size: float32 [], how many weights are in the average.
    """

    lowest: jax.Array
    begun: jax.Array
    size: jax.Array


def start_trigger() -> Trigger:
    """Before the first check."""
    return Trigger(jnp.full(MEMORY, jnp.inf, jnp.float32), jnp.bool_(False), jnp.float32(0))


def check_trigger(trigger: Trigger, loss: jax.Array, after: Any) -> Trigger:
    """After a validation loss: averaging begins when it is above the lowest of all but the last
    `after` before it (Merity, Keskar and Socher, 2018, algorithm 1; `after` is its `n`, the
    non-monotone interval).

    Args:
      trigger: before this check.
      loss: float32 [].
      after: float32 [], from 1 to less than `MEMORY`; of a fraction the whole number below it. For
        a larger one averaging never begins.
    """
    chosen = jnp.arange(MEMORY, dtype=jnp.float32) == jnp.floor(after)
    to_beat = jnp.min(jnp.where(chosen, trigger.lowest, jnp.inf))
    newest = jnp.minimum(trigger.lowest[:1], loss)
    return trigger._replace(
        lowest=jnp.concatenate([newest, trigger.lowest[:-1]]),
        begun=trigger.begun | (loss > to_beat),
    )


def average_since(trigger: Trigger, average: Any, params: Any) -> tuple[Trigger, Any]:
    """The mean of the params since averaging began (Polyak and Juditsky, 1992); until then, the
    params."""
    size = jnp.where(trigger.begun, trigger.size + 1, 1)
    mean = jax.tree.map(lambda old, new: old + (new - old) / size, average, params)
    return trigger._replace(size=jnp.where(trigger.begun, size, 0)), mean


def move_ema(average: Any, params: Any, decay: Any) -> Any:
    """`decay average + (1 - decay) params`."""
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, params)
