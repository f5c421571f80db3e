"""Sampling of text from a trained model, token by token.

Shape letters: V symbols.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from research.errors import UserError
from research.limits import as_float, as_int
from research.lm.lstm import Carry
from research.lm.model import LanguageModel
from research.lm.softmax import make_logits

CHUNK = 16  # tokens between two returns to the host


class SamplingRule(NamedTuple):
    """How the next token is sampled from the probabilities of the model.

    Attributes:
      temperature: the divisor of the logits; 0 takes the most probable token.
      top_k: how many of the most probable tokens to sample from; 0 for all.
      top_p: sample from the fewest tokens whose total probability is at least this (Holtzman et
        al., 2020); 1 for all.
      never: a token that is not written, such as the one that stands for unknown words; None where
        all are.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    never: int | None = None

    def check(self) -> None:
        """Checks the ranges of all fields.

        Raises:
          UserError: naming the field that is out of range.
        """
        if not self.temperature >= 0:
            raise UserError(f"--temperature {self.temperature}: must be at least 0")
        as_float("--temperature", self.temperature)
        if as_int("--top-k", self.top_k) < 0:
            raise UserError(f"--top-k {self.top_k}: must be at least 0, which is all")
        if not 0 < as_float("--top-p", self.top_p) <= 1:
            raise UserError(f"--top-p {self.top_p}: must be above 0 and at most 1")


def generate(
    model: LanguageModel, params: Any, prompt: np.ndarray, key: jax.Array, choice: SamplingRule
) -> Iterator[int]:
    """Yields tokens that follow a prompt, without end; the same ones for the same key.

    Args:
      model: the model.
      params: the params of one run.
      prompt: int [tokens], at least one.
      key: typed.
      choice: the sampling rule.

    Raises:
      UserError: if the rule is out of range.
    """
    choice.check()
    prompt = np.asarray(prompt, np.int32)
    carries = model.start(1)
    if len(prompt) > 1:
        carries = _read(model, params, jnp.asarray(prompt[:-1])[:, None], carries)
    last, first = jnp.int32(prompt[-1]), 0
    while True:
        tokens, carries = _write(model, params, carries, last, key, jnp.int32(first), choice)
        yield from np.asarray(tokens).tolist()
        last, first = tokens[-1], first + CHUNK


def choose(logits_V: jax.Array, key: jax.Array, choice: SamplingRule) -> jax.Array:
    """A token sampled by the rule `choice`: int32 []."""
    if choice.never is not None:
        logits_V = logits_V.at[choice.never].set(-jnp.inf)
    if choice.temperature == 0:
        return jnp.argmax(logits_V).astype(jnp.int32)
    allowed_V = restrict(logits_V / choice.temperature, choice)
    return jax.random.categorical(key, allowed_V).astype(jnp.int32)


def restrict(logits_V: jax.Array, choice: SamplingRule) -> jax.Array:
    """The logits, those of tokens that `top_k` and `top_p` exclude replaced by -inf."""
    order_V = jnp.argsort(-logits_V)
    sorted_V = logits_V[order_V]
    kept_V = jnp.ones(len(logits_V), bool)
    if choice.top_k:
        kept_V = jnp.arange(len(logits_V)) < choice.top_k
    probability_V = jax.nn.softmax(jnp.where(kept_V, sorted_V, -jnp.inf))
    before_V = jnp.cumsum(probability_V) - probability_V
    kept_V = kept_V & (before_V < choice.top_p)
    return (
        jnp.full(len(logits_V), -jnp.inf, logits_V.dtype)
        .at[order_V]
        .set(jnp.where(kept_V, sorted_V, -jnp.inf))
    )


@partial(jax.jit, static_argnums=0)
def _read(
    model: LanguageModel, params: Any, token_Tx1: jax.Array, carries: tuple[Carry, ...]
) -> tuple[Carry, ...]:
    outputs: Any = model.apply({"params": params}, token_Tx1, carries)
    return outputs.carries


@partial(jax.jit, static_argnums=(0, 6))
def _write(model, params, carries, last, key, first, choice):
    """The next `CHUNK` tokens, numbered from `first`, and the state after them."""

    def one_token(carry, number):
        carries, last = carry
        outputs: Any = model.apply({"params": params}, last.reshape(1, 1), carries)
        table_VxE, bias_V = model.softmax_params(params)
        logits_V = make_logits(outputs.out.reshape(1, -1), table_VxE, bias_V)[0]
        token = choose(logits_V, jax.random.fold_in(key, number), choice)
        return (outputs.carries, token), token

    numbers = first + jnp.arange(CHUNK, dtype=jnp.int32)
    (carries, _), tokens = lax.scan(one_token, (carries, last), numbers)
    return tokens, carries
