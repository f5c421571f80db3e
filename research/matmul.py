"""Matrix products accumulated in float32, whatever the type of the operands.

Shape letters: N rows, F input features, G output features.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

PRECISIONS = ("float32", "bfloat16")  # types of operands
PRECISION_HELP = "type of the matrix products: float32 or bfloat16"


def sum_type(x: jax.Array) -> Any:
    """The type that products of `x` are accumulated in: float32, or float64 if `x` is float64."""
    return jnp.float64 if x.dtype == jnp.float64 else jnp.float32


def einsum(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """`jnp.einsum` of two arrays, accumulated in `sum_type`."""
    return jnp.einsum(subscripts, a, b, preferred_element_type=sum_type(a))


@jax.custom_vjp
def dense(x_NxF: Any, kernel_FxG: Any) -> jax.Array:
    """The matrix product `x K`, with the kernel rounded to the type of x.

    The result and the gradient of the kernel are accumulated in `sum_type`.
    """
    return einsum("nf,fg->ng", x_NxF, kernel_FxG.astype(x_NxF.dtype))


def _dense_forward(x_NxF, kernel_FxG):
    return dense(x_NxF, kernel_FxG), (x_NxF, kernel_FxG)


def _dense_backward(kept, dz_NxG):
    x_NxF, kernel_FxG = kept
    dz_NxG = dz_NxG.astype(x_NxF.dtype)
    dx_NxF = einsum("ng,fg->nf", dz_NxG, kernel_FxG.astype(x_NxF.dtype))
    return dx_NxF.astype(x_NxF.dtype), summed_outer(x_NxF, dz_NxG).astype(kernel_FxG.dtype)


dense.defvjp(_dense_forward, _dense_backward)


def summed_outer(a_NxF: jax.Array, b_NxG: jax.Array) -> jax.Array:
    """`a' b`, the sum over N of the outer products of rows: [F, G] in `sum_type`."""
    as_it_is = partial(einsum, "nf,ng->fg")
    if a_NxF.dtype != jnp.bfloat16:
        return as_it_is(a_NxF, b_NxG)
    return lax.platform_dependent(a_NxF, b_NxG, cpu=_summed_outer_on_cpu, default=as_it_is)


def _summed_outer_on_cpu(a_NxF, b_NxG):
    """`summed_outer` with a transpose that XLA for CPUs does not fold into the product.

    Folded, the product has a layout for which there is no bfloat16 kernel on CPUs. XLA does not
    see through a loop, so a loop transposes one block of rows at a time.
    """
    n, features = a_NxF.shape
    rows = next((rows for rows in range(64, 1, -1) if n % rows == 0 and n > rows), None)
    if rows is None:
        return einsum("nf,ng->fg", a_NxF.astype(jnp.float32), b_NxG.astype(jnp.float32))
    bits_NxF = as_bits(a_NxF)

    def one_block(index, done_FxN):
        block = lax.dynamic_slice_in_dim(bits_NxF, index * rows, rows)
        return lax.dynamic_update_slice_in_dim(done_FxN, block.T, index * rows, axis=1)

    done_FxN = lax.fori_loop(0, n // rows, one_block, jnp.zeros((features, n), bits_NxF.dtype))
    return einsum("fn,ng->fg", from_bits(done_FxN), b_NxG)


def scan(function: Any, carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    """`lax.scan` that stores bfloat16 inputs and outputs as uint16; see `as_bits`."""

    def one_step(carry, bits):
        carry, ys = function(carry, from_bits(bits))
        return carry, as_bits(ys)

    carry, bits = lax.scan(one_step, carry, as_bits(xs), reverse=reverse)
    return carry, from_bits(bits)


def as_bits(tree: Any) -> Any:
    """`tree` with its bfloat16 leaves bitcast to uint16.

    XLA for CPUs has no slice or update of bfloat16: at every step of a scan it would convert the
    whole array to float32 and back.
    """
    return _recast(tree, jnp.bfloat16, jnp.uint16)


def from_bits(tree: Any) -> Any:
    """The inverse of `as_bits`, for trees that had no uint16 leaves."""
    return _recast(tree, jnp.uint16, jnp.bfloat16)


def _recast(tree, old, new):
    recast = lambda leaf: lax.bitcast_convert_type(leaf, new) if leaf.dtype == old else leaf
    return jax.tree.map(recast, tree)
