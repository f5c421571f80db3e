"""The LSTM's recurrence over a window, with a gradient written by hand.

    i, f, o = sigmoid(z),  g = tanh(z),  z = x W + b + h U
    c' = f c + i g,  h' = o tanh(c')

(Hochreiter and Schmidhuber, 1997; the forget gate is of Gers, Schmidhuber and Cummins, 2000.)

`z` and `U` hold the four gates side by side, in PyTorch's order i, f, g, o. The input's part
`x W + b` does not depend on the state, so the caller makes it for the whole window with one matrix
product. Differentiating the scan would add a gradient of U's size to U's at every step; here the
scan backwards gives the gates' gradients only, from which one product over time and batch makes
U's, as cuDNN does (Appleyard et al., 2016).

Shape letters: T time, B batch, H units, G gates' units (4 H, or 3 H with coupled gates).
"""

from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax


class Carry(NamedTuple):
    """The state between two windows: [B, H] each."""

    h: jax.Array
    c: jax.Array


class _Step(NamedTuple):
    """What a step leaves for the way back: gates after their non-linearities [B, G], the cell
    state before, and tanh of the one after [B, H]."""

    gates: jax.Array
    c: jax.Array
    tanh_c: jax.Array


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def lstm(
    coupled: bool, z_TxBxG: Any, kernel_HxG: Any, carry: Carry, mask_BxH: Any = None
) -> tuple[Any, Carry]:
    """The outputs of every step, and the state after the last.

    Args:
      coupled: whether the input gate is 1 - f (Greff et al., 2017); then there are the gates f, g
        and o only.
      z_TxBxG: float, `x W + b`.
      kernel_HxG: U.
      carry: before the first step.
      mask_BxH: what every state read from the step before is multiplied with; not differentiated.

    Returns:
      h [T, B, H] and the carry after it, in the types given.
    """
    (h_TxBxH, last), _ = _forward(coupled, z_TxBxG, kernel_HxG, carry, mask_BxH)
    return h_TxBxH, last


def sum_type(x: jax.Array) -> Any:
    """The type to add products of this type up in: float32, or float64 of float64."""
    return jnp.float64 if x.dtype == jnp.float64 else jnp.float32


def _forward(coupled, z_TxBxG, kernel_HxG, carry, mask_BxH):
    gates = 3 if coupled else 4
    chex.assert_axis_dimension(kernel_HxG, 1, gates * carry.h.shape[-1])

    def one_step(carry, z_BxG):
        h, c = carry
        z_BxG = z_BxG + _matmul(_masked(h, mask_BxH), kernel_HxG)
        gates_BxG = _squash(coupled, z_BxG)
        i, f, g, o = _split(coupled, gates_BxG)
        tanh_c = jnp.tanh(f * c + i * g)
        h = o * tanh_c
        return Carry(h, f * c + i * g), (h, _Step(gates_BxG, c, tanh_c))

    last, (h_TxBxH, steps) = lax.scan(one_step, carry, z_TxBxG)
    return (h_TxBxH, last), (kernel_HxG, carry.h, h_TxBxH, steps, mask_BxH)


def _backward(coupled, kept, cotangents):
    kernel_HxG, h_before, h_TxBxH, steps, mask_BxH = kept
    dh_TxBxH, dlast = cotangents
    kernel_GxH = kernel_HxG.T

    def one_step(carry, inputs):
        dh, dc = carry
        dh_out, step = inputs
        i, f, g, o = _split(coupled, step.gates)
        dh = dh + dh_out
        dc = dc + dh * o * (1 - step.tanh_c * step.tanh_c)
        df, dg, do = dc * step.c, dc * i, dh * step.tanh_c
        if coupled:
            dz = ((df - dc * g) * f * (1 - f), dg * (1 - g * g), do * o * (1 - o))
        else:
            di = dc * g
            dz = (di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o))
        dz_BxG = jnp.concatenate(dz, axis=-1)
        return (_masked(_matmul(dz_BxG, kernel_GxH), mask_BxH), dc * f), dz_BxG

    (dh, dc), dz_TxBxG = lax.scan(one_step, tuple(dlast), (dh_TxBxH, steps), reverse=True)
    before_TxBxH = jnp.concatenate([h_before[None], h_TxBxH[:-1]])
    if mask_BxH is not None:
        before_TxBxH = before_TxBxH * mask_BxH[None]
    dkernel_HxG = jnp.einsum(
        "tbh,tbg->hg", before_TxBxH, dz_TxBxG, preferred_element_type=sum_type(dz_TxBxG)
    )
    return dz_TxBxG, dkernel_HxG.astype(kernel_HxG.dtype), Carry(dh, dc), None


lstm.defvjp(_forward, _backward)


def _masked(h, mask_BxH):
    return h if mask_BxH is None else h * mask_BxH


def _matmul(x, kernel):
    return jnp.matmul(x, kernel, preferred_element_type=sum_type(x)).astype(x.dtype)


def _squash(coupled, z_BxG):
    """The gates' non-linearities as one tanh, since sigmoid(z) = tanh(z / 2) / 2 + 1 / 2."""
    units = z_BxG.shape[-1] // (3 if coupled else 4)
    is_g = jnp.arange(z_BxG.shape[-1]) // units == (1 if coupled else 2)
    scale_G = jnp.where(is_g, 1, 0.5).astype(z_BxG.dtype)[None, :]
    gates_BxG = jnp.tanh(z_BxG * scale_G) * scale_G + (1 - scale_G)
    # What reads the gates would else each compute them anew.
    return lax.optimization_barrier(gates_BxG)


def _split(coupled, gates_BxG):
    if not coupled:
        return jnp.split(gates_BxG, 4, axis=-1)
    f, g, o = jnp.split(gates_BxG, 3, axis=-1)
    return 1 - f, f, g, o
