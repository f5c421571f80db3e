"""How the command lines of DQN and PQN group their flags; every flag of a workload is in one group.

The usual ones are the ten, `--preset` among them, that change first from sweep to sweep: what is
learned, by how many seeds, for how long and how fast; then where the runs are kept, and how many
train together. `--num-envs` is with them because it decides how fast a program of few runs is.
"""

import dataclasses
from typing import Annotated

import tyro

_USUAL = (
    "env", "seeds", "env_steps", "learning_rate", "num_envs", "name", "out", "resume", "parallel",
)  # fmt: skip
_EXPLORATION = (
    "epsilon_start", "epsilon_end", "epsilon_fraction", "epsilon_steps", "exploration_length",
)  # fmt: skip
_EVALUATION = ("eval_episodes", "eval_epsilon")

DQN_FLAG_GROUPS = {
    "usual": _USUAL,
    "environment": ("protocol", "env_param"),
    "network": ("torso", "hidden", "layer_norm", "dueling", "scale_observations", "compute"),
    "optimizer": (
        "batch_size", "train_every", "learning_rate_end", "adam_eps", "max_grad_norm", "loss",
    ),
    "exploration": (*_EXPLORATION, "learning_starts"),
    "replay": ("replay", "buffer_size", "priority_exponent", "importance_exponent"),
    "target": (
        "gamma", "n_step", "double", "target_update_every", "tau", "values", "atoms", "value_min",
        "value_max", "munchausen", "munchausen_scale", "munchausen_temperature",
    ),
    "evaluation": _EVALUATION,
}  # fmt: skip

PQN_FLAG_GROUPS = {
    "usual": _USUAL,
    "environment": ("protocol", "env_param"),
    "network": ("torso", "hidden", "layer_norm", "scale_observations", "compute"),
    "optimizer": ("train_every", "epochs", "minibatches", "learning_rate_end", "max_grad_norm"),
    "exploration": _EXPLORATION,
    "target": ("gamma", "trace_lambda"),
    "evaluation": _EVALUATION,
}


@dataclasses.dataclass(frozen=True)
class EnvParamFlags:
    """The flag `--env-param`, for parameters of the environment."""

    env_param: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="NAME=VALUE[,VALUE...]",
            help="an environment parameter; several values: a sweep",
        ),
    ] = ()
