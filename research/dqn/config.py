"""Config and hyper-parameters of a DQN."""

import dataclasses
from collections.abc import Sequence

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
    schedules_end_early,
)
from research.dqn.replay import SAMPLERS
from research.dqn.targets import LOSSES
from research.dqn.values import VALUES
from research.errors import UserError
from research.limits import fit_fields
from research.task import OnlyWith, Requirement, field

DQN_CHOICES = CHOICES | {"replay": tuple(SAMPLERS), "values": tuple(VALUES), "loss": tuple(LOSSES)}


@dataclasses.dataclass(frozen=True)
class ReplayPart:
    """How much is stored, and how often the networks learn from it."""

    learning_starts: int = field(
        1_000, "environment steps with random actions before the first update", low=1
    )
    buffer_size: int = field(10_000, "transitions that the replay holds", low=1)
    batch_size: int = field(64, "transitions of an update", low=1)
    target_update_every: int = field(
        500, "environment steps between moves of the target network", low=1
    )


@dataclasses.dataclass(frozen=True)
class LearningPart:
    """What is learned of returns, and from which transitions."""

    dueling: bool = field(False, "value and advantages apart (Wang et al., 2016)")
    double: bool = field(False, "double Q-learning (van Hasselt et al., 2016)")
    munchausen: bool = field(False, "a bonus for a likely action (Vieillard et al., 2020)")
    n_step: int = field(10, "steps of reward before the bootstrap", low=1, usual=256)
    replay: str = field("uniform", "uniform, or prioritized (Schaul et al., 2016)")
    values: str = field(
        "mean", "mean returns, or their distribution: categorical (C51), quantile (QR-DQN) or iqn"
    )
    atoms: int = field(
        51, "atoms, or quantiles, of the distribution of returns of an action", low=2,
        only_with=OnlyWith(("values",), lambda kind: kind != "mean", "--values other than mean"),
    )  # fmt: skip
    loss: str = field("squared", "squared or huber, with --values mean")


@dataclasses.dataclass(frozen=True)
class Config(EvaluationPart, LearningPart, NetworkPart, ReplayPart, EnvironmentPart):
    """What is compiled into the program of a DQN. Every interval is in environment steps, of all
    `num_envs` environments of a run together."""

    def __post_init__(self):
        fit_fields(self)
        check_choices(self, DQN_CHOICES)
        check_hidden(self.hidden, self.dueling)
        VALUES[self.values].check(self)
        self._check_munchausen()

    def _check_munchausen(self):
        if self.munchausen and self.double:
            raise UserError(
                "--munchausen True --double True: there is no best action to choose in a soft "
                "maximum; use one of them"
            )
        if self.munchausen and self.n_step > 1:
            raise UserError(
                f"--munchausen True --n-step {self.n_step}: its bonus is defined for one step"
            )

    @property
    def warmup_rows(self) -> int:
        """How often all environments are stepped before the first update."""
        return self.learning_starts // self.num_envs

    @property
    def updates(self) -> int:
        """How many updates there are in `env_steps`."""
        return (self.env_steps - self.learning_starts) // self.train_every


@struct.dataclass
class HParams:
    """The hyper-parameters of a DQN: every run has its own value of each."""

    learning_rate: float = field(1e-3, "step size of Adam", low=0, log=True)
    learning_rate_end: float = field(
        0.0, "share of learning-rate that is left at the end of its linear decay", low=0, high=1
    )
    adam_eps: float = field(1e-8, "added to the denominator of Adam", above=0, log=True)
    max_grad_norm: float = field(
        10.0, "global norm that gradients are clipped to; 0: no clipping", low=0, zero_is_off=True
    )
    gamma: float = field(0.99, "discount of one step", low=0, high=1)
    epsilon_start: float = field(
        1.0, "probability of a random action at the beginning", low=0, high=1
    )
    epsilon_end: float = field(
        0.05, "probability of a random action after its linear decay", low=0, high=1
    )
    exploration_length: float = field(1.0, LENGTH_HELP, low=1)
    epsilon_fraction: float = field(
        0.3, "share of env-steps that the decay of epsilon takes", low=0, high=1,
        only_with=BY_FRACTION,
    )  # fmt: skip
    epsilon_steps: float = field(0.0, EPSILON_STEPS_HELP, low=0)
    tau: float = field(
        1.0, "how far the target network moves: 1 copies (hard), less averages (Polyak)",
        above=0, high=1,
    )  # fmt: skip
    priority_exponent: float = field(0.6, "alpha of prioritized replay", low=0)
    importance_exponent: float = field(
        0.4, "beta of prioritized replay at the beginning; it rises to 1", low=0, high=1
    )
    value_min: float = field(-10.0, "the lowest atom of C51")
    value_max: float = field(10.0, "the highest atom of C51")
    munchausen_scale: float = field(0.9, "alpha of Munchausen", low=0, high=1)
    munchausen_temperature: float = field(
        0.03, "temperature of the softmax policy of Munchausen", low=1e-6
    )
    eval_epsilon: float = field(
        0.001, "probability of a random action in evaluation", low=0, high=1
    )


def requirements(config: Config, hparams: HParams) -> Sequence[Requirement]:
    """The conditions on several hyper-parameters of a run; see `Task.requirements`."""
    return VALUES[config.values].requirements(config, hparams)


def extends(config: Config, hparams: HParams) -> Sequence[Requirement]:
    """The conditions under which a longer run begins as this one; see `Task.extends`."""
    conditions = schedules_end_early(hparams)
    if config.replay == "prioritized":
        holds = hparams.importance_exponent == 1
        conditions.append(Requirement(("importance_exponent",), holds, "it rises until the end"))
    return conditions


def check_intervals(config: Config) -> None:
    """Checks that every interval is a whole number of updates, and that the buffer holds a batch.

    Refused, not rounded: an interval that silently becomes another is another experiment.

    Raises:
      UserError: naming the flag, and the nearest value that fits.
    """
    check_divides("train-every", config.train_every, "num-envs", config.num_envs)
    for name in ("learning_starts", "buffer_size", "target_update_every", "env_steps"):
        flag, value = name.replace("_", "-"), getattr(config, name)
        check_divides(flag, value, "train-every", config.train_every)
    size = config.buffer_size
    if size < config.batch_size:
        raise UserError(
            f"--buffer-size {size}: it holds less than one batch; --batch-size is "
            f"{config.batch_size}"
        )
    rows, least = size // config.num_envs, config.n_step + config.rows_per_step
    if rows <= least:
        raise UserError(
            f"--buffer-size {size}: {config.num_envs} environments fill it in {rows} steps, and "
            f"--n-step {config.n_step} needs more than {least}"
        )
    if config.warmup_rows <= config.n_step:
        raise UserError(
            f"--learning-starts {config.learning_starts}: there must be a transition to learn "
            f"from by then; give more than {config.n_step * config.num_envs}"
        )
    if config.updates < 1:
        raise UserError(
            f"--env-steps {config.env_steps}: none is left to learn from after --learning-starts "
            f"{config.learning_starts}"
        )
