"""Trains small networks on y = sin(x): every seed under every setting, in one program.

    scripts/run experiments/sine.py
    scripts/run experiments/sine.py --learning-rate 1e-3 1e-2 --hidden 16 64 --seeds 32

What is given as a list is swept: hyper-parameters inside one program, fields of the config with a
program for each value.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import struct

from research.cli.arguments import arguments_type, make_experiment, preset_arguments
from research.cli.command_line import run_main
from research.cli.train_and_show import train_and_show
from research.optimizer import adam
from research.task import Problem, Task, bind, field


@dataclasses.dataclass(frozen=True)
class Config:
    """What is fixed when a program is compiled."""

    hidden: int = field(16, "width of the hidden layer", low=1)
    batch_size: int = field(32, "examples of an update", low=1)


@struct.dataclass
class HParams:
    """Numbers that may differ from run to run in one program."""

    learning_rate: float = field(0.01, "of Adam", above=0, log=True)


class Data(NamedTuple):
    """What all runs share: x and y, float32 [N, 1]."""

    x: Any
    y: Any


class State(NamedTuple):
    """What a run carries from step to step. The engine looks for `params` by name."""

    params: Any
    opt_state: Any


class Network(nn.Module):
    """One hidden layer: [N, 1] -> [N, 1]."""

    hidden: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(1)(nn.tanh(nn.Dense(self.hidden)(x)))


def init(config: Config, data: Data, hparams: HParams, key: jax.Array) -> State:
    """Returns the state of a run before its first step."""
    params = Network(config.hidden).init(key, data.x[:1])
    return State(params, optimizer(hparams).init(params))


def step(config: Config, data: Data, hparams: HParams, state: State, key: jax.Array, t: Any) -> Any:
    """One update on a random batch: the new state, and metrics to log."""
    del t
    rows = jax.random.randint(key, (config.batch_size,), 0, len(data.x))
    batch = Data(data.x[rows], data.y[rows])
    loss, grads = jax.value_and_grad(partial(error, config))(state.params, batch)
    updates, opt_state = optimizer(hparams).update(grads, state.opt_state)
    return State(optax.apply_updates(state.params, updates), opt_state), {"loss": loss}


def optimizer(hparams: HParams) -> optax.GradientTransformation:
    """Adam, made anew in every step: a learning rate is a traced number, as in optax itself."""
    return adam(hparams.learning_rate, eps=1e-8, max_grad_norm=None)


def evaluate(config: Config, data: Data, hparams: HParams, state: State, key: jax.Array) -> Any:
    """Metrics of a run at the steps that `--eval-every` names."""
    del hparams, key
    return {"error": error(config, state.params, data)}


def error(config: Config, params: Any, data: Data) -> jax.Array:
    """The mean squared error of a network."""
    found = Network(config.hidden).apply(params, data.x)
    return jnp.mean(jnp.square(jnp.asarray(found) - data.y))


def make_problem(config: Config) -> Problem:
    """Returns the task, and the data that its runs share."""
    x = np.linspace(-3, 3, 256, dtype=np.float32)[:, None]
    parts = (bind(part, config) for part in (init, step, evaluate))
    return Problem(Task(*parts, key_metric="error"), Data(x, np.sin(x)))


def main(args: Any) -> Path | None:
    """Trains, prints the result table, draws the learning curve and returns the run folder."""
    experiment = make_experiment("sine", make_problem, Config(), HParams(), args)
    return train_and_show(experiment, args)


Arguments: Any = arguments_type(Config(), HParams())
RECIPES = {"default": preset_arguments(Arguments, Config(), HParams(), seeds=("16",), steps=1000)}

if __name__ == "__main__":
    run_main(main, RECIPES, __doc__ or "")
