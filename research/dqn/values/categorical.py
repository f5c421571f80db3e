"""C51: probabilities of M fixed returns for each action (Bellemare, Dabney and Munos, 2017).

Shape letters: B batch, F features, A actions, M atoms, N places of mass.
"""

from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from research.dqn import targets
from research.dqn.values.interface import ValueOutputs, Values, bootstrap_action, check_loss
from research.errors import UserError
from research.task import Requirement


def head(config: Any, network: Any, x_BxF: jax.Array) -> jax.Array:
    """Features float32 [B, F] -> logits float32 [B, A, M]."""
    return network.actions(x_BxF, config.atoms)


def action_values(config: Any, hparams: Any, outputs: jax.Array) -> jax.Array:
    """The mean return of each action: logits float32 [..., A, M] -> float32 [..., A]."""
    atoms = make_atoms(config, hparams).reshape((1,) * (outputs.ndim - 1) + (-1,))
    return jnp.sum(jax.nn.softmax(outputs) * atoms, -1)


def loss(
    config: Any, hparams: Any, outputs: ValueOutputs, a_tm1: Any, r_t: Any, discount_t: Any
) -> tuple[jax.Array, jax.Array]:
    """The cross-entropy from the projected target, and as priority their KL divergence.

    The priority is that of Rainbow (Hessel et al., 2018, section 3).
    """
    atoms = make_atoms(config, hparams)
    best = bootstrap_action(action_values, config, hparams, outputs)
    probabilities_t = jax.nn.softmax(targets.select(outputs.target_t, best))
    target = categorical_target(r_t, discount_t, probabilities_t, atoms)
    loss = cross_entropy(target, targets.select(outputs.online_tm1, a_tm1))
    return loss, loss - entropy(target)


def check(config: Any) -> None:
    """Refuses Munchausen, and a loss of mean values.

    Raises:
      UserError: if one is asked for.
    """
    if config.munchausen:
        raise UserError(
            "--munchausen True: it shifts every return by its own amount, which fixed atoms "
            "cannot follow; use --values mean, quantile or iqn"
        )
    check_loss(config)


def requirements(config: Any, hparams: Any) -> Sequence[Requirement]:
    """Requires that the atoms differ.

    Args:
      config: with `atoms`.
      hparams: with float32 scalars, or columns [R].
    """
    low, high = np.float32(hparams.value_min), np.float32(hparams.value_max)
    with np.errstate(over="ignore"):
        spacing = (high - low) / np.float32(config.atoms - 1)
    apart = (spacing > 0) & np.isfinite(spacing) & (low + spacing > low) & (high - spacing < high)
    reason = (
        f"--value-min must lie below --value-max, so far that {config.atoms} atoms between them "
        "are different float32 numbers"
    )
    return (Requirement(("value_min", "value_max"), apart, reason),)


CATEGORICAL = Values(head, action_values, loss, check, requirements)


def make_atoms(config: Any, hparams: Any) -> jax.Array:
    """The returns that have a probability: float32 [M], evenly spaced."""
    steps = jnp.arange(config.atoms, dtype=jnp.float32) / (config.atoms - 1)
    return hparams.value_min + steps * (hparams.value_max - hparams.value_min)


def project(support: jax.Array, probabilities: jax.Array, atoms: jax.Array) -> jax.Array:
    """Moves probability mass from `support` to the evenly spaced `atoms`: float32 [M].

    Bellemare, Dabney and Munos (2017), eq. 7. Mass between two atoms is split by nearness, mass
    beyond either end goes to that end; the sum stays.

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
    """The distribution of `r + gamma Z(s', a*)` on the atoms (algorithm 1): float32 [M].

    Args:
      r_t, discount_t: float32 [].
      probabilities_t: float32 [M], of the action chosen in s'.
      atoms: float32 [M].
    """
    return lax.stop_gradient(project(r_t + discount_t * atoms, probabilities_t, atoms))


def cross_entropy(target: jax.Array, logits: jax.Array) -> jax.Array:
    """`-sum_i target_i log softmax(logits)_i`: the KL divergence but for a constant."""
    return -jnp.sum(target * jax.nn.log_softmax(logits))


def entropy(probabilities: jax.Array) -> jax.Array:
    """`-sum_i p_i log p_i`, the least cross-entropy from this target."""
    return jnp.sum(jax.scipy.special.entr(probabilities))
