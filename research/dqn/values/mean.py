"""Plain Q-learning: one number an action, the mean of its return (Mnih et al., 2015).

Shape letters: B batch, F features, A actions.
"""

from typing import Any

import jax
import jax.numpy as jnp

from research.dqn import targets
from research.dqn.values.interface import ValueOutputs, Values


def head(config: Any, network: Any, x_BxF: jax.Array) -> jax.Array:
    """Features float32 [B, F] -> action values float32 [B, A, 1]."""
    del config
    return network.actions(x_BxF, 1)


def action_values(config: Any, hparams: Any, outputs: jax.Array) -> jax.Array:
    """The value of each action: outputs float32 [..., A, 1] -> float32 [..., A]."""
    del config, hparams
    return outputs[..., 0]


def loss(
    config: Any, hparams: Any, outputs: ValueOutputs, a_tm1: Any, r_t: Any, discount_t: Any
) -> tuple[jax.Array, jax.Array]:
    """The loss of the TD error, and its absolute value (Schaul et al., 2016, section 3.3)."""
    q_tm1, q_t = outputs.online_tm1[:, 0], outputs.target_t[:, 0]
    if config.munchausen:
        scale, temperature = hparams.munchausen_scale, hparams.munchausen_temperature
        target = targets.munchausen_q_learning(
            r_t, discount_t, q_t, outputs.target_tm1[:, 0], a_tm1, scale, temperature
        )
    elif config.double:
        target = targets.double_q_learning(r_t, discount_t, q_t, outputs.online_t[:, 0])
    else:
        target = targets.q_learning(r_t, discount_t, q_t)
    td_error = target - targets.select(q_tm1, a_tm1)
    return targets.LOSSES[config.loss](td_error), jnp.abs(td_error)


MEAN = Values(head, action_values, loss)
