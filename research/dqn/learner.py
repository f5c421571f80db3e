"""One update of a DQN: from a batch to new parameters.

Shape letters: B batch, A actions.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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
      seen_q: float32 [N, A], the values of the actions for what the agent sees, before the update;
        None if it sees nothing.
    """

    loss: jax.Array
    q_value: jax.Array
    priority: jax.Array
    seen_q: Any


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
    seen: jax.Array | None = None,
) -> tuple[Any, Any, Learned]:
    """One step down the gradient of the loss of a batch.

    Args:
      params, target_params, opt_state: of one run.
      batch: B transitions; the mean is over the valid ones.
      weight_B: float32 [B], importance weights.
      key: typed, for a head that samples.
      seen: [N, ...], what the agent sees and is to act on, if that is to be one batch with the
        rest; not for a head that samples.

    Returns:
      New params, new opt_state, and what was measured.
    """
    tau_tm1_key, tau_t_key = jax.random.split(key)
    target_t = network.apply(
        {"params": target_params}, batch.observation_t, rngs={"tau": tau_t_key}
    )
    target_tm1 = None
    if config.munchausen:
        target_tm1 = network.apply({"params": target_params}, batch.observation_tm1)
    action_values = VALUES[config.values].action_values
    others = [batch.observation_t if config.double else None, seen]
    apply = _apply_apart if seen is None else _apply_together

    def loss_fn(params):
        online_tm1, online_t, seen_outputs = apply(
            network, params, batch.observation_tm1, others, tau_tm1_key
        )
        outputs = ValueOutputs(online_tm1, target_t, online_t, target_tm1)
        one = vmap(lambda *args: transition_loss(config, hparams, *args))
        loss_B, priority_B = one(outputs, batch.a_tm1, batch.r_t, batch.discount_t)
        q_BxA = action_values(config, hparams, online_tm1)
        q_B = vmap(targets.select)(q_BxA, batch.a_tm1)
        seen_q = None if seen is None else action_values(config, hparams, seen_outputs)
        loss = jnp.sum(weight_B * batch.valid * loss_B) / jnp.maximum(jnp.sum(batch.valid), 1)
        return loss, Learned(loss, jnp.mean(q_B), priority_B, seen_q)

    grads, learned = jax.grad(loss_fn, has_aux=True)(params)
    updates, opt_state = make_optimizer(config, hparams).update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, learned


def _apply_apart(network, params, first, others, key):
    """The network's outputs for the first observations, to be differentiated, and for others, some
    of which may be None."""
    apply_fixed = lambda observation: network.apply(
        {"params": lax.stop_gradient(params)}, observation
    )
    outputs = network.apply({"params": params}, first, rngs={"tau": key})
    return outputs, *(None if other is None else apply_fixed(other) for other in others)


def _apply_together(network, params, first, others, key):
    """`_apply_apart` in one batch, for a network that does not sample: fewer kernels for a GPU."""
    del key
    given = [first, *(other for other in others if other is not None)]
    outputs = network.apply({"params": params}, jnp.concatenate(given))
    ends = np.cumsum([len(one) for one in given])[:-1]
    leaves, treedef = jax.tree.flatten(outputs)
    parts = [jnp.split(leaf, ends) for leaf in leaves]
    first, *rest = (jax.tree.unflatten(treedef, part) for part in zip(*parts, strict=True))
    rest = iter(lax.stop_gradient(rest))
    return first, *(None if other is None else next(rest) for other in others)


def transition_loss(
    config: Config, hparams: HParams, outputs: ValueOutputs, a_tm1: Any, r_t: Any, discount_t: Any
) -> tuple[jax.Array, jax.Array]:
    """The loss of one transition and its priority.

    The loss is to be differentiated by `outputs.online_tm1`.
    """
    loss, priority = VALUES[config.values].loss(config, hparams, outputs, a_tm1, r_t, discount_t)
    return loss, lax.stop_gradient(priority)
