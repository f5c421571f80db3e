"""Which transitions an update sees: the interface, and uniform sampling.

Shape letters: S slots, B batch, N environments.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class ReplaySampler(NamedTuple):
    """A way to choose transitions from the ring: a set of pure functions around its own state.

    Attributes:
      init: `(config, replay) -> state`, after the warm-up.
      write: `(config, replay, state, row) -> state`, after a step wrote its rows, `row` the first.
      draw: `(config, key, written) -> drawn`, with `written` the rows since the run began: what a
        sample draws, whatever the state.
      sample: `(config, hparams, state, drawn, written) -> (slots int32 [B], weights float32 [B])`.
        Weights are of importance sampling.
      update: `(hparams, state, slots [B], priority [B]) -> state`, after the loss of these slots.
    """

    init: Callable[..., Any]
    write: Callable[..., Any]
    draw: Callable[..., Any]
    sample: Callable[..., tuple[jax.Array, jax.Array]]
    update: Callable[..., Any]


def draw(config: Any, key: jax.Array, written: jax.Array) -> jax.Array:
    """B slots, each equally likely: int32 [B]."""
    return uniform_slots(
        key, config.batch_size, config.buffer_size, config.num_envs, written, config.n_step
    )


def sample(
    config: Any, hparams: Any, state: None, slots_B: jax.Array, written: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The slots that were drawn, all of weight 1."""
    del hparams, state, written
    return slots_B, jnp.ones(config.batch_size, jnp.float32)


UNIFORM = ReplaySampler(
    init=lambda config, replay: None,
    write=lambda config, replay, state, row: None,
    draw=draw,
    sample=sample,
    update=lambda hparams, state, slots_B, priority_B: None,
)


def uniform_slots(
    key: jax.Array, batch: int, slots: int, n_envs: int, written: Any, n: int
) -> jax.Array:
    """B slots, each equally likely, that hold a transition of n steps: int32 [B].

    The newest n rows do not: their successor is not there yet.

    Args:
      key: typed.
      batch: B.
      slots: S, a multiple of N.
      n_envs: N.
      written: int32 [], the rows written since the beginning, more than n.
      n: steps.
    """
    rows = slots // n_envs
    kept = jnp.minimum(written, rows)
    oldest = (written - kept) % rows
    # The remainder favours some slots by S / 2**32 at most; `randint` takes three such draws.
    draw = jax.random.bits(key, (batch,), jnp.uint32) % ((kept - n) * n_envs).astype(jnp.uint32)
    return (oldest * n_envs + draw.astype(jnp.int32)) % slots
