"""IQN: quantiles of each action's return at fractions that are drawn anew for every transition
(Dabney, Ostrovski, Silver and Munos, 2018).

Shape letters: B batch, F features, A actions, M fractions, C cosines.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from research.dqn.values import quantile
from research.dqn.values.interface import ValueOutputs, Values, check_loss
from research.layers import Dense

COSINES = 64  # n of eq. 4


class Quantiles(NamedTuple):
    """Quantiles at fractions of their own.

    Attributes:
      value: float32 [..., A, M].
      fraction: float32 [..., M], in (0, 1).
    """

    value: jax.Array
    fraction: jax.Array


def head(config: Any, network: Any, x_BxF: jax.Array) -> Quantiles:
    """Features float32 [B, F], times an embedding of each fraction, -> quantiles (eq. 4).

    The stream `tau` draws the fractions. Without it, as where the agent acts, they are the
    midpoints of M equal parts, whose mean has no noise: the policy is deterministic.
    """
    fraction_BxM = _fractions(network, len(x_BxF), config.atoms)
    angles = jnp.pi * jnp.arange(COSINES, dtype=jnp.float32)
    cosines_NxC = jnp.cos(fraction_BxM.reshape(-1, 1) * angles[None, :])
    embed = Dense(x_BxF.shape[1], dtype=network.dtype, name="tau")
    x_NxF = jnp.repeat(x_BxF, config.atoms, axis=0) * nn.relu(embed(cosines_NxC))
    value_BxMxA = network.actions(x_NxF, 1).reshape(*fraction_BxM.shape, -1)
    return Quantiles(jnp.swapaxes(value_BxMxA, 1, 2), fraction_BxM)


def action_values(config: Any, hparams: Any, outputs: Quantiles) -> jax.Array:
    """The mean over fractions (eq. 1, of a neutral attitude to risk): float32 [..., A]."""
    return quantile.action_values(config, hparams, outputs.value)


def loss(
    config: Any, hparams: Any, outputs: ValueOutputs, a_tm1: Any, r_t: Any, discount_t: Any
) -> tuple[jax.Array, jax.Array]:
    """The quantile Huber loss (eq. 3), and as priority the absolute TD error of the means."""
    values = ValueOutputs(*(None if one is None else one.value for one in outputs))
    fraction_M = outputs.online_tm1.fraction
    return quantile.loss_at(fraction_M, config, hparams, values, a_tm1, r_t, discount_t)


IQN = Values(head, action_values, loss, check_loss, samples=True)


def _fractions(network: Any, batch: int, fractions: int) -> jax.Array:
    """float32 [B, M] in (0, 1)."""
    if network.has_rng("tau"):
        return jax.random.uniform(network.make_rng("tau"), (batch, fractions), jnp.float32)
    return jnp.tile(quantile.quantile_midpoints(fractions)[None, :], (batch, 1))
