"""Trains MLPs on a table or on images: every seed under every setting, in one program.

    scripts/run experiments/mlp.py

trains 128 of them (32 seeds x 4 learning rates) on scikit-learn's digits: about 25 s on 2 cores
of an Intel Xeon (6 s of it training), with a median test accuracy of 0.975 at a rate of 0.003; then
prints all metrics of the best setting, alone and as an ensemble.
Every flag below that is shown with dots takes a list; hyper-parameters are swept inside one
program, config fields get one program each.

    scripts/run experiments/mlp.py --learning-rate 1e-3 1e-2 --hidden 64 128x128 --seeds 64
    scripts/run experiments/mlp.py --data table.csv --target price
    scripts/run experiments/mlp.py --preset article
"""

from pathlib import Path
from typing import Any

from research.cli.arguments import arguments_type, make_experiment, preset_arguments
from research.cli.command_line import run_main
from research.cli.train_and_show import FinishingTouch, train_and_show
from research.mlp import PRESETS, check_flags, make_problem
from research.mlp.flag_groups import FLAG_GROUPS
from research.mlp.tools import evaluate

_DEFAULT = PRESETS["digits"]
Arguments: Any = arguments_type(_DEFAULT.config, _DEFAULT.hparams, groups=FLAG_GROUPS)


def arguments(preset: str, **changes: Any) -> Any:
    """The arguments of a preset, with changes: `arguments("digits", seeds=("8",))`."""
    chosen = PRESETS[preset]
    changes = {"steps": chosen.steps} | changes
    return preset_arguments(Arguments, chosen.config, chosen.hparams, **changes)


RECIPES = {
    "digits": arguments("digits", learning_rate=(1e-3, 3e-3, 1e-2, 3e-2)),
    "article": arguments("article", learning_rate=(1e-3, 3e-3, 1e-2, 3e-2)),
}


EVALUATION = FinishingTouch(
    "the evaluation of its best setting",
    evaluate.files_of,
    lambda folder: evaluate.main(evaluate.Arguments(str(folder), settings="best")),
)


def main(args: Any) -> Path | None:
    """Trains, prints the result tables, draws the figures and returns the run folder; None if the
    sweep has not finished."""
    check_flags(args)
    experiment = make_experiment("mlp", make_problem, _DEFAULT.config, _DEFAULT.hparams, args)
    return train_and_show(experiment, args, EVALUATION)


if __name__ == "__main__":
    run_main(main, RECIPES, __doc__ or "")
