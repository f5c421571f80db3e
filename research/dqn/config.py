"""What a DQN can be told: a static config, and hyper-parameters that each run has its own of."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import struct

from research.dqn.environments import PROTOCOLS
from research.dqn.networks import TORSOS
from research.dqn.targets import LOSSES
from research.errors import UserError, shortlist
from research.limits import fit_fields
from research.matmul import PRECISION_HELP, PRECISIONS
from research.task import Requirement, field, off_field

CHOICES = {
    "protocol": PROTOCOLS,
    "torso": TORSOS,
    "replay": ("uniform", "prioritized"),
    "values": ("mean", "categorical", "quantile"),
    "loss": tuple(LOSSES),
    "compute": PRECISIONS,
}
ENV_HELP = "a gymnax environment with discrete actions, such as CartPole-v1 or Breakout-MinAtar"
PROTOCOL_HELP = (
    "gymnax, or for MinAtar original: sticky actions, all six actions, no short time limit"
)
TORSO_HELP = "auto (by the observation), mlp, flat (flattens) or conv (16 filters of 3x3)"

LENGTH_HELP = "steps that a random action is repeated for, on average (Dabney et al., 2021)"
SCALE_HELP = "whether numbers of an observation that have bounds are brought to -1..1"


@dataclasses.dataclass(frozen=True)
class Config:
    """What is compiled into the program. Every interval is in environment steps, of all
    `num_envs` environments of a run together."""

    env: str = field("CartPole-v1", ENV_HELP)
    protocol: str = field("gymnax", PROTOCOL_HELP)
    env_steps: int = field(100_000, "environment steps a run", low=1)
    num_envs: int = field(10, "environments a run steps together", low=1)
    train_every: int = field(10, "environment steps between updates", low=1)
    learning_starts: int = field(
        1_000, "environment steps with random actions before the first update", low=1
    )
    buffer_size: int = field(10_000, "transitions that the replay holds", low=1)
    batch_size: int = field(64, "transitions an update", low=1)
    target_update_every: int = field(
        500, "environment steps between moves of the target network", low=1
    )
    torso: str = field("auto", TORSO_HELP)
    hidden: tuple[int, ...] = field((64, 64), "widths of the hidden layers, such as 64x64")
    scale_observations: bool = field(False, SCALE_HELP)
    layer_norm: bool = field(False, "whether hidden layers are normalized")
    dueling: bool = field(False, "value and advantages apart (Wang et al., 2016)")
    double: bool = field(False, "double Q-learning (van Hasselt et al., 2016)")
    munchausen: bool = field(False, "a bonus for a likely action (Vieillard et al., 2020)")
    n_step: int = field(10, "steps of reward before the bootstrap", low=1)
    replay: str = field("uniform", "uniform, or prioritized (Schaul et al., 2016)")
    values: str = field(
        "mean", "of returns: mean, or their distribution: categorical (C51), quantile (QR-DQN)"
    )
    atoms: int = field(51, "of a categorical or quantile distribution", low=2)
    loss: str = field("squared", "squared or huber; of mean values")
    compute: str = field("float32", PRECISION_HELP)
    eval_episodes: int = field(10, "episodes an evaluation", low=1)
    off: tuple[str, ...] = off_field()

    def __post_init__(self):
        fit_fields(self)
        check_choices(self)
        check_hidden(self.hidden, self.dueling)
        self._check_combination()

    def _check_combination(self):
        if self.munchausen and self.values == "categorical":
            raise UserError(
                "--munchausen True: it shifts every return by its own amount, which fixed atoms "
                "cannot follow; use --values mean or quantile"
            )
        if self.munchausen and self.double:
            raise UserError(
                "--munchausen True --double True: there is no best action to choose in a soft "
                "maximum; use one of them"
            )
        if self.munchausen and self.n_step > 1:
            raise UserError(
                f"--munchausen True --n-step {self.n_step}: its bonus is defined for one step"
            )
        if self.values != "mean" and self.loss != "squared":
            raise UserError(
                f"--loss {self.loss} --values {self.values}: distributions have a loss of their own"
            )

    @property
    def rows_per_step(self) -> int:
        """How often all environments are stepped before an update."""
        return self.train_every // self.num_envs

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
    """What every run may have its own value of."""

    learning_rate: float = field(1e-3, "step size of Adam", low=0, log=True)
    learning_rate_end: float = field(
        0.0, "of learning-rate, how much is left of it at the end; it falls evenly", low=0, high=1
    )
    adam_eps: float = field(1e-8, "added to the denominator of Adam", above=0, log=True)
    max_grad_norm: float = field(
        10.0, "global norm that the gradient is clipped to; 0: never", low=0, zero_is_off=True
    )
    gamma: float = field(0.99, "discount a step", low=0, high=1)
    epsilon_start: float = field(1.0, "probability of a random action at first", low=0, high=1)
    epsilon_end: float = field(0.05, "and later", low=0, high=1)
    exploration_length: float = field(1.0, LENGTH_HELP, low=1)
    epsilon_fraction: float = field(0.3, "of env-steps, until it is epsilon-end", low=0, high=1)
    tau: float = field(
        1.0, "how far the target network moves: 1 copies (hard), less averages (Polyak)",
        above=0, high=1,
    )  # fmt: skip
    priority_exponent: float = field(0.6, "alpha of prioritized replay", low=0)
    importance_exponent: float = field(
        0.4, "beta of prioritized replay at first; it rises to 1 at the end", low=0, high=1
    )
    value_min: float = field(-10.0, "the lowest atom of C51")
    value_max: float = field(10.0, "the highest atom of C51")
    munchausen_scale: float = field(0.9, "alpha of Munchausen", low=0, high=1)
    munchausen_temperature: float = field(0.03, "of its softmax policy", low=1e-6)
    eval_epsilon: float = field(0.001, "random actions in evaluation", low=0, high=1)


def requirements(config: Config, hparams: HParams) -> Sequence[Requirement]:
    """What must hold between the hyper-parameters of a run: of C51, that its atoms differ.

    Args:
      config: says which of them are used.
      hparams: with float32 scalars, or columns [R].
    """
    if config.values != "categorical":
        return ()
    low, high = np.float32(hparams.value_min), np.float32(hparams.value_max)
    with np.errstate(over="ignore"):
        spacing = (high - low) / np.float32(config.atoms - 1)
    apart = (spacing > 0) & np.isfinite(spacing) & (low + spacing > low) & (high - spacing < high)
    reason = (
        f"--value-min must lie below --value-max, so far that {config.atoms} atoms between them "
        "are different float32 numbers"
    )
    return (Requirement(("value_min", "value_max"), apart, reason),)


def check_choices(config: Any) -> None:
    """Every field that is a word is one of those there are.

    Raises:
      UserError: if not.
    """
    for name, known in CHOICES.items():
        if (given := getattr(config, name, known[0])) not in known:
            raise UserError(f"--{name} {given}: there are {shortlist(known)}")


def check_hidden(hidden: tuple[int, ...], dueling: bool = False) -> None:
    """Widths are positive, and dueling streams have a layer.

    Raises:
      UserError: if not.
    """
    if any(width < 1 for width in hidden):
        raise UserError(f"--hidden {'x'.join(map(str, hidden))}: each width must be at least 1")
    if dueling and not hidden:
        raise UserError("--dueling True --hidden none: its two streams need a hidden layer")


def check_intervals(config: Config) -> None:
    """Every interval is a whole number of updates, and the buffer holds what is asked of it.

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


def check_divides(flag: str, value: int, by_flag: str, by: int) -> None:
    """`value` is a multiple of `by`.

    Raises:
      UserError: naming both flags, and the nearest value that is.
    """
    if value % by:
        near = max(by, round(value / by) * by)
        raise UserError(f"--{flag} {value}: must be a multiple of --{by_flag} {by}, such as {near}")
