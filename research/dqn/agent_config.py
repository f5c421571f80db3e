"""The parts that the configs of DQN and PQN share, and the checks of both.

A dataclass takes its fields from its last base to its first, and its own after them; a config lists
its parts in that order, so that flags, groups and random searches keep theirs.
"""

import dataclasses
from typing import Any

from research.dqn.environments import PROTOCOLS
from research.dqn.networks import TORSOS
from research.dqn.own_environments import code_in
from research.errors import UserError, shortlist
from research.matmul import PRECISION_HELP, PRECISIONS
from research.task import OnlyWith, Requirement, field, off_field

CHOICES = {"protocol": PROTOCOLS, "torso": TORSOS, "compute": PRECISIONS}
LENGTH_HELP = "steps that a random action is repeated for, on average (Dabney et al., 2021)"
EPSILON_STEPS_HELP = "environment steps that the decay of epsilon takes; 0: epsilon-fraction of all"
BY_FRACTION = OnlyWith(("epsilon_steps",), lambda steps: steps == 0, "--epsilon-steps 0")


@dataclasses.dataclass(frozen=True)
class EnvironmentPart:
    """Which environment a run plays, and how much of it. Steps are those of all `num_envs`
    environments of a run together."""

    env: str = field(
        "CartPole-v1",
        "a gymnax environment with discrete actions, such as Breakout-MinAtar, or your own: "
        "FILE.py:NAME or package.module:NAME",
        code_in=code_in,
    )
    protocol: str = field(
        "gymnax",
        "gymnax, or for MinAtar original: sticky actions, all six actions, no short time limit",
    )
    env_steps: int = field(100_000, "environment steps of a run", low=1, length=True)
    num_envs: int = field(10, "environments that a run steps together", low=1)
    train_every: int = field(10, "environment steps between updates", low=1)

    @property
    def rows_per_step(self) -> int:
        """How often all environments are stepped in one step of the task."""
        return self.train_every // self.num_envs


@dataclasses.dataclass(frozen=True)
class NetworkPart:
    """The layers of the Q-network."""

    torso: str = field(
        "auto", "auto (by the observation), mlp, flat (flattens) or conv (16 filters of 3x3)"
    )
    hidden: tuple[int, ...] = field((64, 64), "widths of the hidden layers, such as 64x64")
    scale_observations: bool = field(False, "scale the bounded numbers of an observation to -1..1")
    layer_norm: bool = field(False, "normalize hidden layers")


@dataclasses.dataclass(frozen=True)
class EvaluationPart:
    """The precision of all computation, and how a run is evaluated."""

    compute: str = field("float32", PRECISION_HELP)
    eval_episodes: int = field(10, "episodes of an evaluation", low=1)
    off: tuple[str, ...] = off_field()


def check_choices(config: Any, choices: dict[str, tuple[str, ...]]) -> None:
    """Checks that every field with named choices has one of them.

    Raises:
      UserError: if not.
    """
    for name, known in choices.items():
        if (given := getattr(config, name)) not in known:
            raise UserError(f"--{name} {given}: there are {shortlist(known)}")


def check_hidden(hidden: tuple[int, ...], dueling: bool = False) -> None:
    """Checks that widths are positive, and that dueling streams have a layer.

    Raises:
      UserError: if not.
    """
    if any(width < 1 for width in hidden):
        raise UserError(f"--hidden {'x'.join(map(str, hidden))}: each width must be at least 1")
    if dueling and not hidden:
        raise UserError("--dueling True --hidden none: its two streams need a hidden layer")


def check_divides(flag: str, value: int, by_flag: str, by: int) -> None:
    """Checks that `value` is a multiple of `by`.

    Raises:
      UserError: naming both flags, and the nearest value that is.
    """
    if value % by:
        near = max(by, round(value / by) * by)
        raise UserError(f"--{flag} {value}: must be a multiple of --{by_flag} {by}, such as {near}")


def schedules_end_early(hparams: Any) -> list[Requirement]:
    """Returns the conditions under which no schedule of DQN and PQN ends with the run."""
    fixed = (hparams.epsilon_steps > 0) | (hparams.epsilon_start == hparams.epsilon_end)
    return [
        Requirement(
            ("learning_rate_end",),
            hparams.learning_rate_end == 1,
            "the learning rate falls until the end of the run; --learning-rate-end 1 keeps it",
        ),
        Requirement(
            ("epsilon_fraction",),
            fixed,
            "it is a share of the whole run; --epsilon-steps does not depend on its length",
        ),
    ]
