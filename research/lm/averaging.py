"""Averages of the params over training, which often predict better than the last params.

`optax.tree.update_moment` and `optax.incremental_update` compute the same averages in another order
of operations, which rounds differently.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

MEMORY = 256  # checks that a trigger remembers; `trigger_after` is less


class Trigger(NamedTuple):
    """The state that decides when averaging begins.

    Attributes:
      lowest: float32 [MEMORY], the lowest validation loss of all checks but the last 0, 1, 2, ...
      begun: bool [], whether averaging has begun.
      size: float32 [], how many params are in the average.
    """

    lowest: jax.Array
    begun: jax.Array
    size: jax.Array


def start_trigger() -> Trigger:
    """The trigger before the first check."""
    return Trigger(jnp.full(MEMORY, jnp.inf, jnp.float32), jnp.bool_(False), jnp.float32(0))


def check_trigger(trigger: Trigger, loss: jax.Array, after: Any) -> Trigger:
    """The trigger after a validation loss.

    Averaging begins if the loss is above the lowest of all earlier losses but the last `after`
    (Merity, Keskar and Socher, 2018, algorithm 1; `after` is their `n`, the non-monotone interval).

    Args:
      trigger: the trigger before this check.
      loss: float32 [].
      after: float32 [], at least 1 and less than `MEMORY`, rounded down. With a larger value
        averaging never begins.
    """
    chosen = jnp.arange(MEMORY, dtype=jnp.float32) == jnp.floor(after)
    to_beat = jnp.min(jnp.where(chosen, trigger.lowest, jnp.inf))
    newest = jnp.minimum(trigger.lowest[:1], loss)
    return trigger._replace(
        lowest=jnp.concatenate([newest, trigger.lowest[:-1]]),
        begun=trigger.begun | (loss > to_beat),
    )


def average_since(trigger: Trigger, average: Any, params: Any) -> tuple[Trigger, Any]:
    """The trigger, and the mean of the params since averaging began; before that, the params.

    Reference: Polyak and Juditsky (1992).
    """
    size = jnp.where(trigger.begun, trigger.size + 1, 1)
    mean = jax.tree.map(lambda old, new: old + (new - old) / size, average, params)
    return trigger._replace(size=jnp.where(trigger.begun, size, 0)), mean


def update_ema(average: Any, params: Any, decay: Any) -> Any:
    """The exponential moving average, `decay average + (1 - decay) params`, as a step towards the
    params: of equal ones it is the same, to the bit."""
    return jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), average, params)
