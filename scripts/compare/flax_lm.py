"""A baseline for `scripts/bench`: the language model with flax's own LSTM and a plain softmax.

It is what one would write with flax alone: `nn.RNN(nn.OptimizedLSTMCell)`, JAX's gradient of the
scan, and optax's cross-entropy of all logits at once. Embedding, sizes, optimizer and windows are
ours.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.lm import Config, HParams
from research.lm.data import TextData
from research.lm.task import make_optimizer, updates_an_epoch
from research.task import Metrics, Task, bind


class FlaxLM(nn.Module):
    """Maps tokens int [T, B] and carries to logits [T, B, V] and the carries after the window."""

    symbols: int
    hidden: tuple[int, ...]
    embedding_size: int
    dtype: Any

    @nn.compact
    def __call__(self, token_TxB: jax.Array, carries: Any) -> tuple[jax.Array, Any]:
        x = nn.Embed(self.symbols, self.embedding_size, dtype=self.dtype)(token_TxB)
        after = []
        for units, carry in zip(self.hidden, carries, strict=True):
            cell = nn.OptimizedLSTMCell(units, dtype=self.dtype)
            rnn = nn.RNN(cell, time_major=True, return_carry=True)
            carry, x = rnn(x, initial_carry=carry)
            after.append(carry)
        return nn.Dense(self.symbols, dtype=self.dtype)(x), tuple(after)


class State(NamedTuple):
    params: Any
    opt_state: Any
    carries: Any


def init(config: Config, shared: TextData, hparams: HParams, key: jax.Array) -> State:
    """The state before the first step, as `research.lm.task.init` without its options."""
    model = _model(config, shared)
    zeros = [jnp.zeros((config.batch_size, units), model.dtype) for units in config.hidden]
    carries = tuple((zero, zero) for zero in zeros)
    token = jnp.zeros((1, config.batch_size), jnp.int32)
    params = model.init(key, token, carries)["params"]
    return State(params, make_optimizer(config, hparams).init(params), carries)


def step(
    config: Config, shared: TextData, hparams: HParams, state: State, key: jax.Array, t: jax.Array
) -> tuple[State, Metrics]:
    """One update on the next window."""
    del key
    model = _model(config, shared)
    first = t % updates_an_epoch(config, shared) * config.window
    token = lax.dynamic_slice_in_dim(jnp.asarray(shared.train), first, config.window + 1)
    token = token.astype(jnp.int32)

    def loss_fn(params):
        outputs: Any = model.apply({"params": params}, token[:-1], state.carries)
        logits, carries = outputs
        losses = optax.softmax_cross_entropy_with_integer_labels(
            logits.astype(jnp.float32), token[1:]
        )
        return jnp.mean(losses), carries

    (loss, carries), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    optimizer = make_optimizer(config, hparams)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(params, opt_state, carries), {"loss": loss}


def evaluate(config: Config, shared: Any, hparams: Any, state: Any, key: Any) -> Metrics:
    """A dummy metric: evaluations are not timed."""
    del config, shared, hparams, state, key
    return {"nothing": jnp.float32(0)}


def make_flax_task(config: Config) -> Task:
    """The task of one config."""
    return Task(
        bind(init, config),
        bind(step, config),
        bind(evaluate, config),
        key_metric="nothing",
        work_unit="tokens",
        work_per_step=config.batch_size * config.window,
    )


def _model(config: Config, shared: TextData) -> FlaxLM:
    return FlaxLM(shared.symbols, config.hidden, config.embedding_size, jnp.dtype(config.compute))
