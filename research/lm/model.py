"""The language model: an embedding, LSTM layers and a softmax.

Shape letters: T time, B batch, V symbols, E size of an embedding, H units of a layer, G units of
all its gates.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from research.lm.lstm import Carry, lstm
from research.lm.regularization import Rates, drop, keep_mask
from research.matmul import dense, sum_type


class Noise(NamedTuple):
    """The dropout of one step: a typed key, and the rates."""

    key: jax.Array
    rates: Rates


class Outputs(NamedTuple):
    """The outputs of the layers.

    Attributes:
      out: [T, B, E], the input of the softmax.
      dropped: [T, B, H], the output of the last layer after dropout.
      raw: [T, B, H], the same before dropout.
      carries: the state of every layer after the window.
    """

    out: jax.Array
    dropped: jax.Array
    raw: jax.Array
    carries: tuple[Carry, ...]


class LanguageModel(nn.Module):
    """Tokens -> the input of the softmax, whose weights `softmax_params` returns.

    Attributes:
      symbols: V.
      embedding_size: E.
      hidden: H of every layer.
      tied: whether the softmax uses the embeddings (Press and Wolf, 2017); a projection precedes it
        if E is not the last H.
      coupled: whether the input gate is 1 - the forget gate.
      locked: whether dropout drops the same units at all steps of a window.
      init_scale: params are initialized uniform in plus or minus this. With 0, as in PyTorch:
        embeddings normal unless tied, all else uniform in plus or minus 1 / sqrt(H).
      forget_bias: added to the initial bias of the forget gate (Jozefowicz et al., 2015).
      dtype: of the operands of matrix products, which are accumulated in float32; params are
        float32.
    """

    symbols: int
    embedding_size: int
    hidden: tuple[int, ...]
    tied: bool = False
    coupled: bool = False
    locked: bool = False
    init_scale: float = 0.0
    forget_bias: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, token_TxB: jax.Array, carries: tuple[Carry, ...], noise: Noise | None = None
    ) -> Outputs:
        """The outputs for tokens int [T, B], from the state before the window."""
        rates = noise.rates if noise else Rates()
        keys: Any = iter(jax.random.split(noise.key, 2 + 3 * len(self.hidden)) if noise else [])
        shape = (self.symbols, self.embedding_size)
        table_VxE = self.param("embedding", self._embedding(), shape)
        x = table_VxE[token_TxB].astype(self.dtype)
        if rates.embedding is not None:
            keep_V = keep_mask(next(keys), rates.embedding, (self.symbols,)).astype(self.dtype)
            x = x * keep_V[token_TxB][..., None]
        raw, after = x, []
        for layer, units in enumerate(self.hidden):
            x = self._drop(raw, rates.layer if layer else rates.input, keys)
            raw, carry = self._layer(layer, units, x, carries[layer], rates, keys)
            after.append(carry)
        out = dropped = self._drop(raw, rates.output, keys)
        if self.tied and self.embedding_size != self.hidden[-1]:
            shape = (self.hidden[-1], self.embedding_size)
            out = _dense(out, self.param("projection", self._uniform(self.hidden[-1]), shape))
            out = out.astype(self.dtype)
        self._softmax()
        return Outputs(out, dropped, raw, tuple(after))

    def _drop(self, x_TxBxF, rate, keys):
        return x_TxBxF if rate is None else drop(x_TxBxF, next(keys), rate, self.locked)

    def _layer(self, layer, units, x_TxBxF, carry, rates, keys):
        gates = (3 if self.coupled else 4) * units
        name = f"lstm_{layer}_"
        uniform = self._uniform(units)
        input_FxG = self.param(name + "input", uniform, (x_TxBxF.shape[-1], gates))
        recurrent_HxG = self.param(name + "recurrent", uniform, (units, gates))
        bias_G = self.param(name + "bias", self._bias(units), (gates,))
        if rates.weight is not None:
            recurrent_HxG = recurrent_HxG * keep_mask(next(keys), rates.weight, (units, gates))
        mask_BxH = None
        if rates.state is not None:
            mask_BxH = keep_mask(next(keys), rates.state, carry.h.shape).astype(self.dtype)
        z_TxBxG = _dense(x_TxBxF, input_FxG)
        outputs: Any = lstm(self.coupled, z_TxBxG, recurrent_HxG, bias_G, carry, mask_BxH)
        return outputs

    def _softmax(self):
        if not self.tied:
            shape = (self.symbols, self.hidden[-1])
            self.param("softmax", self._uniform(self.hidden[-1]), shape)
        self.param("softmax_bias", nn.initializers.zeros, (self.symbols,), jnp.float32)

    def _embedding(self):
        # Tied embeddings are weights of the softmax, for which a normal of scale 1 is too large.
        normal = not self.init_scale and not self.tied
        return (
            nn.initializers.normal(1.0, jnp.float32)
            if normal
            else self._uniform(self.embedding_size)
        )

    def _uniform(self, units):
        scale = self.init_scale or units**-0.5
        return lambda key, shape: jax.random.uniform(key, shape, jnp.float32, -scale, scale)

    def _bias(self, units):
        def init(key, shape):
            first = 0 if self.coupled else units
            bias = self._uniform(units)(key, shape)
            return bias.at[first : first + units].add(self.forget_bias)

        return init

    def start(self, batch: int) -> tuple[Carry, ...]:
        """The state of every layer at the beginning of a text: zeros."""
        zeros = [jnp.zeros((batch, units), self.dtype) for units in self.hidden]
        return tuple(Carry(zero, zero.astype(sum_type(zero))) for zero in zeros)

    def softmax_params(self, params: Any) -> tuple[jax.Array, jax.Array]:
        """The weights [V, E] and the bias [V] of the softmax, float32."""
        return params["embedding" if self.tied else "softmax"], params["softmax_bias"]


def _dense(x_TxBxF: jax.Array, kernel_FxG: jax.Array) -> jax.Array:
    """`dense` over the flattened time and batch axes: float32 [T, B, G]."""
    t, b, f = x_TxBxF.shape
    z_NxG: Any = dense(x_TxBxF.reshape(t * b, f), kernel_FxG)
    return z_NxG.reshape(t, b, -1)
