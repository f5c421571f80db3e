"""Trains DQNs on a gymnax environment: every seed under every setting, in one program.

    scripts/run experiments/dqn.py

trains 64 of them on CartPole-v1 for 100,000 environment steps each: a minute on 2 cores of an AMD
EPYC, half of it training; 63 of the 64 end with a return of 475 or more, which solves it. Every
flag below that is shown with dots takes a list; hyper-parameters are swept inside one program,
config fields get one program each. Intervals are in environment steps.

    scripts/run experiments/dqn.py --learning-rate 1e-4 1e-3 --double False True
    scripts/run experiments/dqn.py --preset mountaincar --exploration-length 1 20
    scripts/run experiments/dqn.py --preset minatar --env Breakout-MinAtar --seeds 30
    scripts/run experiments/dqn.py --env-param length=0.5,1.0 --seeds 32
"""

from pathlib import Path
from typing import Any

from research.cli.arguments import arguments_type, make_experiment, preset_arguments
from research.cli.command_line import run_main
from research.cli.train_and_show import train_and_show
from research.dqn import PRESETS, make_problem
from research.dqn.env_params import take_env_params, with_goal_in_reach
from research.dqn.flag_groups import DQN_FLAG_GROUPS, EnvParamFlags

_DEFAULT = PRESETS["cartpole"]
Arguments: Any = arguments_type(
    *_DEFAULT, unit="env steps", more=EnvParamFlags, groups=DQN_FLAG_GROUPS
)


def arguments(preset: str, **changes: Any) -> Any:
    """The arguments of a preset, with changes: `arguments("cartpole", seeds=("8",))`."""
    return preset_arguments(Arguments, *PRESETS[preset], **changes)


RECIPES = {name: arguments(name, seeds=("64",)) for name in PRESETS}


def main(args: Any) -> Path | None:
    """Trains, prints the result table, draws the learning curve and returns the run folder; None if
    the sweep has not finished."""
    args, hparams = take_env_params(args, _DEFAULT.hparams)
    make = with_goal_in_reach(make_problem, args)
    experiment = make_experiment("dqn", make, _DEFAULT.config, hparams, args, in_work=True)
    return train_and_show(experiment, args)


if __name__ == "__main__":
    run_main(main, RECIPES, __doc__ or "")
