"""The recurrence of an LSTM over a window, with a hand-written gradient.

    i, f, o = sigmoid(z),  g = tanh(z),  z = x W + b + h U
    c' = f c + i g,  h' = o tanh(c')

(Hochreiter and Schmidhuber, 1997; the forget gate is of Gers, Schmidhuber and Cummins, 2000.)

`z` and `U` hold the four gates side by side, in PyTorch's order i, f, g, o. The input's part, `x
W`, does not depend on the state, so the caller computes it for the whole window with one matrix
product. Differentiating the scan would accumulate the gradient of U at every step. Here the
backward scan returns the gradients of the gates, and one matrix product over time and batch turns
them into that of U, as cuDNN does (Appleyard et al., 2016).

Gates, `c` and all accumulations are float32 (float64 for float64 inputs), also where the operands
of matrix products are bfloat16. The sigmoid is computed by tanh, for which XLA has a polynomial;
`jax.nn.sigmoid` takes an exponential.

Shape letters: T time, B batch, H units, G gates' units (4 H, or 3 H with coupled gates).
"""

from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from research.matmul import einsum, scan, sum_type, summed_outer


class Carry(NamedTuple):
    """The state of a layer between two windows.

    Attributes:
      h: [B, H], in the type of the operands of matrix products.
      c: [B, H], in the type of their accumulation.
    """

    h: jax.Array
    c: jax.Array


class _Step(NamedTuple):
    """The residuals of a step for the backward scan, [B, H] each.

    They are the gates after their non-linearities (no `i` if coupled), tanh of the cell state after
    the step, and the cell state and the masked output before it. They are separate arrays, since
    XLA for CPUs then loops over whole rows, which is several times as fast.
    """

    i: jax.Array | None
    f: jax.Array
    g: jax.Array
    o: jax.Array
    tanh_c: jax.Array
    c_before: jax.Array
    h_before: jax.Array


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def lstm(
    coupled: bool, z_TxBxG: Any, kernel_HxG: Any, bias_G: Any, carry: Carry, mask_BxH: Any = None
) -> tuple[Any, Carry]:
    """The outputs of every step, and the state after the last step.

    Args:
      coupled: whether the input gate is 1 - f (Greff et al., 2017); then the gates are f, g and o.
      z_TxBxG: `x W`, in the type of accumulations.
      kernel_HxG: U; it is rounded to the type of h.
      bias_G: b, in the type of accumulations.
      carry: the state before the first step.
      mask_BxH: the dropout mask that `h` of the previous step is multiplied by; not differentiated.

    Returns:
      h [T, B, H], and the state after the last step.
    """
    (h_TxBxH, last), _ = _forward(coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH)
    return h_TxBxH, last


def _forward(coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH):
    gates = 3 if coupled else 4
    chex.assert_axis_dimension(kernel_HxG, 1, gates * carry.h.shape[-1])
    dtype, sums = carry.h.dtype, sum_type(carry.h)
    chex.assert_type([z_TxBxG, bias_G, carry.c], sums)
    rounded_HxG = kernel_HxG.astype(dtype)

    def one_step(carry, z_BxG):
        h_before = _masked(carry.h, mask_BxH)
        z_BxG = einsum("bh,hg->bg", h_before, rounded_HxG) + z_BxG
        parts = jnp.split(z_BxG + bias_G[None, :], gates, axis=-1)
        *i, f, o = (_sigmoid(part) for part in (*parts[:-2], parts[-1]))
        g = jnp.tanh(parts[-2])
        c = f * carry.c + (1 - f if coupled else i[0]) * g
        tanh_c = jnp.tanh(c)
        h = (o * tanh_c).astype(dtype)
        step = _Step(None if coupled else i[0], f, g, o, tanh_c, carry.c, h_before)
        return Carry(h, c), jax.tree.map(lambda leaf: leaf.astype(dtype), (h, step))

    last, (h_TxBxH, steps) = scan(one_step, carry, z_TxBxG)
    return (h_TxBxH, last), (kernel_HxG, steps, mask_BxH)


def _backward(coupled, kept, cotangents):
    kernel_HxG, steps, mask_BxH = kept
    dh_TxBxH, dlast = cotangents
    dtype, sums = dh_TxBxH.dtype, sum_type(dh_TxBxH)
    rounded_HxG = kernel_HxG.astype(dtype)

    def one_step(carry, inputs):
        dh, dc = carry
        dh_out, step = inputs
        i, f, g, o, tanh_c, c_before, _ = jax.tree.map(lambda leaf: leaf.astype(sums), step)
        dh = dh + dh_out.astype(sums)
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        by_c = dc * f
        do = dh * tanh_c * o * (1 - o)
        if coupled:
            dz = (dc * (c_before - g) * f * (1 - f), dc * (1 - f) * (1 - g * g), do)
        else:
            di, df = dc * g * i * (1 - i), dc * c_before * f * (1 - f)
            dz = (di, df, dc * i * (1 - g * g), do)
        dz_BxG = jnp.concatenate([part.astype(dtype) for part in dz], axis=-1)
        dh = _masked(einsum("bg,hg->bh", dz_BxG, rounded_HxG), mask_BxH)
        return (dh, by_c), dz_BxG

    first = dlast.h.astype(sums), dlast.c
    (dh, dc), dz_TxBxG = scan(one_step, first, (dh_TxBxH, steps), reverse=True)
    flat = lambda x: x.reshape(-1, x.shape[-1])
    dkernel_HxG = summed_outer(flat(steps.h_before), flat(dz_TxBxG)).astype(kernel_HxG.dtype)
    dbias_G = jnp.sum(dz_TxBxG, axis=(0, 1), dtype=sums)
    return dz_TxBxG.astype(sums), dkernel_HxG, dbias_G, Carry(dh.astype(dtype), dc), None


lstm.defvjp(_forward, _backward)


def _masked(h, mask_BxH):
    return h if mask_BxH is None else h * mask_BxH.astype(h.dtype)


def _sigmoid(z):
    return 0.5 * jnp.tanh(0.5 * z) + 0.5
