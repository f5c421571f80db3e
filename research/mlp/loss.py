"""What is minimized, and how an evaluation is scored, for classification and regression.

Shape letters: B batch, K outputs.
"""

import chex
import jax
import jax.numpy as jnp
import optax


def cross_entropy(logits_BxK: jax.Array, labels_B: jax.Array) -> jax.Array:
    """Mean negative log-likelihood in nats of int32 labels under a softmax over K classes.

    With K = 1 it is that of labels 0 and 1 under a sigmoid.
    """
    chex.assert_rank([logits_BxK, labels_B], [2, 1])
    if logits_BxK.shape[1] == 1:
        targets_B = labels_B.astype(logits_BxK.dtype)
        return optax.sigmoid_binary_cross_entropy(logits_BxK[:, 0], targets_B).mean()
    return optax.softmax_cross_entropy_with_integer_labels(logits_BxK, labels_B).mean()


def squared_error(outputs_Bx1: jax.Array, targets_B: jax.Array) -> jax.Array:
    """Mean of (output - target)^2, without the factor 1/2."""
    chex.assert_shape(outputs_Bx1, (*targets_B.shape, 1))
    return jnp.mean(jnp.square(outputs_Bx1[:, 0] - targets_B))


def absolute_error(outputs_Bx1: jax.Array, targets_B: jax.Array) -> jax.Array:
    """Mean of |output - target|."""
    chex.assert_shape(outputs_Bx1, (*targets_B.shape, 1))
    return jnp.mean(jnp.abs(outputs_Bx1[:, 0] - targets_B))


def huber(outputs_Bx1: jax.Array, targets_B: jax.Array) -> jax.Array:
    """Mean of d^2 / 2 where |d| <= 1, of |d| - 1/2 elsewhere (Huber, 1964)."""
    chex.assert_shape(outputs_Bx1, (*targets_B.shape, 1))
    return optax.huber_loss(outputs_Bx1[:, 0], targets_B).mean()


CLASSIFICATION = {"cross_entropy": cross_entropy}
REGRESSION = {"squared_error": squared_error, "absolute_error": absolute_error, "huber": huber}
LOSSES = {**CLASSIFICATION, **REGRESSION}


def accuracy(logits_BxK: jax.Array, labels_B: jax.Array) -> jax.Array:
    """The share of labels that get the largest logit; with K = 1, of signs that agree."""
    chex.assert_rank([logits_BxK, labels_B], [2, 1])
    if logits_BxK.shape[1] == 1:
        predicted_B = (logits_BxK[:, 0] > 0).astype(labels_B.dtype)
    else:
        predicted_B = jnp.argmax(logits_BxK, axis=1).astype(labels_B.dtype)
    return jnp.mean(predicted_B == labels_B, dtype=jnp.float32)


def r2(outputs_Bx1: jax.Array, targets_B: jax.Array) -> jax.Array:
    """Coefficient of determination, 1 - SS_residual / SS_total."""
    residual = jnp.sum(jnp.square(targets_B - outputs_Bx1[:, 0]))
    return 1 - residual / jnp.sum(jnp.square(targets_B - jnp.mean(targets_B)))
