"""The language model as a task: truncated backpropagation through time over a text.

All runs read the same window at the same time, so its slice is one for all of them.

Shape letters: T window, B streams, E size of an output, V symbols.
"""

import dataclasses
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.lm.averaging import (
    Trigger,
    average_since,
    check_trigger,
    move_ema,
    start_trigger,
)
from research.lm.config import Config, HParams
from research.lm.data import TextData, TextLayout, lay_out, load_text
from research.lm.evaluation import heldout_nll, scores
from research.lm.glove import coverage, fill, read_vectors
from research.lm.lstm import Carry
from research.lm.model import LanguageModel, Noise
from research.lm.regularization import Rates, penalty
from research.lm.schedules import Plateau, check_plateau, rate_factor, start_plateau
from research.lm.softmax import total_nll
from research.lm.text import PER_CHARACTER, Words
from research.optimizer import adamw, sgd
from research.task import Metrics, Problem, Task, bind, in_use


class State(NamedTuple):
    """What a run carries.

    Attributes:
      params: what is evaluated and kept, float32: the average of the trained ones, if any is made.
      trained: what gradients move; None if that is `params` itself.
      opt_state: of the optimizer.
      carries: the LSTM's state after the last window, [B, H] each.
      plateau: under that schedule, else None.
      trigger: under averaging `asgd`, else None.
    """

    params: Any
    trained: Any
    opt_state: Any
    carries: tuple[Carry, ...]
    plateau: Plateau | None
    trigger: Trigger | None


def init(config: Config, shared: TextData, hparams: HParams, key: jax.Array) -> State:
    """A run before its first update."""
    model = make_model(config, shared.symbols)
    token = jnp.zeros((1, config.batch_size), jnp.int32)
    carries = model.start(config.batch_size)
    model_key, vectors_key = jax.random.split(key)
    params: Any = model.init(model_key, token, carries)["params"]
    if shared.vectors is not None:
        params = params | {"embedding": fill(shared.vectors, vectors_key)}
    averages = config.averaging != "none"
    return State(
        params=params,
        trained=jax.tree.map(jnp.copy, params) if averages else None,
        opt_state=make_optimizer(config, hparams).init(params),
        carries=carries,
        plateau=start_plateau() if config.schedule == "plateau" else None,
        trigger=start_trigger() if config.averaging == "asgd" else None,
    )


def step(
    config: Config, shared: TextData, hparams: HParams, state: State, key: jax.Array, t: jax.Array
) -> tuple[State, Metrics]:
    """One update on the next window of the text."""
    windows = updates_an_epoch(config, shared)
    begins = t % windows == 0
    trained = state.params if state.trained is None else state.trained
    if config.schedule == "plateau" or config.averaging == "asgd":
        look = lambda *checked: _look_at_validation(config, shared, hparams, trained, *checked)
        as_is = lambda *checked: checked
        plateau, trigger = lax.cond(begins & (t > 0), look, as_is, state.plateau, state.trigger)
        state = state._replace(plateau=plateau, trigger=trigger)
    carries = jax.tree.map(lambda leaf: jnp.where(begins, 0, leaf), state.carries)
    first = t % windows * config.window
    token = lax.dynamic_slice_in_dim(jnp.asarray(shared.train), first, config.window + 1)

    def loss_fn(params):
        return window_loss(config, shared.symbols, hparams, params, token, carries, key)

    grads, (loss, carries) = jax.grad(loss_fn, has_aux=True)(trained)
    updates = updates_a_run(config, windows)
    factor = rate_factor(config.schedule, hparams, t, windows, updates)
    if state.plateau is not None:
        factor = factor * state.plateau.scale
    hparams = dataclasses.replace(hparams, learning_rate=hparams.learning_rate * factor)
    deltas, opt_state = make_optimizer(config, hparams).update(grads, state.opt_state, trained)
    moved: Any = optax.apply_updates(trained, deltas)
    trained = moved | {"embedding": trained["embedding"]} if config.frozen else moved
    state = state._replace(opt_state=opt_state, carries=carries)
    return _keep(config, hparams, state, trained), {"loss": loss}


def window_loss(
    config: Config,
    symbols: int,
    hparams: HParams,
    params: Any,
    token: jax.Array,
    carries: tuple[Carry, ...],
    key: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, tuple[Carry, ...]]]:
    """What is differentiated; and the loss in nats a token, and the state after the window.

    Args:
      token: int [T + 1, B]; each but the last predicts the next.
      carries: the state before the window, through which no gradient flows.
      key: typed, for the dropout.
    """
    token = token.astype(jnp.int32)
    model = make_model(config, symbols)
    if config.frozen:
        params = params | {"embedding": lax.stop_gradient(params["embedding"])}
    noise = make_noise(config, hparams, key)
    outputs: Any = model.apply({"params": params}, token[:-1], carries, noise)
    out = outputs.out.reshape(-1, outputs.out.shape[-1])
    chunks = len(out) // (config.softmax_chunk or len(out))
    target = token[1:].reshape(-1)
    nll: Any = total_nll(chunks, out, *model.softmax_params(params), target)
    loss = nll / len(out)
    weights = [in_use(config, hparams, f"{name}_penalty") for name in ("activation", "slowness")]
    objective = loss + penalty(outputs.dropped, outputs.raw, *weights)
    if config.loss_over == "time":
        objective = objective * config.window
    if (rate := in_use(config, hparams, "l2_penalty")) is not None:
        squares = [jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(params)]
        objective = objective + rate * 0.5 * sum(squares[1:], squares[0])
    return objective, (loss, outputs.carries)


