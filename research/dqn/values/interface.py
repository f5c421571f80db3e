"""The interface of distributions of returns to the network, the policy and the learner.

Shape letters: B batch, F features, A actions, M numbers an action.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from research.errors import UserError
from research.task import Requirement


class ValueOutputs(NamedTuple):
    """Network outputs that the loss of one transition needs, each as the head returns it.

    Attributes:
      online_tm1: of the online network at the first observation; the loss is differentiated by it.
      target_t: of the target network at the successor.
      online_t: of the online network at the successor; None without double Q-learning.
      target_tm1: of the target network at the first observation; None without Munchausen.
    """

    online_tm1: Any
    target_t: Any
    online_t: Any = None
    target_tm1: Any = None


def fits_all(config: Any) -> None:
    """Accepts every config."""
    del config


def check_loss(config: Any) -> None:
    """Refuses a loss of mean values: a distribution has a loss of its own.

    Raises:
      UserError: if one is asked for.
    """
    if config.loss != "squared":
        raise UserError(
            f"--loss {config.loss} --values {config.values}: distributions have a loss of their own"
        )


def requires_nothing(config: Any, hparams: Any) -> Sequence[Requirement]:
    """Accepts all hyper-parameters."""
    del config, hparams
    return ()


class Values(NamedTuple):
    """A way to represent the return of each action by a network's outputs: a set of pure functions.

    Attributes:
      head: `(config, network, features [B, F]) -> outputs`, the last layers. It is called inside
        `QNetwork`, whose `actions` gives it any number of outputs an action. Random numbers come
        from the stream `tau`, where the caller of `apply` gives one.
      action_values: `(config, hparams, outputs) -> float32 [..., A]`, the mean of each return.
      loss: `(config, hparams, outputs, a_tm1, r_t, discount_t) -> (loss [], priority [])` of one
        transition. The priority is what prioritized replay ranks it by.
      check: `(config) -> None`; raises `UserError` where the rest of a config does not fit.
      requirements: `(config, hparams) -> requirements` between hyper-parameters; see `Task`.
      samples: whether the head draws from the stream `tau`.
    """

    head: Callable[..., Any]
    action_values: Callable[..., jax.Array]
    loss: Callable[..., tuple[jax.Array, jax.Array]]
    check: Callable[[Any], None] = fits_all
    requirements: Callable[[Any, Any], Sequence[Requirement]] = requires_nothing
    samples: bool = False


def bootstrap_action(
    action_values: Callable[..., jax.Array], config: Any, hparams: Any, outputs: ValueOutputs
) -> jax.Array:
    """The action of the successor whose return is bootstrapped from: int32 [].

    It has the largest mean return by the target network, or under double Q-learning by the online
    network (van Hasselt et al., 2016, eq. 4).
    """
    chooser = outputs.online_t if config.double else outputs.target_t
    return jnp.argmax(action_values(config, hparams, chooser))
