"""The recurrence of an LSTM over a window, with a hand-written gradient.

    i, f, o = sigmoid(z),  g = tanh(z),  z = x W + b + h U
    c' = f c + i g,  h' = o tanh(c')

(Hochreiter and Schmidhuber, 1997; the forget gate is of Gers, Schmidhuber and Cummins, 2000.)

`z` and `U` hold the four gates side by side, in PyTorch's order i, f, g, o. The input's part, `x
W`, does not depend on the state, so the caller computes it for the whole window with one matrix
product. Differentiating the scan would accumulate the gradient of U at every step. Here the
backward scan returns the gradients of the gates, and one matrix product over time and batch turns
them into that of U, as cuDNN does (Appleyard et al., 2016).

What the forward scan keeps for the backward one, and how, differs by platform; see
`_forward_apart` and `_forward_packed`.

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
from jax import lax

from research.by_platform import by_platform
from research.matmul import einsum, scan, sum_type, summed_outer

UNROLLED = 8  # steps in one turn of a loop on a GPU


class Carry(NamedTuple):
    """The state of a layer between two windows.

    Attributes:
      h: [B, H], in the type of the operands of matrix products.
      c: [B, H], in the type of their accumulation.
    """

    h: jax.Array
    c: jax.Array


class _Cell(NamedTuple):
    """What the gradient of a step needs, [B, H] each, in the type of accumulations.

    They are the gates after their non-linearities (1 - f for `i` if coupled), tanh of the cell
    state after the step, and the cell state before it.
    """

    i: jax.Array
    f: jax.Array
    g: jax.Array
    o: jax.Array
    tanh_c: jax.Array
    c_before: jax.Array


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
    chex.assert_axis_dimension(kernel_HxG, 1, (3 if coupled else 4) * carry.h.shape[-1])
    chex.assert_type([z_TxBxG, bias_G, carry.c], sum_type(carry.h))
    apart, packed = partial(_lstm_apart, coupled), partial(_lstm_packed, coupled)
    return by_platform(z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH, gpu=packed, other=apart)


def _step(coupled, z_BxG, carry):
    """The state after a step from its pre-activations, and what the gradient needs."""
    parts = jnp.split(z_BxG, 3 if coupled else 4, axis=-1)
    *i, f, o = (_sigmoid(part) for part in (*parts[:-2], parts[-1]))
    g = jnp.tanh(parts[-2])
    i = 1 - f if coupled else i[0]
    c = f * carry.c + i * g
    tanh_c = jnp.tanh(c)
    return Carry((o * tanh_c).astype(carry.h.dtype), c), _Cell(i, f, g, o, tanh_c, carry.c)


def _step_gradient(coupled, cell, dh, dc):
    """The gradients of the gates' pre-activations, and that of the cell state before the step."""
    i, f, g, o, tanh_c, c_before = cell
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    do = dh * tanh_c * o * (1 - o)
    if coupled:
        dz = (dc * (c_before - g) * f * (1 - f), dc * (1 - f) * (1 - g * g), do)
    else:
        di, df = dc * g * i * (1 - i), dc * c_before * f * (1 - f)
        dz = (di, df, dc * i * (1 - g * g), do)
    return dz, dc * f


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lstm_apart(coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH):
    return _forward_apart(coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH)[0]


def _forward_apart(coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH):
    """The outputs, and what the gradient needs as an array for each of its kinds.

    XLA for CPUs then loops over whole rows, which is several times as fast as parts of rows.
    """
    dtype = carry.h.dtype
    rounded_HxG = kernel_HxG.astype(dtype)

    def one_step(carry, z_BxG):
        h_before = _masked(carry.h, mask_BxH)
        z_BxG = einsum("bh,hg->bg", h_before, rounded_HxG) + z_BxG
        carry, cell = _step(coupled, z_BxG + bias_G[None, :], carry)
        kept = (carry.h, h_before, cell._replace(i=None) if coupled else cell)
        return carry, _cast(kept, dtype)

    last, (h_TxBxH, h_before_TxBxH, cells) = scan(one_step, carry, z_TxBxG)
    return (h_TxBxH, last), (kernel_HxG, mask_BxH, h_before_TxBxH, cells)


def _backward_apart(coupled, kept, cotangents):
    kernel_HxG, mask_BxH, h_before_TxBxH, cells = kept
    dh_TxBxH, dlast = cotangents
    dtype, sums = dh_TxBxH.dtype, sum_type(dh_TxBxH)
    rounded_HxG = kernel_HxG.astype(dtype)

    def one_step(carry, inputs):
        dh, dc = carry
        dh_out, cell = _cast(inputs, sums)
        dz, dc = _step_gradient(coupled, cell, dh + dh_out, dc)
        dz_BxG = jnp.concatenate(_cast(dz, dtype), axis=-1)
        dh = _masked(einsum("bg,hg->bh", dz_BxG, rounded_HxG), mask_BxH)
        return (dh, dc), dz_BxG

    first = dlast.h.astype(sums), dlast.c
    before, dz_TxBxG = scan(one_step, first, (dh_TxBxH, cells), reverse=True)
    return _gradients(kernel_HxG, h_before_TxBxH, dz_TxBxG, before)


