"""One update of a DQN: from a batch to new parameters.

Shape letters: B batch, A actions, M atoms or quantiles (1 for mean values).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax, vmap

from research.dqn import distributional as dist
from research.dqn import targets
from research.dqn.config import Config, HParams
from research.dqn.environments import Environment
from research.dqn.networks import QNetwork, choose_torso
from research.dqn.replay import Batch
from research.optimizer import adam
from research.task import in_use


class Learned(NamedTuple):
    """What an update tells beside new parameters.

    Attributes:
      loss: float32 [], the weighted mean over the batch.
      q_value: float32 [], the mean value of the actions taken, before the update.
      priority: float32 [B], how wrong each prediction was.
    """

    loss: jax.Array
    q_value: jax.Array
    priority: jax.Array


class Heads(NamedTuple):
    """Network outputs that the loss of one transition needs: float32 [A, M], or None if not."""

    online_tm1: Any
    target_t: Any
    online_t: Any = None
    target_tm1: Any = None


def make_network(config: Config, env: Environment) -> QNetwork:
    """The network that a config describes for an environment."""
    return QNetwork(
        num_actions=env.num_actions,
        torso=choose_torso(config.torso, env),
        hidden=config.hidden,
        atoms=1 if config.values == "mean" else config.atoms,
        dueling=config.dueling,
        layer_norm=config.layer_norm,
        categories=env.categories,
        bounds=env.bounds if config.scale_observations else (),
        dtype=jnp.dtype(config.compute),
    )


def action_values(config: Config, hparams: HParams, outputs: jax.Array) -> jax.Array:
    """The mean return of each action: network outputs [..., A, M] -> float32 [..., A]."""
    if config.values == "categorical":
        atoms = make_atoms(config, hparams)
        return jnp.sum(
            jax.nn.softmax(outputs) * atoms.reshape((1,) * (outputs.ndim - 1) + (-1,)), -1
        )
    if config.values == "quantile":
        return jnp.mean(outputs, axis=-1)
    return outputs[..., 0]


def make_atoms(config: Config, hparams: HParams) -> jax.Array:
    """The returns that C51 gives probabilities to: float32 [M]."""
    steps = jnp.arange(config.atoms, dtype=jnp.float32) / (config.atoms - 1)
    return hparams.value_min + steps * (hparams.value_max - hparams.value_min)


def make_optimizer(config: Config, hparams: HParams) -> optax.GradientTransformation:
    """Adam (Kingma and Ba, 2015) on gradients of bounded norm."""
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
) -> tuple[Any, Any, Learned]:
    """One step down the gradient of the loss of a batch.

    Args:
      params, target_params, opt_state: of one run.
      batch: B transitions; the mean is over the valid ones.
      weight_B: float32 [B], importance weights.

    Returns:
      New params, new opt_state, and what happened.
    """
    target_t = network.apply({"params": target_params}, batch.observation_t)
    online_t, target_tm1 = None, None
    if config.double:
        online_t = lax.stop_gradient(network.apply({"params": params}, batch.observation_t))
    if config.munchausen:
        target_tm1 = network.apply({"params": target_params}, batch.observation_tm1)

    def loss_fn(params):
        online_tm1: Any = network.apply({"params": params}, batch.observation_tm1)
        heads = Heads(online_tm1, target_t, online_t, target_tm1)
        one = vmap(lambda *args: transition_loss(config, hparams, *args))
        loss_B, priority_B = one(heads, batch.a_tm1, batch.r_t, batch.discount_t)
        q_B = vmap(targets.select)(action_values(config, hparams, online_tm1), batch.a_tm1)
        loss = jnp.sum(weight_B * batch.valid * loss_B) / jnp.maximum(jnp.sum(batch.valid), 1)
        return loss, Learned(loss, jnp.mean(q_B), priority_B)

    grads, learned = jax.grad(loss_fn, has_aux=True)(params)
    updates, opt_state = make_optimizer(config, hparams).update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, learned


def transition_loss(
    config: Config, hparams: HParams, heads: Heads, a_tm1: Any, r_t: Any, discount_t: Any
) -> tuple[jax.Array, jax.Array]:
    """The loss of one transition, to be differentiated by `heads.online_tm1`, and its priority.

    Priorities are the absolute TD error (Schaul et al., 2016), or under C51 the KL divergence from
    the target (Hessel et al., 2018, section 3).
    """
    losses = {"mean": _mean_loss, "categorical": _categorical_loss, "quantile": _quantile_loss}
    loss, priority = losses[config.values](config, hparams, heads, a_tm1, r_t, discount_t)
    return loss, lax.stop_gradient(priority)


def _mean_loss(config, hparams, heads, a_tm1, r_t, discount_t):
    q_tm1, q_t = heads.online_tm1[:, 0], heads.target_t[:, 0]
    if config.munchausen:
        scale, temperature = hparams.munchausen_scale, hparams.munchausen_temperature
        target = targets.munchausen_q_learning(
            r_t, discount_t, q_t, heads.target_tm1[:, 0], a_tm1, scale, temperature
        )
    elif config.double:
        target = targets.double_q_learning(r_t, discount_t, q_t, heads.online_t[:, 0])
    else:
        target = targets.q_learning(r_t, discount_t, q_t)
    td_error = target - targets.select(q_tm1, a_tm1)
    return targets.LOSSES[config.loss](td_error), jnp.abs(td_error)


def _categorical_loss(config, hparams, heads, a_tm1, r_t, discount_t):
    atoms = make_atoms(config, hparams)
    probabilities_t = jax.nn.softmax(targets.select(heads.target_t, _best(config, hparams, heads)))
    target = dist.categorical_target(r_t, discount_t, probabilities_t, atoms)
    loss = dist.cross_entropy(target, targets.select(heads.online_tm1, a_tm1))
    return loss, loss - dist.entropy(target)


def _quantile_loss(config, hparams, heads, a_tm1, r_t, discount_t):
    predicted = targets.select(heads.online_tm1, a_tm1)
    if config.munchausen:
        target = _munchausen_quantiles(hparams, heads, a_tm1, r_t, discount_t)
    else:
        best = _best(config, hparams, heads)
        target = r_t + discount_t * targets.select(heads.target_t, best)
    target = lax.stop_gradient(target)
    error = jnp.mean(target) - jnp.mean(predicted)
    return dist.quantile_huber(predicted, target), jnp.abs(error)


def _munchausen_quantiles(hparams, heads, a_tm1, r_t, discount_t):
    """Quantiles of `r + bonus + gamma sum_a pi(a) (Z(s', a) - temperature log pi(a))`."""
    scale, temperature = hparams.munchausen_scale, hparams.munchausen_temperature
    q_tm1, q_t = jnp.mean(heads.target_tm1, axis=-1), jnp.mean(heads.target_t, axis=-1)
    log_policy = jax.nn.log_softmax(q_t / temperature)
    soft_AxM = jnp.exp(log_policy)[:, None] * (heads.target_t - temperature * log_policy[:, None])
    bonus = targets.munchausen_bonus(q_tm1, a_tm1, scale, temperature)
    return r_t + bonus + discount_t * jnp.sum(soft_AxM, axis=0)


def _best(config, hparams, heads):
    """The action that is bootstrapped from."""
    chooser = heads.online_t if config.double else heads.target_t
    return jnp.argmax(action_values(config, hparams, chooser))
