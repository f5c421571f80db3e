"""Dynamic evaluation: the model keeps learning from the text that it is tested on.

Every window is predicted before the model learns from it (Mikolov et al., 2010, section 3). The
update after a window, with `g` the gradient of its mean loss and `p0` the trained params, is

    p' = p - rate g / (rms + epsilon) + min(decay rms / mean(rms), 1) (p0 - p)

where `rms` is the root mean square of the gradients over the training text (Krause, Kahembwe,
Murray and Renals, 2018, equations 4 to 7). The plain rule is the same with `rms` 1 and epsilon 0.

Shape letters: L length of a stream, T window, B training streams.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.lm.data import Heldout
from research.lm.evaluation import first_rows, window_nll
from research.lm.model import LanguageModel


class Rule(NamedTuple):
    """The update rule of dynamic evaluation.

    Attributes:
      rate: the learning rate.
      decay: how fast params decay towards the trained ones.
      rms: the root mean square of the gradients, from `gradient_rms`; None for the plain rule.
      epsilon: added to `rms`, above 0, since params whose gradients were all 0 have an `rms` of 0.
    """

    rate: Any
    decay: Any
    rms: Any = None
    epsilon: Any = 1e-3


def dynamic_nlls(
    model: LanguageModel, params: Any, heldout: Heldout, window: int, rule: Rule
) -> jax.Array:
    """The loss of every token under dynamic evaluation, in nats: float32 [L, S], 0 if masked out.

    With several streams, the model learns from all of them at once.
    """
    move = _mover(params, rule)

    def one_window(carry, first):
        moved, carries = carry

        def loss(moved):
            after, nll_TxS = window_nll(model, moved, heldout, window, carries, first)
            count = jnp.sum(lax.dynamic_slice_in_dim(counts, first, window))
            return jnp.sum(nll_TxS) / jnp.maximum(count, 1), (after, nll_TxS)

        grads, (carries, nll_TxS) = jax.grad(loss, has_aux=True)(moved)
        return (move(moved, grads), carries), nll_TxS

    counts = jnp.asarray(heldout.counts)
    begin = jax.tree.map(jnp.asarray, params), model.start(counts.shape[1])
    _, nll_WxTxS = lax.scan(one_window, begin, first_rows(heldout, window))
    return nll_WxTxS.reshape(counts.shape)


def gradient_rms(model: LanguageModel, params: Any, train: Any, window: int) -> Any:
    """The root mean square of each param's gradient over the windows of the training text.

    Args:
      model: the model.
      params: its trained params.
      train: int [L + 1, B].
      window: T, the same as in `dynamic_nlls`.
    """
    rows = len(train) - 1 - (len(train) - 1) % window
    everything = Heldout(train, jnp.ones((rows, train.shape[1]), jnp.float32), jnp.float32(1))

    def one_window(carry, first):
        squares, carries = carry

        def loss(params):
            after, nll_TxB = window_nll(model, params, everything, window, carries, first)
            return jnp.mean(nll_TxB), after

        grads, carries = jax.grad(loss, has_aux=True)(params)
        return (jax.tree.map(lambda sums, g: sums + g * g, squares, grads), carries), None

    firsts = first_rows(everything, window)
    begin = jax.tree.map(jnp.zeros_like, params), model.start(train.shape[1])
    (squares, _), _ = lax.scan(one_window, begin, firsts)
    return jax.tree.map(lambda sums: jnp.sqrt(sums / len(firsts)), squares)


def _mover(trained, rule):
    """The update of a rule, a function (params, gradients) -> params."""
    if rule.rms is None:
        plain = lambda p, g, p0: p - rule.rate * g + rule.decay * (p0 - p)
        return lambda params, grads: jax.tree.map(plain, params, grads, trained)
    mean = optax.tree.sum(rule.rms) / optax.tree.size(rule.rms)

    def scaled(p, g, p0, rms):
        back = jnp.minimum(rule.decay * rms / mean, 1)
        return p - rule.rate * g / (rms + rule.epsilon) + back * (p0 - p)

    return lambda params, grads: jax.tree.map(scaled, params, grads, trained, rule.rms)
