"""Action values from observations: a torso for vectors or for images, and a head for each kind of
value.

Shape letters: B batch, A actions, M atoms, F features, H height, W width, C channels.
"""

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
    """Observations to a value, or `atoms` numbers, for each action.

    Attributes:
      num_actions: A.
      torso: mlp, flat (an MLP on the flattened observation) or conv (16 filters of 3x3 before it).
      hidden: widths of the dense layers.
      atoms: M; 1 for plain action values.
      dueling: whether to add a value of the state to advantages of the actions, each from a last
        hidden layer of its own (Wang et al., 2016, eq. 9).
      layer_norm: whether every layer but the last is normalized before its activation.
      categories: where the observation is one whole number, how many values it takes.
      bounds: (low, high) of every number of a vector that is to be brought to -1..1; () if none is.
      dtype: in which matrix products are computed, with sums in float32; params are float32.
    """

    num_actions: int
    torso: str
    hidden: tuple[int, ...]
    atoms: int = 1
    dueling: bool = False
    layer_norm: bool = False
    categories: int = 0
    bounds: tuple[tuple[float, float], ...] = ()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """[B, ...] of any type -> float32 [B, A, M]."""
        if self.categories:
            x = jax.nn.one_hot(observation, self.categories, dtype=jnp.float32)
        else:
            x = scale(observation.astype(jnp.float32), self.bounds)
        if self.torso == "conv":
            x = self._activate(Conv3x3(16, dtype=self.dtype)(x))
        x_BxF = x.reshape(len(x), -1)
        if not self.dueling:
            return self._head(self._dense(x_BxF, self.hidden), self.num_actions, "action")
        x_BxF = self._dense(x_BxF, self.hidden[:-1])
        value_Bx1xM = self._head(self._dense(x_BxF, self.hidden[-1:]), 1, "value")
        advantage_BxAxM = self._head(
            self._dense(x_BxF, self.hidden[-1:]), self.num_actions, "advantage"
        )
        return value_Bx1xM + (advantage_BxAxM - advantage_BxAxM.mean(axis=1, keepdims=True))

    def _dense(self, x_BxF: jax.Array, widths: tuple[int, ...]) -> jax.Array:
        for width in widths:
            x_BxF = self._activate(Dense(width, dtype=self.dtype)(x_BxF))
        return x_BxF

    def _activate(self, x: jax.Array) -> jax.Array:
        return nn.relu(nn.LayerNorm()(x) if self.layer_norm else x)

    def _head(self, x_BxF: jax.Array, rows: int, name: str) -> jax.Array:
        outputs_BxF = Dense(rows * self.atoms, dtype=self.dtype, name=name)(x_BxF)
        return outputs_BxF.reshape(-1, rows, self.atoms)


def scale(x_BxF: jax.Array, bounds: tuple[tuple[float, float], ...]) -> jax.Array:
    """Brings every number that lies between two finite bounds to -1..1."""
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
