"""A convolution made for many runs side by side.

Shape letters: B batch, H height, W width, C channels, N patches, F numbers in one.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Conv3x3(nn.Module):
    """A convolution of stride 1, as one product over patches.

    Under `vmap` over runs, every one with filters of its own, a convolution becomes a grouped one,
    which is slow on every backend; this stays a batched matrix product.

    Attributes:
      filters: how many.
      pad: whether the picture keeps its size, zeros around it, or loses a pixel at each side.
      kernel_init: of the kernel [9 C, filters].
    """

    filters: int
    pad: bool = False
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x_BxHxWxC: jax.Array) -> jax.Array:
        """float32 [B, H, W, C] -> float32 [B, H, W, filters], or [B, H - 2, W - 2, filters]."""
        if self.pad:
            x_BxHxWxC = jnp.pad(x_BxHxWxC, ((0, 0), (1, 1), (1, 1), (0, 0)))
        b, h, w, c = x_BxHxWxC.shape
        shifts = [(i, j) for i in range(3) for j in range(3)]
        patches = [x_BxHxWxC[:, i : i + h - 2, j : j + w - 2] for i, j in shifts]
        patches_NxF = jnp.concatenate(patches, axis=-1).reshape(-1, 9 * c)
        kernel = self.param("kernel", self.kernel_init, (9 * c, self.filters))
        bias = self.param("bias", nn.initializers.zeros, (self.filters,))
        return (patches_NxF @ kernel + bias[None, :]).reshape(b, h - 2, w - 2, self.filters)
