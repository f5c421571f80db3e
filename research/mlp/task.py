"""The supervised task: minibatch gradient descent of a net on a table.

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
from research.mlp import loss as losses
from research.mlp.attacks import Box, adversarial
from research.mlp.config import Config, HParams
from research.mlp.dataset import Dataset, Split
from research.mlp.label_noise import draw_noise, noisy_labels, noisy_numbers
from research.mlp.model import MLP, Dropout
from research.optimizer import adamw, sgd
from research.shuffle import at_positions, draw_order
from research.task import Mean, Metrics, Problem, Task, bind

ROWS_AT_ONCE = 2_048  # of an evaluation; more of them take turns, so as to need no more memory
PICTURES_AT_ONCE = 128  # of which a convolution makes nine copies


class State(NamedTuple):
    """What a run carries.

    Attributes:
      params: of the net, float32.
      opt_state: of the optimizer.
      order: uint32 [ORDER], the order of the examples in this epoch.
      noise: uint32 [2], which training labels are wrong.
    """

    params: Any
    opt_state: Any
    order: jax.Array
    noise: jax.Array


def make_optimizer(config: Config, hparams: HParams) -> optax.GradientTransformation:
    """What `config.optimizer` names, with the run's own hyper-parameters."""
    rate, decay = hparams.learning_rate, hparams.weight_decay
    if config.optimizer == "sgd":
        return sgd(rate, decay, hparams.momentum)
    return adamw(rate, decay, hparams.momentum, hparams.beta2)


def init(config: Config, shared: Dataset, hparams: HParams, key: jax.Array) -> State:
    """A run before its first step."""
    model_key, order_key, noise_key = jax.random.split(key, 3)
    x_1xF = shared.standardized(shared.train.x[:1])
    params = make_model(config, shared).init(model_key, x_1xF)["params"]
    opt_state = make_optimizer(config, hparams).init(params)
    return State(params, opt_state, draw_order(order_key), draw_noise(noise_key))


def step(
    config: Config, shared: Dataset, hparams: HParams, state: State, key: jax.Array, t: jax.Array
) -> tuple[State, Metrics]:
    """One update on the next minibatch of the run's own order of the training rows."""
    order_key, dropout_key, attack_key = jax.random.split(key, 3)
    order, rows_B = next_rows(config, len(shared.train.y), state.order, order_key, t)
    x_BxF, y_B = next_batch(config, shared, hparams, state.noise, rows_B)
    model = make_model(config, shared)
    if config.adversarial_steps:
        box = make_box(shared)._replace(radius=hparams.adversarial_radius * shared.radius)
        slope = make_slope(config, shared, state.params, y_B)
        x_BxF = adversarial(slope, x_BxF, box, config.adversarial_steps, attack_key)
    weights_B = None if config.class_weights == "none" else shared.class_weights[y_B]
    dropout = None if "dropout" in config.off else Dropout(hparams.dropout, dropout_key)

    def loss_fn(params):
        outputs_BxK = model.apply({"params": params}, x_BxF, dropout)
        return losses.LOSSES[config.loss](outputs_BxK, y_B, weights_B)

    value, grads = jax.value_and_grad(loss_fn)(state.params)
    optimizer = make_optimizer(config, hparams)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(params, opt_state, order, state.noise), {"loss": value}


