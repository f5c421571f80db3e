"""The supervised task: minibatch gradient descent of an MLP on a table.

Shape letters: B batch, F features, K outputs, N rows.
"""

import dataclasses
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from research.errors import UserError, shortlist
from research.mlp import loss as losses
from research.mlp.data import DATA_HELP, Dataset, Split, load_dataset
from research.mlp.model import ACTIVATIONS, MLP
from research.optimizer import adamw, sgd
from research.shuffle import at_positions, draw_order
from research.task import Metrics, Problem, Task, bind, field

OPTIMIZERS = ("adam", "sgd")


@dataclasses.dataclass(frozen=True)
class Config:
    """What is compiled into the program."""

    data: str = field("digits", DATA_HELP)
    target: str = field("", "the CSV column to predict")
    hidden: tuple[int, ...] = field((128,), "widths of the hidden layers, such as 128 or 64x32")
    activation: str = field("relu", "one of " + ", ".join(ACTIVATIONS))
    loss: str = field("auto", "auto (by the target), or one of " + ", ".join(losses.LOSSES))
    optimizer: str = field("adam", "adam (AdamW) or sgd (with momentum)")
    batch_size: int = field(64, "examples an update", low=1)
    split_seed: int = field(0, "seed of the split into training, validation and test", low=0)

    def __post_init__(self):
        for name, known in (
            ("activation", ACTIVATIONS),
            ("loss", ("auto", *losses.LOSSES)),
            ("optimizer", OPTIMIZERS),
        ):
            if (given := getattr(self, name)) not in known:
                raise UserError(f"--{name} {given}: there are {shortlist(known)}")
        if any(width < 1 for width in self.hidden):
            raise UserError(f"--hidden {self.hidden}: each width must be at least 1")


@struct.dataclass
class HParams:
    """What every run may have its own value of."""

    learning_rate: float = field(1e-3, "step size", low=0, log=True)
    weight_decay: float = field(0.0, "decoupled decay of the kernels (AdamW)", low=0, log=True)
    momentum: float = field(0.9, "of SGD; beta1 of Adam", low=0, high=1)
    beta2: float = field(0.999, "of Adam", low=0, high=1)


class State(NamedTuple):
    """What a run carries.

    Attributes:
      params: of the MLP, float32.
      opt_state: of the optimizer.
      order: uint32 [ROUNDS], the order of the examples in this epoch.
    """

    params: Any
    opt_state: Any
    order: jax.Array


def make_optimizer(config: Config, hparams: HParams) -> optax.GradientTransformation:
    """What `config.optimizer` names, with the run's own hyper-parameters."""
    rate, decay = hparams.learning_rate, hparams.weight_decay
    if config.optimizer == "sgd":
        return sgd(rate, decay, hparams.momentum)
    return adamw(rate, decay, hparams.momentum, hparams.beta2)


def init(config: Config, shared: Dataset, hparams: HParams, key: jax.Array) -> State:
    """A run before its first step."""
    model_key, order_key = jax.random.split(key)
    params = _model(config, shared).init(model_key, shared.train.x[:1])["params"]
    opt_state = make_optimizer(config, hparams).init(params)
    return State(params, opt_state, draw_order(order_key))


def step(
    config: Config, shared: Dataset, hparams: HParams, state: State, key: jax.Array, t: jax.Array
) -> tuple[State, Metrics]:
    """One update on the next minibatch of the run's own order of the training rows."""
    order, batch = next_batch(config, shared.train, state.order, key, t)
    model, loss = _model(config, shared), losses.LOSSES[config.loss]

    def loss_fn(params):
        return loss(model.apply({"params": params}, batch.x), batch.y)

    value, grads = jax.value_and_grad(loss_fn)(state.params)
    optimizer = make_optimizer(config, hparams)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return State(params, opt_state, order), {"loss": value}


def next_batch(
    config: Config, train: Split, order: jax.Array, key: jax.Array, t: jax.Array
) -> tuple[jax.Array, Split]:
    """The minibatch of step `t`, and the order of its epoch, drawn anew where one begins.

    An epoch is N // B steps; the N % B rows left over are other ones in every epoch.
    """
    n = train.x.shape[0]
    batch_in_epoch = t % (n // config.batch_size)
    order = jnp.where(batch_in_epoch == 0, draw_order(key), order)
    positions_B = batch_in_epoch * config.batch_size + jnp.arange(config.batch_size)
    rows_B = at_positions(order, positions_B, n)
    take = lambda leaf: jnp.asarray(leaf).at[rows_B].get(mode="promise_in_bounds")
    return order, Split(take(train.x), take(train.y))


def evaluate(
    config: Config, shared: Dataset, hparams: HParams, state: State, key: jax.Array
) -> Metrics:
    """Loss and score on the validation and the test rows."""
    del hparams, key
    model, loss = _model(config, shared), losses.LOSSES[config.loss]
    metrics = {}
    for part in ("validation", "test"):
        split = getattr(shared, part)
        outputs_NxK: Any = model.apply({"params": state.params}, split.x)
        metrics[f"{part}_loss"] = loss(outputs_NxK, split.y)
        if config.loss in losses.CLASSIFICATION:
            metrics[f"{part}_accuracy"] = losses.accuracy(outputs_NxK, split.y)
        else:
            error = jnp.sqrt(losses.squared_error(outputs_NxK, split.y))
            metrics[f"{part}_rmse"] = error * shared.target_scale
            metrics[f"{part}_r2"] = losses.r2(outputs_NxK, split.y)
    return metrics


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
      UserError: for unknown or unusable data, a loss of the other kind, or a batch larger than
        the training part.
    """
    dataset, facts = load_dataset(config.data, config.target, config.split_seed)
    fitting = losses.CLASSIFICATION if dataset.classes else losses.REGRESSION
    if config.loss == "auto":
        config = dataclasses.replace(config, loss=next(iter(fitting)))
    if config.loss not in fitting:
        kind = "classes" if dataset.classes else "numbers"
        raise UserError(
            f"--loss {config.loss}: the target of {config.data} is {kind}; use {shortlist(fitting)}"
        )
    rows = len(dataset.train.x)
    if config.batch_size > rows:
        raise UserError(
            f"--batch-size {config.batch_size}: {config.data} has {rows} rows to train on"
        )
    return Problem(make_task(config), dataset, facts)


def _model(config: Config, shared: Dataset) -> MLP:
    outputs = shared.classes if shared.classes > 2 else 1
    return MLP(config.hidden, outputs, config.activation)
