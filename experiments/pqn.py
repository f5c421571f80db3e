"""Trains PQN, Q-learning without replay, on a gymnax environment: every seed under every setting.

    scripts/run experiments/pqn.py

Many environments a run, played together and learned from at once (Gallici et al., 2024). Flags are
as in `dqn.py`: each that is shown with dots takes a list; intervals are in environment steps.

    scripts/run experiments/pqn.py --learning-rate 1e-4 1e-3 --trace-lambda 0.5 0.9
    scripts/run experiments/pqn.py --preset minatar --env Asterix-MinAtar --seeds 30
"""

from pathlib import Path
from typing import Any

from research.cli.arguments import arguments_type, make_experiment, preset_arguments
from research.cli.command_line import run_main
from research.cli.train_and_show import train_and_show
from research.dqn import PQN_PRESETS, make_pqn_problem
from research.dqn.env_params import take_env_params, with_goal_in_reach
from research.dqn.flag_groups import PQN_FLAG_GROUPS, EnvParamFlags

_DEFAULT = PQN_PRESETS["cartpole"]
Arguments: Any = arguments_type(
    *_DEFAULT, unit="env steps", more=EnvParamFlags, groups=PQN_FLAG_GROUPS
)


def arguments(preset: str, **changes: Any) -> Any:
    """The arguments of a preset, with changes: `arguments("cartpole", seeds=("8",))`."""
    return preset_arguments(Arguments, *PQN_PRESETS[preset], **changes)


RECIPES = {name: arguments(name, seeds=("64",)) for name in PQN_PRESETS}


def main(args: Any) -> Path | None:
    """Trains, prints the result table, draws the learning curve and returns the run folder; None if
    the sweep has not finished."""
    args, hparams = take_env_params(args, _DEFAULT.hparams)
    make = with_goal_in_reach(make_pqn_problem, args)
    experiment = make_experiment("pqn", make, _DEFAULT.config, hparams, args, in_work=True)
    return train_and_show(experiment, args)


if __name__ == "__main__":
    run_main(main, RECIPES, __doc__ or "")
