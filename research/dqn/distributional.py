"""Q-learning of whole distributions of returns: C51 and quantile regression.

One transition each, to be used under `vmap`. Letters: A actions, M atoms or quantiles.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax import lax


def project(support: jax.Array, probabilities: jax.Array, atoms: jax.Array) -> jax.Array:
    """Moves the mass at `support` to the evenly spaced `atoms`: float32 [M], sum unchanged.

    Bellemare, Dabney and Munos (2017), eq. 7. Mass between two atoms is split by nearness, mass
    beyond either end goes to that end.

    Args:
      support: float32 [N], where the mass lies.
      probabilities: float32 [N].
      atoms: float32 [M], increasing.
    """
    chex.assert_equal_shape([support, probabilities])
    spacing = (atoms[-1] - atoms[0]) / (len(atoms) - 1)
    clipped = jnp.clip(support, atoms[0], atoms[-1])
    distance_MxN = jnp.abs(clipped[None, :] - atoms[:, None]) / spacing
    return jnp.clip(1 - distance_MxN, 0, 1) @ probabilities


def categorical_target(
    r_t: Any, discount_t: Any, probabilities_t: jax.Array, atoms: jax.Array
) -> jax.Array:
    """Algorithm 1 of C51: the distribution of `r + gamma Z(s', a*)` on the atoms, float32 [M].

    Args:
      r_t, discount_t: float32 [].
      probabilities_t: float32 [M], of the action chosen in s'.
      atoms: float32 [M].
    """
    return lax.stop_gradient(project(r_t + discount_t * atoms, probabilities_t, atoms))


def cross_entropy(target: jax.Array, logits: jax.Array) -> jax.Array:
    """`-sum_i target_i log softmax(logits)_i`: C51's loss, the KL divergence but for a constant."""
    return -jnp.sum(target * jax.nn.log_softmax(logits))


def entropy(probabilities: jax.Array) -> jax.Array:
    """`-sum_i p_i log p_i`, the smallest cross-entropy that this target allows."""
    return jnp.sum(jax.scipy.special.entr(probabilities))


def quantile_midpoints(quantiles: int) -> jax.Array:
    """`(2 i + 1) / (2 M)`: Dabney et al. (2018), lemma 2."""
    return (jnp.arange(quantiles, dtype=jnp.float32) + 0.5) / quantiles


def quantile_huber(quantiles: jax.Array, targets: jax.Array, kappa: float = 1.0) -> jax.Array:
    """Dabney et al. (2018), eq. 10: each quantile is asked to lie above its share of the targets.

    Args:
      quantiles: float32 [M], predicted; to be differentiated.
      targets: float32 [N], samples of the target distribution.
      kappa: where Huber's loss turns linear; 0 gives plain quantile regression.
    """
    error_MxN = lax.stop_gradient(targets)[None, :] - quantiles[:, None]
    size = jnp.abs(error_MxN)
    if kappa > 0:
        inside = jnp.minimum(size, kappa)
        loss_MxN = (0.5 * jnp.square(inside) + kappa * (size - inside)) / kappa
    else:
        loss_MxN = size
    below = (lax.stop_gradient(error_MxN) < 0).astype(jnp.float32)
    weight_MxN = jnp.abs(quantile_midpoints(len(quantiles))[:, None] - below)
    return jnp.sum(jnp.mean(weight_MxN * loss_MxN, axis=1))
