"""Layers that stay fast under `vmap` over runs.

Shape letters: B batch, H height, W width, C channels, N rows, F features, G outputs.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from research.matmul import dense

NARROW = 16  # outputs


class Dense(nn.Module):
    """A dense layer, `x W + b`.

    Attributes:
      features: G.
      kernel_init: of the kernel [F, G].
      dtype: of the operands of the matrix product; it is accumulated in float32, and params and
        result are float32.
    """

    features: int
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_NxF: jax.Array) -> jax.Array:
        """The outputs for rows float32 [N, F]: float32 [N, G]."""
        shape = (x_NxF.shape[-1], self.features)
        kernel_FxG = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias_G = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return _product(x_NxF, kernel_FxG, self.dtype) + bias_G[None, :]


class Conv3x3(nn.Module):
    """A 3x3 convolution of stride 1, computed as one matrix product over patches.

    Under `vmap` over runs, each with filters of its own, a convolution becomes a grouped one, which
    is slow on every backend; this becomes a batched matrix product.

    Attributes:
      filters: the number of filters.
      pad: whether zeros around the image keep its size; without, it loses a pixel on each side.
      kernel_init: of the kernel [9 C, filters].
      dtype: as of `Dense`.
    """

    filters: int
    pad: bool = False
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """Outputs [B, H, W, filters] for images [B, H, W, C]; H - 2 and W - 2 if unpadded."""
        if self.pad:
            x_BxHxWxC = jnp.pad(x_BxHxWxC, ((0, 0), (1, 1), (1, 1), (0, 0)))
        b, h, w, c = x_BxHxWxC.shape
        shifts = [(i, j) for i in range(3) for j in range(3)]
        patches = [x_BxHxWxC[:, i : i + h - 2, j : j + w - 2].reshape(-1, c) for i, j in shifts]
        patches_NxF = jnp.concatenate(patches, axis=-1)  # in this order, which TPUs are quicker at
        kernel_FxG = self.param("kernel", self.kernel_init, (9 * c, self.filters), jnp.float32)
        bias_G = self.param("bias", nn.initializers.zeros, (self.filters,), jnp.float32)
        out_NxG = _product(patches_NxF, kernel_FxG, self.dtype) + bias_G[None, :]
        return out_NxG.reshape(b, h - 2, w - 2, self.filters)


def _product(x_NxF: jax.Array, kernel_FxG: jax.Array, dtype: Any) -> jax.Array:
    if dtype != jnp.float32:
        out_NxG: Any = dense(x_NxF.astype(dtype), kernel_FxG)
        return out_NxG
    if kernel_FxG.shape[1] > NARROW:
        return x_NxF @ kernel_FxG
    return lax.platform_dependent(x_NxF, kernel_FxG, cpu=_narrow_on_cpu, default=jnp.matmul)


def _narrow_on_cpu(x_NxF, kernel_FxG):
    """The product with a narrow kernel, whose gradient is x' dz.

    CPUs compute its transpose, dz' x, several times as fast, but XLA turns that back into x' dz
    unless a barrier stands between the product and the transpose. Differentiating the barrier here
    puts one there.
    """
    kernel_GxF = lax.optimization_barrier(kernel_FxG.T)
    return jnp.einsum("nf,gf->ng", x_NxF, kernel_GxF)
