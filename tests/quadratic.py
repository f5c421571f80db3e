"""The quadratic of Jaderberg et al. (2017, figure 2), for tests of schedulers.

The score is 1.2 - (theta_0^2 + theta_1^2), which is at most 1.2. A step follows the gradient of one
of the two terms, whichever the hyper-parameter says: no constant value of it comes beyond 0.4775,
and one that changes on the way reaches the optimum. In the paper theta begins at (0.9, 0.9); a
little off that, no two members have equal scores.
"""

import dataclasses
import io
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from rich.console import Console

from research.cli.terminal import TerminalObserver
from research.engine.cadence import Intervals
from research.runs.experiment import Experiment
from research.runs.opening import RunOptions
from research.runs.runner import run_experiment
from research.runs.search import Search
from research.task import Problem, Task, field

START = (0.9, 0.85)
ALONE = 1.2 - 0.85**2  # the best score of a constant value


@struct.dataclass
class HParams:
    which: int = field(0, "the term that is followed", low=0, high=1)
    rate: float = field(0.02, "of the gradient", low=0, log=True)
    fail_at: int = field(-1, "the step at which the loss is not a number")


class State(NamedTuple):
    params: Any  # {"theta": float32 [2]}
    draw: jax.Array  # float32 [], from the last step's key


def init(shared, hparams, key):
    del hparams
    return State({"theta": shared["start"]}, jax.random.uniform(key))


def step(shared, hparams, state, key, t):
    del shared
    theta = state.params["theta"]
    chosen = jnp.arange(2) == hparams.which
    draw = jax.random.uniform(key)
    theta = theta - hparams.rate * (1 + 0.1 * draw) * 2 * jnp.where(chosen, theta, 0)
    loss = jnp.where(t == hparams.fail_at, jnp.nan, jnp.sum(theta**2))
    return State({"theta": theta}, draw), {"loss": loss}


def evaluate(shared, hparams, state, key):
    del shared, hparams, key
    return {"score": 1.2 - jnp.sum(state.params["theta"] ** 2)}


TASK = Task(init, step, evaluate, key_metric="score", higher_is_better=True)


def problem() -> Problem:
    """The problem, which begins at `START`."""
    return Problem(TASK, {"start": jnp.float32(START)})


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def experiment(**changes: Any) -> Experiment:
    """A search over both hyper-parameters, with an evaluation every 5 of 40 steps."""
    default = Experiment(
        name="quadratic",
        make_problem=lambda config: problem(),
        config=Config(),
        hparams=HParams(),
        hparams_axes={"which": (0, 1), "rate": (0.003, 0.1)},
        seeds=(4, 5, 6),
        steps=40,
        intervals=Intervals(log_every=1, eval_every=5, chunk_every=5),
        search=Search(6),
    )
    return default._replace(**changes)


def train(experiment: Experiment, out: Path, name: str = "run", **options: Any) -> str:
    """Trains an experiment as a user would, into `out/name`, and returns what was printed.

    Args:
      experiment: to train.
      out, name: its run folder.
      options: the rest of `RunOptions`.
    """
    file = io.StringIO()
    observer = TerminalObserver(Console(file=file, width=200))
    run_experiment(experiment, RunOptions(str(out), name, **options), observer)
    return file.getvalue()
