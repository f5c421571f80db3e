"""Config and hyper-parameters of PQN."""

import dataclasses
import math

from flax import struct

from research.dqn.agent_config import (
    BY_FRACTION,
    CHOICES,
    EPSILON_STEPS_HELP,
    LENGTH_HELP,
    EnvironmentPart,
    EvaluationPart,
    NetworkPart,
    check_choices,
    check_divides,
    check_hidden,
)
from research.errors import UserError
from research.limits import fit_fields
from research.task import field


@dataclasses.dataclass(frozen=True)
class RoundsPart:
    """The updates that follow every round of environment steps."""

    epochs: int = field(4, "passes over the environment steps of a round", low=1, usual=1_000)
    minibatches: int = field(8, "updates of an epoch", low=1)


@dataclasses.dataclass(frozen=True)
class PQNConfig(EvaluationPart, NetworkPart, RoundsPart, EnvironmentPart):
    """What is compiled into the program of PQN. Intervals are in environment steps, of all
    `num_envs` environments of a run together."""

    env_steps: int = field(300_032, "environment steps of a run", low=1, length=True)
    num_envs: int = field(32, "environments that a run steps together", low=1)
    train_every: int = field(1024, "environment steps between rounds of updates", low=1)
    hidden: tuple[int, ...] = field((128, 128), "widths of the hidden layers, such as 128x128")
    layer_norm: bool = field(True, "normalize hidden layers")

    def __post_init__(self):
        fit_fields(self)
        check_choices(self, CHOICES)
        check_hidden(self.hidden)

    @property
    def rounds(self) -> int:
        """How many rounds of updates there are in `env_steps`."""
        return self.env_steps // self.train_every


@struct.dataclass
class PQNHParams:
    """The hyper-parameters of PQN: every run has its own value of each."""

    learning_rate: float = field(3e-3, "step size of RAdam", low=0, log=True)
    learning_rate_end: float = field(
        0.0, "share of learning-rate that is left at the end of its linear decay", low=0, high=1
    )
    max_grad_norm: float = field(
        10.0, "global norm that gradients are clipped to; 0: no clipping", low=0, zero_is_off=True
    )
    gamma: float = field(0.99, "discount of one step", low=0, high=1)
    trace_lambda: float = field(
        0.65, "lambda of the returns: 0 bootstraps after one step, 1 never", low=0, high=1
    )
    epsilon_start: float = field(
        1.0, "probability of a random action at the beginning", low=0, high=1
    )
    epsilon_end: float = field(
        0.05, "probability of a random action after its linear decay", low=0, high=1
    )
    exploration_length: float = field(1.0, LENGTH_HELP, low=1)
    epsilon_fraction: float = field(
        0.2, "share of env-steps that the decay of epsilon takes", low=0, high=1,
        only_with=BY_FRACTION,
    )  # fmt: skip
    epsilon_steps: float = field(0.0, EPSILON_STEPS_HELP, low=0)
    eval_epsilon: float = field(
        0.001, "probability of a random action in evaluation", low=0, high=1
    )


def check_rounds(config: PQNConfig) -> None:
    """Checks that environment steps divide into rounds, and a round into minibatches.

    Raises:
      UserError: naming the flag, and the nearest value that fits.
    """
    check_divides("train-every", config.train_every, "num-envs", config.num_envs)
    check_divides("train-every", config.train_every, "minibatches", config.minibatches)
    _check_budget(config)


def _check_budget(config: PQNConfig) -> None:
    """Checks that there is a whole number of rounds, and says how else the same budget, such as
    that of a DQN, can be given."""
    if config.env_steps % config.train_every:
        unit = math.lcm(config.num_envs, config.minibatches)
        able = [size for size in range(unit, config.env_steps + 1, unit)
                if not config.env_steps % size]  # fmt: skip
        near = min(able, key=lambda size: abs(size - config.train_every), default=None)
        other = f", or give --train-every {near}" if near else ""
        try:
            check_divides("env-steps", config.env_steps, "train-every", config.train_every)
        except UserError as error:
            raise UserError(f"{error}{other}") from None
