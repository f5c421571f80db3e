"""Matrix products whose sums are in float32, whatever the type of what is multiplied.

Shape letters: N rows, which the gradient of a kernel is a sum over; F and G features.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

PRECISIONS = ("float32", "bfloat16")  # what can be multiplied
PRECISION_HELP = "type of the matrix products: float32 or bfloat16"


def sum_type(x: jax.Array) -> Any:
    """The type to add products of this type up in: float32, or float64 of float64."""
    return jnp.float64 if x.dtype == jnp.float64 else jnp.float32


def einsum(subscripts: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """`jnp.einsum` of two arrays in `sum_type`."""
    return jnp.einsum(subscripts, a, b, preferred_element_type=sum_type(a))


@jax.custom_vjp
def dense(x_NxF: Any, kernel_FxG: Any) -> jax.Array:
    """`x K` of every row, multiplied in the type of x; result and gradient of the kernel are in
    `sum_type`."""
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
    """The sum over N of the outer products of rows, `a' b`: [F, G] in `sum_type`."""
    as_it_is = partial(einsum, "nf,ng->fg")
    if a_NxF.dtype != jnp.bfloat16:
        return as_it_is(a_NxF, b_NxG)
    return lax.platform_dependent(a_NxF, b_NxG, cpu=_summed_outer_on_cpu, default=as_it_is)


def _summed_outer_on_cpu(a_NxF, b_NxG):
    """Of a product with a transpose XLA makes one that reads rows as columns, for which CPUs have
    no bfloat16 kernel. It does not see through a loop, so one transposes a block at a time."""
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
    """`lax.scan`, whose bfloat16 inputs and outputs lie in memory as bits; see `as_bits`."""

    def one_step(carry, bits):
        carry, ys = function(carry, from_bits(bits))
        return carry, as_bits(ys)

    carry, bits = lax.scan(one_step, carry, as_bits(xs), reverse=reverse)
    return carry, from_bits(bits)


def as_bits(tree: Any) -> Any:
    """Its bfloat16 leaves as uint16 of the same bits.

    For CPUs, XLA has no slice or update of bfloat16: it converts the whole array to float32, and
    back, at every step of a scan.
    """
    return _recast(tree, jnp.bfloat16, jnp.uint16)


def from_bits(tree: Any) -> Any:
    """Undoes `as_bits` of a tree that had no uint16 leaves of its own."""
    return _recast(tree, jnp.uint16, jnp.bfloat16)


def _recast(tree, old, new):
    recast = lambda leaf: lax.bitcast_convert_type(leaf, new) if leaf.dtype == old else leaf
    return jax.tree.map(recast, tree)
