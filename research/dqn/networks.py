"""The Q-network: a torso for vectors or for images, dense layers, and a head.

Shape letters: B batch, A actions, M outputs an action, F features.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from research.dqn.environments import Environment
from research.errors import UserError, shortlist
from research.layers import Conv3x3, Dense

TORSOS = ("auto", "mlp", "flat", "conv")


class QNetwork(nn.Module):
    """A network from observations to the outputs that represent the return of each action.

    Attributes:
      num_actions: A.
      head: `(network, features [B, F]) -> outputs`, the end of the network (see `values`).
      torso: mlp, flat (an MLP on the flattened observation) or conv (16 filters of 3x3 before it).
      hidden: widths of the dense layers.
      dueling: whether to add a value of the state to advantages of the actions, each from a last
        hidden layer of its own (Wang et al., 2016, eq. 9).
      layer_norm: whether every layer but the last is normalized before its activation.
      categories: how many values an observation takes that is one integer; 0 for any other.
      bounds: (low, high) of every number of a vector that is scaled to -1..1; () without scaling.
      dtype: in which matrix products are computed, with sums in float32; params are float32.
    """

    num_actions: int
    head: Callable[["QNetwork", jax.Array], Any]
    torso: str
    hidden: tuple[int, ...]
    dueling: bool = False
    layer_norm: bool = False
    categories: int = 0
    bounds: tuple[tuple[float, float], ...] = ()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, observation: jax.Array) -> Any:
        """[B, ...] of any type -> the head's outputs, whose arrays begin with [B]."""
        if self.categories:
            x = jax.nn.one_hot(observation, self.categories, dtype=jnp.float32)
        else:
            x = scale(observation.astype(jnp.float32), self.bounds)
        if self.torso == "conv":
            x = self._activate(Conv3x3(16, dtype=self.dtype)(x))
        return self.head(self, self._dense(x.reshape(len(x), -1), self.hidden[:-1]))

    def actions(self, x_BxF: jax.Array, outputs: int) -> jax.Array:
        """The last hidden layer and a linear one: float32 [B, F] -> float32 [B, A, outputs]."""
        if not self.dueling:
            return self._linear(x_BxF, self.num_actions, outputs, "action")
        value_Bx1xM = self._linear(x_BxF, 1, outputs, "value")
        advantage_BxAxM = self._linear(x_BxF, self.num_actions, outputs, "advantage")
        return value_Bx1xM + (advantage_BxAxM - advantage_BxAxM.mean(axis=1, keepdims=True))

    def _linear(self, x_BxF: jax.Array, rows: int, outputs: int, name: str) -> jax.Array:
        x_BxF = self._dense(x_BxF, self.hidden[-1:])
        return Dense(rows * outputs, dtype=self.dtype, name=name)(x_BxF).reshape(-1, rows, outputs)

    def _dense(self, x_BxF: jax.Array, widths: tuple[int, ...]) -> jax.Array:
        for width in widths:
            x_BxF = self._activate(Dense(width, dtype=self.dtype)(x_BxF))
        return x_BxF

    def _activate(self, x: jax.Array) -> jax.Array:
        return nn.relu(nn.LayerNorm()(x) if self.layer_norm else x)


def make_network(
    config: Any, env: Environment, head: Callable[..., Any], dueling: bool = False
) -> QNetwork:
    """The network that a config of DQN or PQN describes for an environment.

    Raises:
      UserError: for a torso that does not fit the observation.
    """
    return QNetwork(
        num_actions=env.num_actions,
        head=head,
        torso=choose_torso(config.torso, env),
        hidden=config.hidden,
        dueling=dueling,
        layer_norm=config.layer_norm,
        categories=env.categories,
        bounds=env.bounds if config.scale_observations else (),
        dtype=jnp.dtype(config.compute),
    )


def init_params(network: QNetwork, env: Environment, key: jax.Array) -> Any:
    """The network's first params, float32."""
    dummy_observation = jnp.zeros((1, *env.observation_shape), env.observation_dtype)
    return network.init(key, dummy_observation)["params"]


def scale(x_BxF: jax.Array, bounds: tuple[tuple[float, float], ...]) -> jax.Array:
    """Scales every number that lies between two finite bounds to -1..1."""
    if not bounds:
        return x_BxF
    low, high = np.array(bounds, np.float32).T
    finite = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(finite, low, -1), np.where(finite, high, 1)
    middle, half = (low + high) / 2, (high - low) / 2
    return (x_BxF - middle[None, :]) / half[None, :]


def choose_torso(torso: str, env: Environment) -> str:
    """`auto` by the observation's shape, or the named one if it fits.

    Raises:
      UserError: for an unknown torso, or one that does not fit the observation.
    """
    shape = env.observation_shape
    image = len(shape) == 3 and min(shape[:2]) >= 3
    if torso == "auto":
        return "conv" if image else "mlp" if len(shape) <= 1 else "flat"
    if torso not in TORSOS:
        raise UserError(f"--torso {torso}: there are {shortlist(TORSOS)}")
    size = "x".join(map(str, shape))
    if torso == "mlp" and len(shape) > 1:
        fits = "conv (--preset minatar), or flat to have it flattened" if image else "flat"
        raise UserError(f"--torso mlp: {env.name} shows {size}, no vector; use {fits}")
    if torso == "conv" and not image:
        raise UserError(f"--torso conv: {env.name} shows {size or 'one number'}; use mlp or flat")
    return torso
