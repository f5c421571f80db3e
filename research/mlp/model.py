"""The nets: a multilayer perceptron, `h_l = f(W_l h_{l-1} + b_l)`, the last layer without `f`; and
before it, for images, a few convolutions.

Shape letters: B batch, F features, K outputs, H height, W width, C channels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from research.layers import Conv3x3, Dense

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "tanh": nn.tanh,
    "sigmoid": nn.sigmoid,
    "identity": lambda x: x,
}


class Dropout(NamedTuple):
    """Which units are dropped (Srivastava et al., 2014): each with probability `rate`, a float32
    scalar, drawn from `key`."""

    rate: Any
    key: jax.Array


class MLP(nn.Module):
    """Dense layers of the given widths, then a dense layer of `outputs`.

    Kernels start from He et al. (2015), eq. 10, under ReLU and its kin, from LeCun et al. (1998)
    otherwise; biases start at zero.

    Attributes:
      hidden: the width of each hidden layer; none gives a linear model.
      outputs: K, the number of logits or regression targets.
      activation: a key of `ACTIVATIONS`.
      layer_norm: whether every hidden layer is normalized before `f` (Ba, Kiros and Hinton, 2016).
      residual: whether a hidden layer adds to what it reads, where that is as wide (He et al.,
        2016).
      channels: filters of 3x3 convolutions before the dense layers, each followed by the largest of
        every 2x2 pixels; for images.
      image: (height, width, channels) of a row, if there are convolutions.
      dtype: in which matrix products are computed, with sums in float32; params are float32.
    """

    hidden: tuple[int, ...]
    outputs: int
    activation: str = "relu"
    layer_norm: bool = False
    residual: bool = False
    channels: tuple[int, ...] = ()
    image: tuple[int, ...] = ()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxF: jax.Array, dropout: Dropout | None = None) -> jax.Array:
        """float32 [B, F] -> float32 [B, K]. With `dropout`, hidden units are dropped."""
        if self.channels:
            x_BxHxWxC = x_BxF.reshape(-1, *self.image)
            for filters in self.channels:
                conv = Conv3x3(filters, True, self._kernel_init(), self.dtype)
                x_BxHxWxC = pool(self._activate(conv(x_BxHxWxC)))
            x_BxF = x_BxHxWxC.reshape(x_BxF.shape[0], -1)
        for layer, width in enumerate(self.hidden):
            new_BxF = self._activate(Dense(width, self._kernel_init(), self.dtype)(x_BxF))
            if dropout is not None:
                new_BxF = _drop(new_BxF, dropout, layer)
            wide_enough = self.residual and new_BxF.shape == x_BxF.shape
            x_BxF = x_BxF + new_BxF if wide_enough else new_BxF
        return Dense(self.outputs, dtype=self.dtype)(x_BxF)

    def _activate(self, x: jax.Array) -> jax.Array:
        return ACTIVATIONS[self.activation](nn.LayerNorm()(x) if self.layer_norm else x)

    def _kernel_init(self) -> nn.initializers.Initializer:
        rectified = self.activation in ("relu", "gelu", "silu")
        return nn.initializers.he_normal() if rectified else nn.initializers.lecun_normal()


def pool(x_BxHxWxC: jax.Array) -> jax.Array:
    """The largest of every 2x2 pixels: [B, H // 2, W // 2, C]; of an odd side the last is left out.

    By comparisons of pairs, whose gradient goes to one of them. That of a window is a scatter. That
    of `max` asks which numbers equal the largest; where the compiler computes them twice, with
    other roundings, none may, and it divides by zero.
    """
    h, w = x_BxHxWxC.shape[1:3]
    cut = x_BxHxWxC[:, : h // 2 * 2, : w // 2 * 2]
    rows = _larger(cut[:, 0::2], cut[:, 1::2])
    return _larger(rows[:, :, 0::2], rows[:, :, 1::2])


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(a >= b, a, b)


def _drop(x_BxF: jax.Array, dropout: Dropout, layer: int) -> jax.Array:
    keep = 1 - dropout.rate
    drawn = jax.random.uniform(jax.random.fold_in(dropout.key, layer), x_BxF.shape, jnp.float32)
    return x_BxF * jnp.where(drawn < keep, 1 / keep, 0)
