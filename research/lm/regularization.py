"""Dropout and penalties for a recurrent network.

Shape letters: T time, B batch, F features.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Rates(NamedTuple):
    """Dropout rates, float32 scalars in [0, 1); None is off and costs nothing.

    Attributes:
      embedding: of symbols, each with all its occurrences (Gal and Ghahramani, 2016).
      input: of the input of the first layer.
      layer: of the inputs of the other layers.
      output: of the output of the last layer.
      state: of the recurrent state, the same units at all steps (Gal and Ghahramani, 2016).
      weight: of the recurrent weights (DropConnect, as in Merity, Keskar and Socher, 2018).
    """

    embedding: Any = None
    input: Any = None
    layer: Any = None
    output: Any = None
    state: Any = None
    weight: Any = None


def keep_mask(key: jax.Array, rate: Any, shape: tuple[int, ...]) -> jax.Array:
    """A dropout mask, float32: 1 / (1 - rate) with probability 1 - rate, else 0."""
    keep = 1 - rate
    return jnp.where(jax.random.bernoulli(key, keep, shape), 1 / keep, 0)


def drop(x_TxBxF: jax.Array, key: jax.Array, rate: Any, locked: bool) -> jax.Array:
    """Activations after dropout (Srivastava et al., 2014; between layers, Zaremba et al., 2014).

    Args:
      x_TxBxF: float.
      key: typed.
      rate: float32 [].
      locked: whether the mask is the same at all steps of the window (Gal and Ghahramani, 2016).
    """
    shape = (1, *x_TxBxF.shape[1:]) if locked else x_TxBxF.shape
    return x_TxBxF * keep_mask(key, rate, shape).astype(x_TxBxF.dtype)


def penalty(out_TxBxF: jax.Array, raw_TxBxF: jax.Array, activation: Any, slowness: Any) -> Any:
    """Activation and temporal activation regularization (Merity, McCann and Socher, 2017).

    `activation * mean(out**2) + slowness * mean((raw_t - raw_{t-1})**2)`

    In a window of one step the second term is 0.

    Args:
      out_TxBxF: the output of the last layer after dropout.
      raw_TxBxF: the same before dropout.
      activation, slowness: float32 scalars; None is off.
    """
    total = jnp.float32(0)
    if activation is not None:
        total = total + activation * jnp.mean(jnp.square(out_TxBxF.astype(jnp.float32)))
    if slowness is not None and len(raw_TxBxF) > 1:
        raw = raw_TxBxF.astype(jnp.float32)
        total = total + slowness * jnp.mean(jnp.square(raw[1:] - raw[:-1]))
    return total
