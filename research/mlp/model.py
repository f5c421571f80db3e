"""The multilayer perceptron: `h_l = f(W_l h_{l-1} + b_l)`, the last layer without `f`.

Shape letters: B batch, F features, K outputs.
"""

from collections.abc import Callable

import flax.linen as nn
import jax

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "tanh": nn.tanh,
    "sigmoid": nn.sigmoid,
    "identity": lambda x: x,
}


class MLP(nn.Module):
    """Dense layers of the given widths, then a dense layer of `outputs`.

    Kernels start from He et al. (2015), eq. 10, under ReLU and its kin, from LeCun et al. (1998)
    otherwise; biases start at zero.

    Attributes:
      hidden: the width of each hidden layer; none gives a linear model.
      outputs: K, the number of logits or regression targets.
      activation: a key of `ACTIVATIONS`.
    """

    hidden: tuple[int, ...]
    outputs: int
    activation: str = "relu"

    @nn.compact
    def __call__(self, x_BxF: jax.Array) -> jax.Array:
        """float32 [B, F] -> float32 [B, K]."""
        rectified = self.activation in ("relu", "gelu", "silu")
        kernel_init = nn.initializers.he_normal() if rectified else nn.initializers.lecun_normal()
        for width in self.hidden:
            x_BxF = nn.Dense(width, kernel_init=kernel_init)(x_BxF)
            x_BxF = ACTIVATIONS[self.activation](x_BxF)
        return nn.Dense(self.outputs)(x_BxF)
