"""The loss of a language model on held-out text.

Every token, the first included, is predicted once, from all tokens before it: the state is carried
from window to window. Perplexity is exp of the mean loss in nats; bits per character are the total
loss in bits over the number of characters, whatever the tokens are.

Shape letters: L length of a stream, W windows, T tokens of a window, S streams, R models, N tokens.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from research.lm.data import Heldout
from research.lm.lstm import Carry
from research.lm.model import LanguageModel
from research.lm.softmax import token_nll


def heldout_nll(model: LanguageModel, params: Any, heldout: Heldout, window: int) -> jax.Array:
    """The loss summed over all tokens of a held-out text, in nats: float32 []."""

    def one_window(carry, first):
        carries, total = carry
        carries, nll_TxS = window_nll(model, params, heldout, window, carries, first)
        return (carries, total + jnp.sum(nll_TxS)), None

    begin = model.start(heldout.counts.shape[1]), jnp.float32(0)
    (_, total), _ = lax.scan(one_window, begin, first_rows(heldout, window))
    return total


def token_nlls(model: LanguageModel, params: Any, heldout: Heldout, window: int) -> jax.Array:
    """The loss of every token, in nats: float32 [L, S], 0 where masked out."""

    def one_window(carries, first):
        return window_nll(model, params, heldout, window, carries, first)

    begin = model.start(heldout.counts.shape[1])
    _, nll_WxTxS = lax.scan(one_window, begin, first_rows(heldout, window))
    return nll_WxTxS.reshape(heldout.counts.shape)


def window_nll(
    model: LanguageModel,
    params: Any,
    heldout: Heldout,
    window: int,
    carries: tuple[Carry, ...],
    first: jax.Array,
) -> tuple[tuple[Carry, ...], jax.Array]:
    """The state after the window that begins at row `first`, and the loss of its tokens, [T, S]."""
    token = lax.dynamic_slice_in_dim(jnp.asarray(heldout.tokens), first, window + 1)
    token = token.astype(jnp.int32)
    counts_TxS = lax.dynamic_slice_in_dim(jnp.asarray(heldout.counts), first, window)
    outputs: Any = model.apply({"params": params}, token[:-1], carries)
    out = outputs.out.reshape(-1, outputs.out.shape[-1])
    nll = token_nll(out, *model.softmax_params(params), token[1:].reshape(-1))
    return outputs.carries, nll.reshape(counts_TxS.shape) * counts_TxS


def first_rows(heldout: Heldout, window: int) -> jax.Array:
    """The first row of every window: int32 [W]."""
    return jnp.arange(0, len(heldout.counts), window, dtype=jnp.int32)


def ensemble_nll(nll_RxN: np.ndarray) -> np.ndarray:
    """The loss of each token, [N], under the mean of the probabilities of R models.

    The probabilities of the target tokens suffice for it.
    """
    return np.log(len(nll_RxN)) - np.logaddexp.reduce(-np.asarray(nll_RxN, np.float64), axis=0)


def scores(name: str, nll: jax.Array, heldout: Heldout) -> dict[str, jax.Array]:
    """The loss (nats per token), perplexity and bits per character, from `heldout_nll`."""
    loss = nll / jnp.sum(heldout.counts)
    return {
        f"{name}_loss": loss,
        f"{name}_perplexity": jnp.exp(loss),
        f"{name}_bits_per_character": nll / jnp.log(jnp.float32(2)) / heldout.characters,
    }