def next_rows(
    config: Config, rows: int, order: jax.Array, key: jax.Array, t: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The order of the epoch of step `t`, drawn anew where one begins, and the rows, int32 [B], of
    its minibatch.

    An epoch is N // B steps; the N % B rows left over are other ones in every epoch.
    """
    batch_in_epoch = t % (rows // config.batch_size)
    order = jnp.where(batch_in_epoch == 0, draw_order(key), order)
    places_B = jnp.arange(config.batch_size, dtype=jnp.int32)
    positions_B = batch_in_epoch * config.batch_size + places_B
    return order, at_positions(order, positions_B, rows)


def next_batch(
    config: Config, shared: Dataset, hparams: HParams, noise: jax.Array, rows_B: jax.Array
) -> Split:
    """Training rows as the net reads them, with the targets that this run is told."""
    take = lambda leaf: jnp.asarray(leaf).at[rows_B].get(mode="promise_in_bounds")
    x_BxF, y_B = shared.standardized(take(shared.train.x)), take(shared.train.y)
    if "label_noise" in config.off:
        return Split(x_BxF, y_B)
    if shared.classes:
        return Split(x_BxF, noisy_labels(y_B, rows_B, noise, hparams.label_noise, shared.classes))
    return Split(x_BxF, noisy_numbers(y_B, rows_B, noise, hparams.label_noise))


def evaluate(
    config: Config, shared: Dataset, hparams: HParams, state: State, key: jax.Array
) -> Metrics:
    """Loss and score on the validation and the test rows."""
    del hparams, key
    loss = losses.LOSSES[config.loss]
    metrics = {}
    for part in ("validation", "test"):
        split = getattr(shared, part)
        outputs_NxK = outputs(config, shared, state.params, split.x)
        metrics[f"{part}_loss"] = loss(outputs_NxK, split.y)
        if config.loss in losses.CLASSIFICATION:
            metrics[f"{part}_accuracy"] = losses.accuracy(outputs_NxK, split.y)
        else:
            error = jnp.sqrt(losses.squared_error(outputs_NxK, split.y))
            metrics[f"{part}_rmse"] = error * shared.target_scale
            varies = jnp.max(split.y) > jnp.min(split.y)  # or R2 is 1 - residual / 0
            r2 = losses.r2(outputs_NxK, split.y)
            metrics[f"{part}_r2"] = Mean(r2, varies.astype(jnp.float32))
    return metrics


def outputs(config: Config, shared: Dataset, params: Any, x_NxF: Any) -> jax.Array:
    """What the net makes of rows: float32 [N, K], logits or standardized targets."""
    apply: Any = make_model(config, shared).apply
    most = PICTURES_AT_ONCE if config.channels else ROWS_AT_ONCE
    return in_turns(lambda x: apply({"params": params}, shared.standardized(x)), x_NxF, most=most)


def predictions(config: Config, shared: Dataset, params: Any, x_NxF: Any) -> jax.Array:
    """float32 [N, K], the probability of each class; or [N, 1], in the unit of the target."""
    return readable(shared, outputs(config, shared, params, x_NxF))


def readable(shared: Dataset, outputs_NxK: jax.Array) -> jax.Array:
    """Outputs of a net as `predictions` gives them."""
    if not shared.classes:
        return outputs_NxK * shared.target_scale + shared.target_mean
    if outputs_NxK.shape[1] > 1:
        return jax.nn.softmax(outputs_NxK)
    return jax.nn.sigmoid(jnp.concatenate([-outputs_NxK, outputs_NxK], axis=1))


def in_turns(function: Callable[..., jax.Array], *rows: Any, most: int) -> jax.Array:
    """`function` of arrays [N, ...], at most so many rows at a time: [N, ...]."""
    n = len(rows[0])
    if n <= most:
        return function(*map(jnp.asarray, rows))
    turns = math.ceil(n / most)
    size = math.ceil(n / turns)
    places = jnp.minimum(jnp.arange(turns * size, dtype=jnp.int32), n - 1).reshape(turns, size)
    results = lax.map(lambda at: function(*(jnp.asarray(row)[at] for row in rows)), places)
    return results.reshape(turns * size, *results.shape[2:])[:n]


def make_model(config: Config, shared: Dataset) -> MLP:
    """The net that fits the data."""
    outputs = shared.classes if shared.classes > 2 else 1
    structure = (config.activation, config.layer_norm, config.residual)
    dtype = jnp.dtype(config.compute)
    return MLP(config.hidden, outputs, *structure, config.channels, shared.image, dtype)


def make_box(shared: Dataset) -> Box:
    """How far an attack of radius 1 may move a row."""
    return Box(*map(jnp.asarray, (shared.radius, shared.x_low, shared.x_high)))


def make_slope(
    config: Config, shared: Dataset, params: Any, y_B: jax.Array, loss: Any = None
) -> Any:
    """Rows as the net reads them, [B, F] -> the slope of each row's `loss`; the config's if it is
    not given."""
    model, loss = make_model(config, shared), loss or losses.LOSSES[config.loss]

    def total(x_BxF):
        return len(y_B) * loss(model.apply({"params": params}, x_BxF), y_B)

    return jax.grad(total)


@cache
def make_task(config: Config) -> Task:
    """The task of one config, whose loss must be named; see `make_problem` for `auto`."""
    classifies = config.loss in losses.CLASSIFICATION
    return Task(
        init=bind(init, config),
        step=bind(step, config),
        evaluate=bind(evaluate, config),
        key_metric="validation_accuracy" if classifies else "validation_r2",
        higher_is_better=True,
        work_unit="examples",
        work_per_step=config.batch_size,
    )


def make_problem(config: Config) -> Problem:
    """Loads the data that `config` names and makes the task that fits it.

    Raises:
      UserError: for unknown or unusable data, or a config that does not fit it.
    """
    from research.mlp.data import balanced, load  # what reads tables, training can do without

    dataset, facts = load(config.choice)
    config = fit_to(config, dataset)
    if config.class_weights == "balanced":
        dataset = balanced(dataset)
    return Problem(make_task(config), dataset, facts, notes=facts["notes"])


def fit_to(config: Config, dataset: Dataset) -> Config:
    """The config with the loss that fits the data.

    Raises:
      UserError: for what does not fit it.
    """
    fitting = losses.CLASSIFICATION if dataset.classes else losses.REGRESSION
    if config.loss == "auto":
        config = dataclasses.replace(config, loss=next(iter(fitting)))
    kind = "classes" if dataset.classes else "numbers"
    if config.loss not in fitting:
        raise UserError(
            f"--loss {config.loss}: the target of {config.data} is {kind}; use {shortlist(fitting)}"
        )
    if config.class_weights != "none" and not dataset.classes:
        raise UserError(
            f"--class-weights {config.class_weights}: the target of {config.data} is numbers"
        )
    rows = len(dataset.train.x)
    if config.batch_size > rows:
        raise UserError(
            f"--batch-size {config.batch_size}: {config.data} has {rows} rows to train on"
        )
    if config.channels:
        words = "x".join(map(str, config.channels))
        if not dataset.image:
            raise UserError(f"--channels {words}: the rows of {config.data} are no images")
        most = int(math.log2(min(dataset.image[:2])))
        if len(config.channels) > most:
            raise UserError(
                f"--channels {words}: images of {dataset.image[0]}x{dataset.image[1]} can be "
                f"halved {most} times at most"
            )
    return config
