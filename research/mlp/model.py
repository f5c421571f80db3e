"""The nets: a multilayer perceptron, for images optionally after a few convolutions.

A layer is `h_l = f(W_l h_{l-1} + b_l)`; the last one has no `f`.

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
    """The dropout of one step (Srivastava et al., 2014).

    `flax.linen.Dropout` does not take a traced rate.

    Attributes:
      rate: float32 scalar, the probability that a unit is dropped.
      key: typed.
    """

    rate: Any
    key: jax.Array


class MLP(nn.Module):
    """Dense layers of the widths `hidden`, then a linear layer of `outputs`.

    Kernels are initialized as in He et al. (2015), eq. 10, for ReLU, GELU and SiLU, else as in
    LeCun et al. (1998); biases are 0.

    Attributes:
      hidden: the width of each hidden layer; empty for a linear model.
      outputs: K, the number of logits or regression targets.
      activation: a key of `ACTIVATIONS`.
      layer_norm: whether hidden layers are normalized before `f` (Ba, Kiros and Hinton, 2016).
      residual: whether hidden layers add their input, where it is as wide (He et al., 2016).
      channels: filters of each 3x3 convolution before the dense layers; 2x2 max pooling follows
        each.
      image: (height, width, channels) of a row, if there are convolutions.
      dtype: of the operands of matrix products, which are accumulated in float32; params are
        float32.
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
        """Logits or regression outputs, float32 [B, K], of rows float32 [B, F]."""
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
    """2x2 max pooling: [B, H // 2, W // 2, C]; the last row or column of an odd side is left out.

    Pairs are compared, and the gradient goes to the larger number. The gradient of
    `flax.linen.max_pool` is a scatter, which is slow. The gradient of `jnp.max` looks for the
    numbers that equal the maximum; if the compiler computes them twice and rounds differently,
    there are none, and it divides by zero.
    """
    h, w = x_BxHxWxC.shape[1:3]
    cut = x_BxHxWxC[:, : h // 2 * 2, : w // 2 * 2]
    rows = _larger(cut[:, 0::2], cut[:, 1::2])
    return _larger(rows[:, :, 0::2], rows[:, :, 1::2])


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(a >= b, a, b)


def _drop(x_BxF: jax.Array, dropout: Dropout, layer: int) -> jax.Array:
    keep = 1 - dropout.rate
    kept = jax.random.bernoulli(jax.random.fold_in(dropout.key, layer), keep, x_BxF.shape)
    return x_BxF * jnp.where(kept, 1 / keep, 0)
