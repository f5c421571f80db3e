"""The language model as a task: truncated backpropagation through time over a text.

All runs read the same window at the same step, so one slice of the text serves all of them.

Shape letters: T window, B streams, E size of an output, V symbols.
"""

import dataclasses
from collections.abc import Sequence
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
    start_trigger,
    update_ema,
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
from research.task import Metrics, Problem, Requirement, Task, bind, in_use, make_key


class State(NamedTuple):
    """The state of a run.

    Attributes:
      params: the params to evaluate and keep, float32: averaged if `averaging` is on, else trained.
      trained: the params that gradients update; None while averaging is off.
      opt_state: the state of the optimizer.
      carries: the state of the LSTM layers after the last window, [B, H] each.
      plateau: the state of the schedule `plateau`, else None.
      trigger: the state of the averaging `asgd`, else None.
    """

    params: Any
    trained: Any
    opt_state: Any
    carries: tuple[Carry, ...]
    plateau: Plateau | None
    trigger: Trigger | None


def init(config: Config, shared: TextData, hparams: HParams, key: jax.Array) -> State:
    """The state of a run before its first update."""
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
        check = lambda *checked: _check_validation(config, shared, hparams, trained, *checked)
        as_is = lambda *checked: checked
        plateau, trigger = lax.cond(begins & (t > 0), check, as_is, state.plateau, state.trigger)
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
    return _with_params(config, hparams, state, trained), {"loss": loss}


def window_loss(
    config: Config,
    symbols: int,
    hparams: HParams,
    params: Any,
    token: jax.Array,
    carries: tuple[Carry, ...],
    key: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, tuple[Carry, ...]]]:
    """The objective to differentiate; the loss in nats per token, and the state after the window.

    Args:
      config: the config.
      symbols: V.
      hparams: the hyper-parameters of the run.
      params: the params to differentiate with respect to.
      token: int [T + 1, B]; each row but the last predicts the next.
      carries: the state before the window, through which no gradient flows.
      key: typed key of the dropout.
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
        objective = objective + rate * 0.5 * optax.tree.norm(params, squared=True)
    return objective, (loss, outputs.carries)


def evaluate(
    config: Config, shared: TextData, hparams: HParams, state: State, key: jax.Array
) -> Metrics:
    """The loss, perplexity and bits per character on the validation and test parts."""
    del hparams, key
    model = make_model(config, shared.symbols)
    metrics = {}
    for name in ("validation", "test"):
        if (heldout := getattr(shared, name)) is not None:
            nll = heldout_nll(model, state.params, heldout, config.window)
            metrics |= scores(name, nll, heldout)
    return metrics


def make_model(config: Config, symbols: int) -> LanguageModel:
    """The model of a config, for a vocabulary of `symbols`."""
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


def param_shapes(config: Config, symbols: int) -> Any:
    """The params of a model as `jax.ShapeDtypeStruct`."""
    model, token = make_model(config, symbols), jnp.zeros((1, 1), jnp.int32)
    return jax.eval_shape(lambda: model.init(make_key(0), token, model.start(1)))["params"]


def make_noise(config: Config, hparams: HParams, key: jax.Array) -> Noise | None:
    """The dropout of a step; None if every rate is off."""
    rates = Rates(*(in_use(config, hparams, f"{name}_dropout") for name in Rates._fields))
    return None if all(rate is None for rate in rates) else Noise(key, rates)


def make_optimizer(config: Config, hparams: HParams) -> optax.GradientTransformation:
    """The optimizer that the config names, with the hyper-parameters of the run."""
    rate, decay = hparams.learning_rate, hparams.weight_decay
    norm = in_use(config, hparams, "max_grad_norm")
    if config.optimizer == "sgd":
        return sgd(rate, decay, max_grad_norm=norm)
    return adamw(rate, decay, hparams.beta1, hparams.beta2, norm)


def updates_an_epoch(config: Config, shared: TextData) -> int:
    """The number of updates in an epoch: whole windows in a training stream."""
    return (len(shared.train) - 1) // config.window


def updates_a_run(config: Config, windows: int) -> int:
    """The number of updates in a run, the horizon of schedules, if an epoch has `windows`."""
    return config.steps or config.epochs * windows


def with_params(state: State, params: Any) -> State:
    """A run before its first step with other params, which are also those that are trained."""
    trained = None if state.trained is None else jax.tree.map(jnp.copy, params)
    return state._replace(params=params, trained=trained)


def extends(config: Config, hparams: HParams) -> Sequence[Requirement]:
    """The conditions under which a longer run begins as this one; see `Task.extends`."""
    del hparams
    reason = "--schedule cosine: the learning rate falls until the end of the run"
    return [Requirement((), config.schedule != "cosine", reason)]


@cache
def make_task(config: Config, windows: int) -> Task:
    """The task of a config, for a corpus whose epochs have `windows` updates."""
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
        with_params=with_params,
        extends=bind(extends, config),
    )


def make_problem(config: Config) -> Problem:
    """The task of a config, and the corpus that it names, loaded.

    Raises:
      UserError: if the corpus or the word vectors cannot be read, or the corpus is too short.
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
        notes = [_describe_coverage(config.glove, facts["glove"], len(tokenizer))]
    task = make_task(config, windows)
    return Problem(task, shared, facts, {"vocabulary": tokenizer.dump()}, notes, "lm")


def _describe_coverage(path: str, covered: dict[str, float], symbols: int) -> str:
    """A note on how many words have a vector in a file."""
    return (
        f"--glove {path}: {covered['found']:,} of the {symbols:,} words of the vocabulary have a "
        f"vector, {covered['tokens']:.1%} of the training text; the others get random ones"
    )


def _check_validation(
    config: Config,
    shared: TextData,
    hparams: HParams,
    trained: Any,
    plateau: Plateau | None,
    trigger: Trigger | None,
) -> tuple[Plateau | None, Trigger | None]:
    """The states of the schedule and the averaging after a check of the validation loss."""
    model, heldout = make_model(config, shared.symbols), shared.validation
    nll = heldout_nll(model, trained, heldout, config.window)
    loss = scores("validation", nll, heldout)["validation_loss"]
    if plateau is not None:
        plateau = check_plateau(plateau, loss, hparams.patience, hparams.decay)
    if trigger is not None:
        trigger = check_trigger(trigger, loss, hparams.trigger_after)
    return plateau, trigger


def _with_params(config: Config, hparams: HParams, state: State, trained: Any) -> State:
    """The state with new trained params, and with their average if averaging is on."""
    if config.averaging == "none":
        return state._replace(params=trained)
    if config.averaging == "ema":
        average = update_ema(state.params, trained, hparams.ema_decay)
        return state._replace(params=average, trained=trained)
    assert state.trigger is not None
    trigger, average = average_since(state.trigger, state.params, trained)
    return state._replace(params=average, trained=trained, trigger=trigger)
