"""Losses and scores for classification and regression.

Shape letters: B batch, K outputs.
"""

from functools import reduce

import chex
import jax
import jax.numpy as jnp
import optax

from research.by_platform import by_platform

MOST_COLUMNS = 32  # that a GPU's cross-entropy takes one by one


def cross_entropy(
    logits_BxK: jax.Array, labels_B: jax.Array, weights_B: jax.Array | None = None
) -> jax.Array:
    """The mean negative log-likelihood, in nats, under a softmax over K classes.

    With K = 1 it is that of the labels 0 and 1 under a sigmoid.

    Args:
      logits_BxK: float32.
      labels_B: int32.
      weights_B: float32 weights of the examples; the weighted losses are averaged over B.
    """
    chex.assert_rank([logits_BxK, labels_B], [2, 1])
    if logits_BxK.shape[1] == 1:
        targets_B = labels_B.astype(logits_BxK.dtype)
        return _mean(optax.sigmoid_binary_cross_entropy(logits_BxK[:, 0], targets_B), weights_B)
    if logits_BxK.shape[1] > MOST_COLUMNS:
        return _mean(_by_reductions(logits_BxK, labels_B), weights_B)
    losses_B = by_platform(logits_BxK, labels_B, gpu=_by_columns, other=_by_reductions)
    return _mean(losses_B, weights_B)


def _by_reductions(logits_BxK: jax.Array, labels_B: jax.Array) -> jax.Array:
    wanted_BxK = jax.nn.one_hot(labels_B, logits_BxK.shape[1], dtype=logits_BxK.dtype)
    return optax.softmax_cross_entropy(logits_BxK, wanted_BxK)


@jax.custom_jvp
def _by_columns(logits_BxK: jax.Array, labels_B: jax.Array) -> jax.Array:
    """`_by_reductions` without reductions: on a GPU each is a kernel of its own."""
    largest_B, logsum_B = _normalizers(logits_BxK)
    wanted = (jnp.where(labels_B == k, column_B - largest_B, 0)
              for k, column_B in enumerate(_columns(logits_BxK)))  # fmt: skip
    return logsum_B - sum(wanted)


@_by_columns.defjvp
def _by_columns_jvp(primals, tangents):
    logits_BxK, labels_B = primals
    largest_B, logsum_B = _normalizers(logits_BxK)
    softmax_BxK = jnp.exp(logits_BxK - largest_B[:, None] - logsum_B[:, None])
    classes_K = jnp.arange(logits_BxK.shape[1], dtype=labels_B.dtype)
    is_label_BxK = labels_B[:, None] == classes_K[None]
    gradient_BxK = jnp.where(is_label_BxK, softmax_BxK - 1, softmax_BxK)
    return _by_columns(*primals), jnp.sum(gradient_BxK * tangents[0], axis=1)


def _normalizers(logits_BxK: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest logits of rows, and the logarithm of the sum of exponentials of what is left
    without them."""
    columns = _columns(logits_BxK)
    largest_B = reduce(jnp.maximum, columns)
    return largest_B, jnp.log(sum(jnp.exp(column_B - largest_B) for column_B in columns))


def _columns(logits_BxK: jax.Array) -> list[jax.Array]:
    return [logits_BxK[:, k] for k in range(logits_BxK.shape[1])]


def squared_error(
    outputs_Bx1: jax.Array, targets_B: jax.Array, weights_B: jax.Array | None = None
) -> jax.Array:
    """The mean of (output - target)^2, without the factor 1/2."""
    chex.assert_shape(outputs_Bx1, (*targets_B.shape, 1))
    return _mean(optax.squared_error(outputs_Bx1[:, 0], targets_B), weights_B)


def absolute_error(
    outputs_Bx1: jax.Array, targets_B: jax.Array, weights_B: jax.Array | None = None
) -> jax.Array:
    """The mean of |output - target|."""
    chex.assert_shape(outputs_Bx1, (*targets_B.shape, 1))
    return _mean(jnp.abs(outputs_Bx1[:, 0] - targets_B), weights_B)


def huber(
    outputs_Bx1: jax.Array, targets_B: jax.Array, weights_B: jax.Array | None = None
) -> jax.Array:
    """The mean of d^2 / 2 where |d| <= 1, and of |d| - 1/2 elsewhere (Huber, 1964)."""
    chex.assert_shape(outputs_Bx1, (*targets_B.shape, 1))
    return _mean(optax.huber_loss(outputs_Bx1[:, 0], targets_B), weights_B)


def _mean(losses_B: jax.Array, weights_B: jax.Array | None) -> jax.Array:
    return jnp.mean(losses_B if weights_B is None else weights_B * losses_B)


CLASSIFICATION = {"cross_entropy": cross_entropy}
REGRESSION = {"squared_error": squared_error, "absolute_error": absolute_error, "huber": huber}
LOSSES = {**CLASSIFICATION, **REGRESSION}


def predicted_class(logits_BxK: jax.Array) -> jax.Array:
    """The class of the largest logit, int32 [B]; with K = 1, class 1 if the logit is positive."""
    if logits_BxK.shape[1] == 1:
        return (logits_BxK[:, 0] > 0).astype(jnp.int32)
    return jnp.argmax(logits_BxK, axis=1).astype(jnp.int32)


def accuracy(logits_BxK: jax.Array, labels_B: jax.Array) -> jax.Array:
    """The share of examples whose predicted class is the label."""
    chex.assert_rank([logits_BxK, labels_B], [2, 1])
    return jnp.mean(predicted_class(logits_BxK) == labels_B, dtype=jnp.float32)


def margin(logits_BxK: jax.Array, labels_B: jax.Array) -> jax.Array:
    """The mean of the largest other logit minus the label's (Carlini and Wagner, 2017, f_6).

    It is negative where the prediction is right. Unlike that of the cross-entropy, its gradient
    does not vanish where the net is confident.
    """
    if logits_BxK.shape[1] == 1:
        return jnp.mean(logits_BxK[:, 0] * (1 - 2 * labels_B).astype(logits_BxK.dtype))
    wanted_BxK = jax.nn.one_hot(labels_B, logits_BxK.shape[1], dtype=bool)
    others_B = jnp.max(jnp.where(wanted_BxK, -jnp.inf, logits_BxK), axis=1)
    return jnp.mean(others_B - jnp.sum(jnp.where(wanted_BxK, logits_BxK, 0), axis=1))


def r2(outputs_Bx1: jax.Array, targets_B: jax.Array) -> jax.Array:
    """The coefficient of determination, 1 - SS_residual / SS_total.

    It is not finite if all targets are equal, for example if there is only one.
    """
    residual = jnp.sum(jnp.square(targets_B - outputs_Bx1[:, 0]))
    return 1 - residual / jnp.sum(jnp.square(targets_B - jnp.mean(targets_B)))
