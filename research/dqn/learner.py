"""One update of a DQN: from a batch to new parameters.

Shape letters: B batch, A actions.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax, vmap

from research.dqn import targets
from research.dqn.config import Config, HParams
from research.dqn.networks import QNetwork
from research.dqn.replay import Batch
from research.dqn.values import VALUES, ValueOutputs
from research.optimizer import adam
from research.task import in_use


class Learned(NamedTuple):
    """The measurements of an update.

    Attributes:
      loss: float32 [], the weighted mean over the batch.
      q_value: float32 [], the mean value of the actions taken, before the update.
      priority: float32 [B], what prioritized replay ranks the transitions by.
    """

    loss: jax.Array
    q_value: jax.Array
    priority: jax.Array


def make_optimizer(config: Config, hparams: HParams) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, 2015) on gradients that are clipped to a global norm."""
    norm = in_use(config, hparams, "max_grad_norm")
    return adam(hparams.learning_rate, eps=hparams.adam_eps, max_grad_norm=norm)


def update(
    config: Config,
    network: QNetwork,
    hparams: HParams,
    params: Any,
    target_params: Any,
    opt_state: Any,
    batch: Batch,
    weight_B: jax.Array,
    key: jax.Array,
) -> tuple[Any, Any, Learned]:
    """One step down the gradient of the loss of a batch.

    Args:
      params, target_params, opt_state: of one run.
      batch: B transitions; the mean is over the valid ones.
      weight_B: float32 [B], importance weights.
      key: typed, for a head that samples.

    Returns:
      New params, new opt_state, and what was measured.
    """
    tau_tm1_key, tau_t_key = jax.random.split(key)
    target_t = network.apply(
        {"params": target_params}, batch.observation_t, rngs={"tau": tau_t_key}
    )
    online_t, target_tm1 = None, None
    if config.double:
        online_t = lax.stop_gradient(network.apply({"params": params}, batch.observation_t))
    if config.munchausen:
        target_tm1 = network.apply({"params": target_params}, batch.observation_tm1)

    def loss_fn(params):
        online_tm1 = network.apply(
            {"params": params}, batch.observation_tm1, rngs={"tau": tau_tm1_key}
        )
        outputs = ValueOutputs(online_tm1, target_t, online_t, target_tm1)
        one = vmap(lambda *args: transition_loss(config, hparams, *args))
        loss_B, priority_B = one(outputs, batch.a_tm1, batch.r_t, batch.discount_t)
        q_BxA = VALUES[config.values].action_values(config, hparams, online_tm1)
        q_B = vmap(targets.select)(q_BxA, batch.a_tm1)
        loss = jnp.sum(weight_B * batch.valid * loss_B) / jnp.maximum(jnp.sum(batch.valid), 1)
        return loss, Learned(loss, jnp.mean(q_B), priority_B)

    grads, learned = jax.grad(loss_fn, has_aux=True)(params)
    updates, opt_state = make_optimizer(config, hparams).update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, learned


def transition_loss(
    config: Config, hparams: HParams, outputs: ValueOutputs, a_tm1: Any, r_t: Any, discount_t: Any
) -> tuple[jax.Array, jax.Array]:
    """The loss of one transition and its priority.

    The loss is to be differentiated by `outputs.online_tm1`.
    """
    loss, priority = VALUES[config.values].loss(config, hparams, outputs, a_tm1, r_t, discount_t)
    return loss, lax.stop_gradient(priority)
