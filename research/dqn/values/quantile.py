"""QR-DQN: M quantiles of each action's return, at fixed fractions (Dabney et al., 2018).

Shape letters: B batch, F features, A actions, M quantiles, N target samples.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.dqn import targets
from research.dqn.values.interface import ValueOutputs, Values, bootstrap_action, check_loss


def head(config: Any, network: Any, x_BxF: jax.Array) -> jax.Array:
    """Features float32 [B, F] -> quantiles float32 [B, A, M]."""
    return network.actions(x_BxF, config.atoms)


def action_values(config: Any, hparams: Any, outputs: jax.Array) -> jax.Array:
    """The mean return of each action: quantiles float32 [..., A, M] -> float32 [..., A]."""
    del config, hparams
    return jnp.mean(outputs, axis=-1)


def loss(
    config: Any, hparams: Any, outputs: ValueOutputs, a_tm1: Any, r_t: Any, discount_t: Any
) -> tuple[jax.Array, jax.Array]:
    """The quantile Huber loss, and as priority the absolute TD error of the means."""
    fractions = quantile_midpoints(config.atoms)
    return loss_at(fractions, config, hparams, outputs, a_tm1, r_t, discount_t)


QUANTILE = Values(head, action_values, loss, check_loss)


def loss_at(
    fraction_M: jax.Array,
    config: Any,
    hparams: Any,
    outputs: ValueOutputs,
    a_tm1: Any,
    r_t: Any,
    discount_t: Any,
) -> tuple[jax.Array, jax.Array]:
    """As `loss`, for quantiles predicted at these fractions: float32 [M] in (0, 1)."""
    predicted = targets.select(outputs.online_tm1, a_tm1)
    if config.munchausen:
        target = _munchausen_target(hparams, outputs, a_tm1, r_t, discount_t)
    else:
        best = bootstrap_action(action_values, config, hparams, outputs)
        target = r_t + discount_t * targets.select(outputs.target_t, best)
    target = lax.stop_gradient(target)
    error = jnp.mean(target) - jnp.mean(predicted)
    return quantile_huber(predicted, target, fraction_M), jnp.abs(error)


def quantile_midpoints(quantiles: int) -> jax.Array:
    """`(2 i + 1) / (2 M)`, the fractions that M quantiles stand for: Dabney et al., lemma 2."""
    return (jnp.arange(quantiles, dtype=jnp.float32) + 0.5) / quantiles


def quantile_huber(
    quantiles: jax.Array, targets: jax.Array, fraction_M: jax.Array, kappa: float = 1.0
) -> jax.Array:
    """The quantile regression loss, smooth near zero: Dabney et al. (2018), eq. 10.

    Args:
      quantiles: float32 [M], predicted; to be differentiated.
      targets: float32 [N], samples of the target distribution.
      fraction_M: float32, the share of the targets that each quantile is to lie above.
      kappa: where Huber's loss turns linear; 0 gives plain quantile regression.
    """
    error_MxN = lax.stop_gradient(targets)[None, :] - quantiles[:, None]
    huber = lambda error: optax.huber_loss(error, delta=kappa) / kappa
    loss_MxN = huber(error_MxN) if kappa > 0 else jnp.abs(error_MxN)
    below = (lax.stop_gradient(error_MxN) < 0).astype(jnp.float32)
    weight_MxN = jnp.abs(fraction_M[:, None] - below)
    return jnp.sum(jnp.mean(weight_MxN * loss_MxN, axis=1))


def _munchausen_target(
    hparams: Any, outputs: ValueOutputs, a_tm1: Any, r_t: Any, discount_t: Any
) -> jax.Array:
    """Samples of `r + bonus + gamma sum_a pi(a) (Z(s', a) - temperature log pi(a))`: float32 [M].

    The target of Vieillard et al. (2020), eq. 1 and 2, for every sample of the return.
    """
    scale, temperature = hparams.munchausen_scale, hparams.munchausen_temperature
    q_tm1, q_t = jnp.mean(outputs.target_tm1, axis=-1), jnp.mean(outputs.target_t, axis=-1)
    log_policy = jax.nn.log_softmax(q_t / temperature)
    entropy_A = temperature * log_policy
    soft_AxM = jnp.exp(log_policy)[:, None] * (outputs.target_t - entropy_A[:, None])
    bonus = targets.munchausen_bonus(q_tm1, a_tm1, scale, temperature)
    return r_t + bonus + discount_t * jnp.sum(soft_AxM, axis=0)