def evaluate(
    config: Config, shared: TextData, hparams: HParams, state: State, key: jax.Array
) -> Metrics:
    """Loss, perplexity and bits per character on the held-out parts."""
    del hparams, key
    model = make_model(config, shared.symbols)
    metrics = {}
    for name in ("validation", "test"):
        if (heldout := getattr(shared, name)) is not None:
            nll = heldout_nll(model, state.params, heldout, config.window)
            metrics |= scores(name, nll, heldout)
    return metrics


def make_model(config: Config, symbols: int) -> LanguageModel:
    """The network that a config describes."""
    return LanguageModel(
        symbols=symbols,
        embedding_size=config.embedding_size,
        hidden=config.hidden,
        tied=config.tied,
        coupled=config.coupled,
        locked=config.locked,
        init_scale=config.init_scale,
        forget_bias=config.forget_bias,
        dtype=jnp.dtype(config.compute),
    )


def make_noise(config: Config, hparams: HParams, key: jax.Array) -> Noise | None:
    """What is dropped; None if nothing is."""
    rates = Rates(*(in_use(config, hparams, f"{name}_dropout") for name in Rates._fields))
    return None if all(rate is None for rate in rates) else Noise(key, rates)


def make_optimizer(config: Config, hparams: HParams) -> optax.GradientTransformation:
    """What `config.optimizer` names, with the run's own hyper-parameters."""
    rate, decay = hparams.learning_rate, hparams.weight_decay
    norm = in_use(config, hparams, "max_grad_norm")
    if config.optimizer == "sgd":
        return sgd(rate, decay, max_grad_norm=norm)
    return adamw(rate, decay, hparams.beta1, hparams.beta2, norm)


def updates_an_epoch(config: Config, shared: TextData) -> int:
    """Whole windows in a stream of the training part."""
    return (len(shared.train) - 1) // config.window


def updates_a_run(config: Config, windows: int) -> int:
    """How many updates a run takes, of which `windows` are an epoch: the horizon of schedules."""
    return config.steps or config.epochs * windows


@cache
def make_task(config: Config, windows: int) -> Task:
    """The task of one config.

    Args:
      windows: how many updates an epoch has, by the corpus.
    """
    per_character = config.level in PER_CHARACTER
    return Task(
        init=bind(init, config),
        step=bind(step, config),
        evaluate=bind(evaluate, config),
        key_metric="validation_bits_per_character" if per_character else "validation_perplexity",
        higher_is_better=False,
        work_unit="tokens",
        work_per_step=config.batch_size * config.window,
        steps=updates_a_run(config, windows),
        epoch=windows,
    )


def make_problem(config: Config) -> Problem:
    """Reads the corpus and makes the task that fits it.

    Raises:
      UserError: for a corpus that cannot be read or is too short, and what `Config` does not allow.
    """
    parts, tokenizer, tokens, facts = load_text(
        config.corpus, config.split, config.level, config.vocabulary_size
    )
    layout = TextLayout(config.batch_size, config.window, config.eval_streams, config.eval_context)
    shared = lay_out(parts, tokenizer, tokens, layout)
    windows = updates_an_epoch(config, shared)
    facts, notes = facts | {"updates_an_epoch": windows}, []
    if config.glove:
        assert isinstance(tokenizer, Words)
        vectors = read_vectors(config.glove, tokenizer.symbols, config.embedding_size)
        shared = dataclasses.replace(shared, vectors=vectors)
        facts["glove"] = coverage(vectors, tokens["train"])
        notes = [_describe(config.glove, facts["glove"], len(tokenizer))]
    task = make_task(config, windows)
    return Problem(task, shared, facts, {"vocabulary": tokenizer.dump()}, notes)


def _describe(path: str, covered: dict[str, float], symbols: int) -> str:
    """How many words begin with a vector from a file."""
    return (
        f"--glove {path}: {covered['found']:,} of the {symbols:,} words of the vocabulary have a "
        f"vector, {covered['tokens']:.1%} of the training text; the others begin with random ones"
    )


def _look_at_validation(
    config: Config,
    shared: TextData,
    hparams: HParams,
    trained: Any,
    plateau: Plateau | None,
    trigger: Trigger | None,
) -> tuple[Plateau | None, Trigger | None]:
    """After an epoch: what the schedule and the averaging make of the validation loss."""
    model, heldout = make_model(config, shared.symbols), shared.validation
    nll = heldout_nll(model, trained, heldout, config.window)
    loss = scores("validation", nll, heldout)["validation_loss"]
    if plateau is not None:
        plateau = check_plateau(plateau, loss, hparams.patience, hparams.decay)
    if trigger is not None:
        trigger = check_trigger(trigger, loss, hparams.trigger_after)
    return plateau, trigger


def _keep(config: Config, hparams: HParams, state: State, trained: Any) -> State:
    """With new trained params, and the average of them."""
    if config.averaging == "none":
        return state._replace(params=trained)
    if config.averaging == "ema":
        average = move_ema(state.params, trained, hparams.ema_decay)
        return state._replace(params=average, trained=trained)
    assert state.trigger is not None
    trigger, average = average_since(state.trigger, state.params, trained)
    return state._replace(params=average, trained=trained, trigger=trigger)
