"""Noise on the activations and weights of a recurrent network.

Shape letters: T time, B batch, F features.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Rates(NamedTuple):
    """How much of what is dropped: float32 scalars in [0, 1); None costs nothing at all.

    Attributes:
      embedding: of the symbols, each with all its occurrences (Gal and Ghahramani, 2016).
      input: of what the first layer reads.
      layer: of what the others read.
      output: of what the softmax reads.
      state: of the state a layer reads from the step before, the same units in all steps
        (Gal and Ghahramani, 2016).
      weight: of the recurrent weights (DropConnect, as in Merity, Keskar and Socher, 2018).
    """

    embedding: Any = None
    input: Any = None
    layer: Any = None
    output: Any = None
    state: Any = None
    weight: Any = None


def keep_mask(key: jax.Array, rate: Any, shape: tuple[int, ...]) -> jax.Array:
    """1 / (1 - rate) with probability 1 - rate, else 0: float32 of that shape."""
    keep = 1 - rate
    return jnp.where(jax.random.uniform(key, shape, jnp.float32) < keep, 1 / keep, 0)


def drop(x_TxBxF: jax.Array, key: jax.Array, rate: Any, locked: bool) -> jax.Array:
    """Dropout (Srivastava et al., 2014; between layers, Zaremba et al., 2014).

    Args:
      x_TxBxF: float.
      key: typed.
      rate: float32 [].
      locked: whether a unit is dropped in all steps of the window or in none (Gal and Ghahramani,
        2016).
    """
    shape = (1, *x_TxBxF.shape[1:]) if locked else x_TxBxF.shape
    return x_TxBxF * keep_mask(key, rate, shape).astype(x_TxBxF.dtype)


def penalty(out_TxBxF: jax.Array, raw_TxBxF: jax.Array, activation: Any, slowness: Any) -> Any:
    """Activation regularization and its temporal kind (Merity, McCann and Socher, 2017).

    `activation * mean(out**2) + slowness * mean((raw_t - raw_{t-1})**2)`

    A window of one step has no change in time, and the second term is 0.

    Args:
      out_TxBxF: what the softmax reads, after dropout.
      raw_TxBxF: the same before it.
      activation, slowness: float32 scalars, or None.
    """
    total = jnp.float32(0)
    if activation is not None:
        total = total + activation * jnp.mean(jnp.square(out_TxBxF.astype(jnp.float32)))
    if slowness is not None and len(raw_TxBxF) > 1:
        raw = raw_TxBxF.astype(jnp.float32)
        total = total + slowness * jnp.mean(jnp.square(raw[1:] - raw[:-1]))
    return total
