"""The supervised task: minibatch gradient descent on a table or images.

Shape letters: B batch, F features, K outputs, N rows.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from research.errors import UserError, shortlist
from research.mlp import key_metrics
from research.mlp import loss as losses
from research.mlp.attacks import Box, adversarial
from research.mlp.config import Config, HParams
from research.mlp.dataset import Dataset
from research.mlp.label_noise import draw_noise, noisy_labels, noisy_targets
from research.mlp.model import MLP, Dropout
from research.optimizer import adamw, bias_corrections, sgd
from research.plain_text import count_of
from research.shuffle import at_positions, draw_orders, order_of
from research.task import Mean, Metrics, Problem, SplitStep, Task, bind, make_key

ROWS_AT_ONCE = 2_048  # batch size of an evaluation, which bounds its memory
IMAGES_AT_ONCE = 128  # the same with convolutions, which copy each image nine times


class State(NamedTuple):
    """The state of a run.

    Attributes:
      params: the params of the net, float32.
      opt_state: the state of the optimizer.
      orders: uint32 [2], the orders of the examples in all epochs.
      noise: uint32 [2], the noise on the training targets.
    """

    params: Any
    opt_state: Any
    orders: jax.Array
    noise: jax.Array


def make_optimizer(
    config: Config, hparams: HParams, corrections: Any = None
) -> optax.GradientTransformation:
    """The optimizer that the config names, with the hyper-parameters of the run.

    Args:
      corrections: Adam's `bias_corrections`, if they are known.
    """
    rate, decay = hparams.learning_rate, hparams.weight_decay
    if config.optimizer == "sgd":
        return sgd(rate, decay, hparams.momentum)
    return adamw(rate, decay, hparams.momentum, hparams.beta2, corrections=corrections)


def init(config: Config, shared: Dataset, hparams: HParams, key: jax.Array) -> State:
    """The state of a run before its first step."""
    model_key, order_key, noise_key = jax.random.split(key, 3)
    x_1xF = shared.standardized(shared.train.x[:1])
    params = make_model(config, shared).init(model_key, x_1xF)["params"]
    opt_state = make_optimizer(config, hparams).init(params)
    return State(params, opt_state, draw_orders(order_key), draw_noise(noise_key))


class DrawnBatch(NamedTuple):
    """What a step needs that no earlier step changes.

    Attributes:
      rows: int32 [B], the training rows of the minibatch.
      y: int32 or float32 [B], their targets, noise included.
      corrections: Adam's `bias_corrections`; None for SGD.
      dropout_key, attack_key: typed.
    """

    rows: jax.Array
    y: jax.Array
    corrections: Any
    dropout_key: jax.Array
    attack_key: jax.Array


def draw(
    config: Config, shared: Dataset, hparams: HParams, fixed: Any, key: jax.Array, t: jax.Array
) -> DrawnBatch:
    """The next minibatch in the run's order of the training rows; its inputs, which are large, are
    read in the step."""
    dropout_key, attack_key = jax.random.split(key)
    rows_B = next_rows(config, len(shared.train.y), fixed["orders"], t)
    y_B = targets_of(config, shared, hparams, fixed["noise"], rows_B)
    corrections = None
    if config.optimizer != "sgd":
        corrections = bias_corrections(t, hparams.momentum, hparams.beta2)
    return DrawnBatch(rows_B, y_B, corrections, dropout_key, attack_key)


def step(
    config: Config, shared: Dataset, hparams: HParams, state: State, drawn: DrawnBatch, t: jax.Array
) -> tuple[State, Metrics]:
    """One update on the minibatch that was drawn."""
    del t
    rows_B, y_B, corrections, dropout_key, attack_key = drawn
    x_BxF = inputs_of(shared, rows_B)
    model = make_model(config, shared)
    if config.adversarial_steps:
        box = make_box(shared)._replace(radius=hparams.adversarial_radius * shared.radius)
        input_gradient = make_input_gradient(config, shared, state.params, y_B)
        x_BxF = adversarial(input_gradient, x_BxF, box, config.adversarial_steps, attack_key)
    weights_B = None if config.class_weights == "none" else shared.class_weights[y_B]
    dropout = None if "dropout" in config.off else Dropout(hparams.dropout, dropout_key)

    def loss_fn(params):
        outputs_BxK = model.apply({"params": params}, x_BxF, dropout)
        return losses.LOSSES[config.loss](outputs_BxK, y_B, weights_B)

    value, grads = jax.value_and_grad(loss_fn)(state.params)
    optimizer = make_optimizer(config, hparams, corrections)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return state._replace(params=params, opt_state=opt_state), {"loss": value}


def next_rows(config: Config, rows: int, orders: jax.Array, t: jax.Array) -> jax.Array:
    """The rows of the minibatch of step `t`, int32 [B].

    Every epoch has an order of its own. It is N // B steps; it skips N % B rows, different ones in
    every epoch.
    """
    epoch, batch_in_epoch = jnp.divmod(t, rows // config.batch_size)
    places_B = jnp.arange(config.batch_size, dtype=jnp.int32)
    positions_B = batch_in_epoch * config.batch_size + places_B
    return at_positions(order_of(orders, epoch), positions_B, rows)


def inputs_of(shared: Dataset, rows_B: jax.Array) -> jax.Array:
    """The standardized inputs of training rows: float32 [B, F]."""
    return shared.standardized(_rows_at(shared.train.x, rows_B))


def targets_of(
    config: Config, shared: Dataset, hparams: HParams, noise: jax.Array, rows_B: jax.Array
) -> jax.Array:
    """The targets of training rows, noise included: int32 or float32 [B]."""
    y_B = _rows_at(shared.train.y, rows_B)
    if "label_noise" in config.off:
        return y_B
    if shared.classes:
        return noisy_labels(y_B, rows_B, noise, hparams.label_noise, shared.classes)
    return noisy_targets(y_B, rows_B, noise, hparams.label_noise)


def _rows_at(leaf: Any, rows_B: jax.Array) -> jax.Array:
    return jnp.asarray(leaf).at[rows_B].get(mode="promise_in_bounds")


def evaluate(
    config: Config, shared: Dataset, hparams: HParams, state: State, key: jax.Array
) -> Metrics:
    """The loss, the scores and the key metric on the validation and test parts."""
    del hparams, key
    metrics = {}
    for part in ("validation", "test"):
        split = getattr(shared, part)
        outputs_NxK = outputs(config, shared, state.params, split.x)
        found = scores_of(config, shared, outputs_NxK, jnp.asarray(split.y))
        metrics |= {f"{part}_{name}": value for name, value in found.items()}
    return metrics


def scores_of(config: Config, shared: Dataset, outputs_NxK: jax.Array, y_N: jax.Array) -> Metrics:
    """The loss, the scores and the key metric of outputs."""
    metrics: dict[str, Any] = {"loss": losses.LOSSES[config.loss](outputs_NxK, y_N)}
    if config.loss in losses.CLASSIFICATION:
        metrics["accuracy"] = losses.accuracy(outputs_NxK, y_N)
    else:
        error = jnp.sqrt(losses.squared_error(outputs_NxK, y_N))
        metrics["rmse"] = error * shared.target_scale
        varies = jnp.max(y_N) > jnp.min(y_N)  # or R2 is 1 - residual / 0
        metrics["r2"] = Mean(losses.r2(outputs_NxK, y_N), varies.astype(jnp.float32))
    name, key_metric = key_metric_of(config)
    if key_metric.score:
        targets_N = y_N if shared.classes else y_N * shared.target_scale + shared.target_mean
        metrics[name] = key_metric.score(to_predictions(shared, outputs_NxK), targets_N)
    return metrics


def key_metric_of(config: Config) -> tuple[str, key_metrics.KeyMetric]:
    """The metric that settings are ordered by, and its name; unless chosen, by the loss."""
    known = key_metrics.fitting(config.loss in losses.CLASSIFICATION)
    name = next(iter(known)) if config.key_metric == "auto" else config.key_metric
    return name, known[name]


def outputs(config: Config, shared: Dataset, params: Any, x_NxF: Any) -> jax.Array:
    """The outputs of the net, float32 [N, K]: logits, or standardized regression targets."""
    apply: Any = make_model(config, shared).apply
    most = IMAGES_AT_ONCE if config.channels else ROWS_AT_ONCE
    return in_batches(lambda x: apply({"params": params}, shared.standardized(x)), x_NxF, most=most)


def predictions(config: Config, shared: Dataset, params: Any, x_NxF: Any) -> jax.Array:
    """Class probabilities, float32 [N, K]; for regression [N, 1], in the unit of the target."""
    return to_predictions(shared, outputs(config, shared, params, x_NxF))


def to_predictions(shared: Dataset, outputs_NxK: jax.Array) -> jax.Array:
    """Outputs of the net converted to what `predictions` returns."""
    if not shared.classes:
        return outputs_NxK * shared.target_scale + shared.target_mean
    if outputs_NxK.shape[1] > 1:
        return jax.nn.softmax(outputs_NxK)
    return jax.nn.sigmoid(jnp.concatenate([-outputs_NxK, outputs_NxK], axis=1))


def in_batches(function: Callable[..., jax.Array], *rows: Any, most: int) -> jax.Array:
    """`function` applied to arrays [N, ...] in batches of at most `most` rows: [N, ...].

    All batches are of one size, so that it compiles once; `lax.map(batch_size=...)` would compile
    it again for the remainder.
    """
    n = len(rows[0])
    if n <= most:
        return function(*map(jnp.asarray, rows))
    turns = math.ceil(n / most)
    size = math.ceil(n / turns)
    places = jnp.minimum(jnp.arange(turns * size, dtype=jnp.int32), n - 1).reshape(turns, size)
    results = lax.map(lambda at: function(*(jnp.asarray(row)[at] for row in rows)), places)
    return results.reshape(turns * size, *results.shape[2:])[:n]


def make_model(config: Config, shared: Dataset) -> MLP:
    """The net of a config, with the outputs that fit the data."""
    outputs = shared.classes if shared.classes > 2 else 1
    structure = (config.activation, config.layer_norm, config.residual)
    dtype = jnp.dtype(config.compute)
    return MLP(config.hidden, outputs, *structure, config.channels, shared.image, dtype)


def param_shapes(config: Config, shared: Dataset) -> Any:
    """The params of a net as `jax.ShapeDtypeStruct`."""
    model, x_1xF = make_model(config, shared), shared.standardized(shared.train.x[:1])
    return jax.eval_shape(lambda: model.init(make_key(0), x_1xF))["params"]


def make_box(shared: Dataset) -> Box:
    """The box of an attack of radius 1."""
    return Box(*map(jnp.asarray, (shared.radius, shared.x_low, shared.x_high)))


def make_input_gradient(
    config: Config, shared: Dataset, params: Any, y_B: jax.Array, loss: Any = None
) -> Any:
    """A function of standardized rows, [B, F] -> the input gradient of each row's loss, [B, F].

    The loss is the config's unless `loss` is given.
    """
    model, loss = make_model(config, shared), loss or losses.LOSSES[config.loss]

    def total(x_BxF):
        return len(y_B) * loss(model.apply({"params": params}, x_BxF), y_B)

    return jax.grad(total)


@cache
def make_task(config: Config) -> Task:
    """The task of a config, whose loss must not be `auto`; see `fit_to`."""
    key_metric, how = key_metric_of(config)
    return Task(
        init=bind(init, config),
        step=SplitStep(bind(draw, config), bind(step, config), fixed=("orders", "noise")),
        evaluate=bind(evaluate, config),
        key_metric=f"validation_{key_metric}",
        higher_is_better=how.higher_is_better,
        work_unit="examples",
        work_per_step=config.batch_size,
    )


def make_problem(config: Config) -> Problem:
    """The task of a config, and the data that it names, loaded.

    Raises:
      UserError: if the data is unknown or unusable, or does not fit the config.
    """
    from research.mlp import data_quality  # whose imports training does not need
    from research.mlp.data import balanced, load

    dataset, facts = load(config.choice)
    config = fit_to(config, dataset)
    if config.class_weights == "balanced":
        dataset = balanced(dataset)
    notes = facts["notes"] + data_quality.advice(facts["found"], config)
    return Problem(make_task(config), dataset, facts, notes=notes, workload="mlp")


def fit_to(config: Config, dataset: Dataset) -> Config:
    """The config, checked against the data, with the loss `auto` replaced by the one that fits.

    Raises:
      UserError: if the config does not fit the data.
    """
    fitting = losses.CLASSIFICATION if dataset.classes else losses.REGRESSION
    if config.loss == "auto":
        config = dataclasses.replace(config, loss=next(iter(fitting)))
    key_metrics.check_fits(config.key_metric, config.data, dataset.classes)
    kind = "classification" if dataset.classes else "regression"
    if config.loss not in fitting:
        raise UserError(
            f"--loss {config.loss}: {config.data} is a {kind} problem; use {shortlist(fitting)}"
        )
    if config.class_weights != "none" and not dataset.classes:
        raise UserError(
            f"--class-weights {config.class_weights}: {config.data} is a {kind} problem; leave it "
            "at none"
        )
    rows = len(dataset.train.x)
    if config.batch_size > rows:
        raise UserError(
            f"--batch-size {config.batch_size}: {config.data} has {count_of(rows, 'row')} to "
            "train on"
        )
    if config.channels:
        _check_channels(config, dataset)
    return config


def _check_channels(config: Config, dataset: Dataset) -> None:
    words = "x".join(map(str, config.channels))
    if not dataset.image:
        raise UserError(f"--channels {words}: the rows of {config.data} are not images")
    most = int(math.log2(min(dataset.image[:2])))
    if len(config.channels) > most:
        raise UserError(
            f"--channels {words}: images of {dataset.image[0]}x{dataset.image[1]} can be halved "
            f"{most} times at most"
        )
