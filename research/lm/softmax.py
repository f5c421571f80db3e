"""Cross-entropy over a large vocabulary.

Shape letters: N tokens, C chunks, E size of an output, V symbols.

The logits of all tokens at once, [N, V] in every run, often need more memory than everything else
in training. Here they are computed, and turned into the gradient, for one chunk of tokens at a
time. The gradient is computed together with the loss, so nothing is computed twice (as in the fused
loss of Liger Kernel, Hsu et al., 2024).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.by_platform import by_platform
from research.matmul import as_bits, einsum, from_bits, sum_type, summed_outer


def token_nll(out_NxE: Any, table_VxE: Any, bias_V: Any, target_N: Any) -> jax.Array:
    """The loss of every token, `-log softmax(out W' + b)[target]`, in nats: float32 [N]."""
    logits_NxV = make_logits(out_NxE, table_VxE, bias_V)
    return optax.softmax_cross_entropy_with_integer_labels(logits_NxV, target_N)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def total_nll(chunks: int, out_NxE: Any, table_VxE: Any, bias_V: Any, target_N: Any) -> jax.Array:
    """The sum of `token_nll` over the tokens: float32 [].

    Args:
      chunks: C, the number of chunks of tokens; divides N.
      out_NxE: float, the input of the softmax; its type is that of the operands of products.
      table_VxE: float, one row per symbol.
      bias_V: float.
      target_N: int.
    """
    nll = lambda chunk: jnp.sum(token_nll(chunk[0], table_VxE, bias_V, chunk[1]))
    return jnp.sum(lax.map(nll, _cut(chunks, out_NxE, target_N)))


def make_logits(out_NxE: Any, table_VxE: Any, bias_V: Any) -> jax.Array:
    """The logits, float32 [N, V], accumulated in float32 whatever the type of `out`."""
    product_NxV = einsum("ne,ve->nv", out_NxE, table_VxE.astype(out_NxE.dtype))
    return product_NxV + bias_V.astype(product_NxV.dtype)[None, :]


def _forward(chunks, out_NxE, table_VxE, bias_V, target_N):
    def one_chunk(sums, chunk):
        out, target = chunk
        nll, dout, dtable, dbias = _with_gradient(out, target, table_VxE, bias_V)
        return jax.tree.map(jnp.add, sums, (nll, dtable, dbias)), dout

    if chunks == 1:
        nll, dout_NxE, dtable_VxE, dbias_V = _with_gradient(out_NxE, target_N, table_VxE, bias_V)
    else:
        sums = sum_type(out_NxE)
        zeros = jnp.zeros((), sums), jnp.zeros(table_VxE.shape, sums), jnp.zeros(bias_V.shape, sums)
        (nll, dtable_VxE, dbias_V), dout_CxMxE = lax.scan(
            one_chunk, zeros, _cut(chunks, out_NxE, target_N)
        )
        dout_NxE = dout_CxMxE.reshape(out_NxE.shape)
    grads = dout_NxE.astype(out_NxE.dtype), dtable_VxE.astype(table_VxE.dtype)
    return nll, (*grads, dbias_V.astype(bias_V.dtype))


def _backward(chunks, grads, cotangent):
    del chunks
    return *(grad * cotangent.astype(grad.dtype) for grad in grads), None


total_nll.defvjp(_forward, _backward)


def _with_gradient(out_NxE, target_N, table_VxE, bias_V):
    """The loss summed over tokens, and its gradients with respect to out, table and bias, float32.

    The gradient with respect to the logits is `(e - s at the target) / s`, with `e = exp(logits -
    their maximum)` and its sum `s`. Rows of `out` are divided by `s` instead of rows of `e`, which
    are longer.
    """
    args = out_NxE, target_N, table_VxE, bias_V
    return by_platform(*args, gpu=_by_mask, tpu=_by_mask, other=_by_scatter)


def _by_mask(out_NxE, target_N, table_VxE, bias_V):
    """`_with_gradient` without gather and scatter, and with the gradient of the bias as a column of
    the table's. Each matrix product computes the exponentials again rather than read them."""
    dtype, rounded_VxE = out_NxE.dtype, table_VxE.astype(out_NxE.dtype)
    logits_NxV = make_logits(out_NxE, table_VxE, bias_V)
    symbols_V = jnp.arange(logits_NxV.shape[1], dtype=target_N.dtype)
    at_target_NxV = target_N[:, None] == symbols_V[None]
    largest_N = jnp.max(logits_NxV, axis=-1)
    chosen_N = jnp.sum(jnp.where(at_target_NxV, logits_NxV, 0), axis=-1)
    e_NxV = jnp.exp(logits_NxV - largest_N[:, None])
    s_N = jnp.sum(e_NxV, axis=-1)
    nll = jnp.sum(jnp.log(s_N) + largest_N - chosen_N)
    e_NxV = (e_NxV - jnp.where(at_target_NxV, s_N[:, None], 0)).astype(dtype)
    dout_NxE = einsum("nv,ve->ne", e_NxV, rounded_VxE) / s_N[:, None]
    with_one = jnp.concatenate([out_NxE, jnp.ones_like(out_NxE[:, :1])], axis=1)
    both_VxE = summed_outer(e_NxV, (with_one / s_N[:, None].astype(dtype)).astype(dtype))
    return nll, dout_NxE, both_VxE[:, :-1], both_VxE[:, -1]


def _by_scatter(out_NxE, target_N, table_VxE, bias_V):
    """`_with_gradient` with the exponentials computed once."""
    dtype, rounded_VxE = out_NxE.dtype, table_VxE.astype(out_NxE.dtype)
    logits_NxV = make_logits(out_NxE, table_VxE, bias_V)
    largest_N, chosen_N = jnp.max(logits_NxV, axis=-1), _pick(logits_NxV, target_N)
    # The barrier keeps XLA from recomputing the exponentials in every consumer.
    e_NxV = lax.optimization_barrier(jnp.exp(logits_NxV - largest_N[:, None]).astype(dtype))
    s_N = jnp.sum(e_NxV, axis=-1, dtype=logits_NxV.dtype)
    nll = jnp.sum(jnp.log(s_N) + largest_N - chosen_N)
    at_target_N = jnp.exp(chosen_N - largest_N).astype(dtype).astype(s_N.dtype) - s_N
    target_bits_N = as_bits(at_target_N.astype(dtype))
    bits_NxV = _at(as_bits(e_NxV), target_N).set(target_bits_N, mode="promise_in_bounds")
    e_NxV = from_bits(bits_NxV)
    dout_NxE = einsum("nv,ve->ne", e_NxV, rounded_VxE) / s_N[:, None]
    shrunk_NxE = (out_NxE / s_N[:, None].astype(dtype)).astype(dtype)
    dtable_VxE = summed_outer(e_NxV, shrunk_NxE)
    dbias_1xV = einsum("on,nv->ov", (1 / s_N).astype(dtype)[None, :], e_NxV)
    return nll, dout_NxE, dtable_VxE, dbias_1xV[0]


def _pick(x_NxV, target_N):
    return _at(x_NxV, target_N).get(mode="promise_in_bounds")


def _at(x_NxV, target_N):
    return x_NxV.at[jnp.arange(len(target_N), dtype=target_N.dtype), target_N]


def _cut(chunks, *arrays):
    return tuple(array.reshape(chunks, -1, *array.shape[1:]) for array in arrays)
