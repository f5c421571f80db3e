"""How well a language model predicts a text that it was not trained on.

Every token of the text is predicted once, the first included, from all that come before it: the
state is carried from window to window. Perplexity is exp of the mean loss in nats; bits per
character are all of the loss in bits over the characters of the text, whatever the tokens are.

Shape letters: T window, S streams, V symbols.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from research.lm.data import Heldout
from research.lm.model import LanguageModel
from research.lm.softmax import token_nll


def heldout_nll(model: LanguageModel, params: Any, heldout: Heldout, window: int) -> jax.Array:
    """The loss summed over all tokens of a held-out text, in nats: float32 []."""
    heldout = jax.tree.map(jnp.asarray, heldout)
    table_VxE, bias_V = model.softmax_params(params)

    def one_window(carry, first):
        carries, total = carry
        token = lax.dynamic_slice_in_dim(heldout.tokens, first, window + 1).astype(jnp.int32)
        counts_TxS = lax.dynamic_slice_in_dim(heldout.counts, first, window)
        outputs: Any = model.apply({"params": params}, token[:-1], carries)
        out = outputs.out.reshape(-1, outputs.out.shape[-1])
        nll = token_nll(out, table_VxE, bias_V, token[1:].reshape(-1))
        return (outputs.carries, total + jnp.sum(nll * counts_TxS.reshape(-1))), None

    length, streams = heldout.counts.shape
    firsts = jnp.arange(0, length, window, dtype=jnp.int32)
    (_, total), _ = lax.scan(one_window, (model.start(streams), jnp.float32(0)), firsts)
    return total


def scores(name: str, nll: jax.Array, heldout: Heldout) -> dict[str, jax.Array]:
    """Loss (nats a token), perplexity and bits per character from `heldout_nll`."""
    loss = nll / jnp.sum(heldout.counts)
    return {
        f"{name}_loss": loss,
        f"{name}_perplexity": jnp.exp(loss),
        f"{name}_bits_per_character": nll / jnp.log(2.0) / heldout.characters,
    }