_lstm_apart.defvjp(_forward_apart, _backward_apart)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lstm_packed(coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH):
    last, h_TxBxH = _scan_packed(
        lambda after, cell: after.h, coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH
    )
    return h_TxBxH, last


def _forward_packed(coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH):
    """The outputs, and what the gradient needs as one array, [T, B, 6 H].

    On a GPU each array that a step writes is a kernel to launch, as is each turn of a loop; tanh is
    computed again, since that is free.
    """

    def pack(after, cell):
        gates = cell[1:4] if coupled else cell[:4]
        return jnp.concatenate(_cast((*gates, after.c, after.h), after.h.dtype), axis=-1)

    last, packed_TxBxS = _scan_packed(pack, coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH)
    h_TxBxH = packed_TxBxS[..., -carry.h.shape[-1] :]
    return (h_TxBxH, last), (kernel_HxG, mask_BxH, carry, packed_TxBxS)


def _scan_packed(keep, coupled, z_TxBxG, kernel_HxG, bias_G, carry, mask_BxH):
    """The last state, and what `keep` makes of the state after every step and its `_Cell`."""
    rounded_HxG = kernel_HxG.astype(carry.h.dtype)

    def one_step(carry, z_BxG):
        z_BxG = einsum("bh,hg->bg", _masked(carry.h, mask_BxH), rounded_HxG) + z_BxG
        carry, cell = _step(coupled, z_BxG + bias_G[None, :], carry)
        return carry, keep(carry, cell)

    return lax.scan(one_step, carry, z_TxBxG, unroll=UNROLLED)


def _backward_packed(coupled, kept, cotangents):
    kernel_HxG, mask_BxH, carry, packed_TxBxS = kept
    dh_TxBxH, dlast = cotangents
    dtype, sums = dh_TxBxH.dtype, sum_type(dh_TxBxH)
    units = dh_TxBxH.shape[-1]
    rounded_HxKxH = kernel_HxG.astype(dtype).reshape(units, -1, units)
    c_TxBxH, h_TxBxH = packed_TxBxS[..., -2 * units : -units], packed_TxBxS[..., -units:]
    before = lambda first, later: jnp.concatenate([first.astype(dtype)[None], later[:-1]])

    def one_step(carry, inputs):
        dh, dc = carry
        dh_out, packed, c_before = _cast(inputs, sums)
        *i, f, g, o, c, _ = jnp.split(packed, packed.shape[-1] // units, axis=-1)
        cell = _Cell(1 - f if coupled else i[0], f, g, o, jnp.tanh(c), c_before)
        dz, dc = _step_gradient(coupled, cell, dh + dh_out, dc)
        dz_KxBxH = jnp.stack(_cast(dz, dtype))
        dh = _masked(einsum("kbh,jkh->bj", dz_KxBxH, rounded_HxKxH), mask_BxH)
        return (dh, dc), dz_KxBxH

    first = dlast.h.astype(sums), dlast.c
    inputs = dh_TxBxH, packed_TxBxS, before(carry.c, c_TxBxH)
    earlier, dz_TxKxBxH = lax.scan(one_step, first, inputs, reverse=True, unroll=UNROLLED)
    dz_TxBxG = jnp.moveaxis(dz_TxKxBxH, 1, 2).reshape(*dh_TxBxH.shape[:2], -1)
    h_before_TxBxH = before(carry.h, h_TxBxH)
    if mask_BxH is not None:
        h_before_TxBxH = _masked(h_before_TxBxH, mask_BxH[None])
    return _gradients(kernel_HxG, h_before_TxBxH, dz_TxBxG, earlier)


_lstm_packed.defvjp(_forward_packed, _backward_packed)


def _gradients(kernel_HxG, h_before_TxBxH, dz_TxBxG, before):
    """The gradients of `lstm`'s arguments from those of the gates and of the first state."""
    dtype, sums = dz_TxBxG.dtype, sum_type(dz_TxBxG)
    dh, dc = before
    flat = lambda x: x.reshape(-1, x.shape[-1])
    dkernel_HxG = summed_outer(flat(h_before_TxBxH), flat(dz_TxBxG)).astype(kernel_HxG.dtype)
    dbias_G = by_platform(dz_TxBxG, tpu=_sum_by_product, other=_sum)
    return dz_TxBxG.astype(sums), dkernel_HxG, dbias_G, Carry(dh.astype(dtype), dc), None


def _sum(dz_TxBxG):
    return jnp.sum(dz_TxBxG, axis=(0, 1), dtype=sum_type(dz_TxBxG))


def _sum_by_product(dz_TxBxG):
    """`_sum` as a matrix product, with as many rows of ones as a tile of a TPU has."""
    dz_NxG = dz_TxBxG.reshape(-1, dz_TxBxG.shape[-1])
    return einsum("no,ng->og", jnp.ones((len(dz_NxG), 8), dz_NxG.dtype), dz_NxG)[0]


def _masked(h, mask_BxH):
    return h if mask_BxH is None else h * mask_BxH.astype(h.dtype)


def _cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def _sigmoid(z):
    return 0.5 * jnp.tanh(0.5 * z) + 0.5
