"""Trains LSTM language models on a text: every seed under every setting, in one program.

    scripts/run experiments/lstm_lm.py

trains four of them to predict the next character of the language reference that comes with Python,
and lets the best one write; `scripts/sample RUN` lets it continue. About 50 s on 2 cores of an
Intel Xeon (40 s of it training), with a median of 2.02 bits per character on the validation part.
Every flag below that is shown with dots takes a list; hyper-parameters are swept inside one
program, config fields get one program each.

    scripts/run experiments/lstm_lm.py --corpus novel.txt --learning-rate 1e-3 2e-3 4e-3
    scripts/run experiments/lstm_lm.py --preset ptb-small --corpus FOLDER --seeds 3
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from research.cli.arguments import arguments_type, make_experiment, preset_arguments
from research.cli.command_line import run_main
from research.cli.train_and_show import FinishingTouch, train_and_show
from research.effects import flag_field
from research.errors import UserError
from research.limits import as_int
from research.lm import PRESETS, make_problem
from research.lm.flag_groups import FLAG_GROUPS
from research.lm.tools import sample

_DEFAULT = PRESETS["topics"]


@dataclasses.dataclass(frozen=True)
class SampleFlags:
    """What is written in the end."""

    sample: Annotated[int, tyro.conf.arg(help="tokens that the best model writes; or 0")] = (
        flag_field(300, usual=sample.USUAL_TOKENS)
    )


Arguments: Any = arguments_type(*_DEFAULT, more=SampleFlags, groups=FLAG_GROUPS)


def arguments(preset: str, **changes: Any) -> Any:
    """The arguments of a preset, with changes: `arguments("topics", seeds=("8",))`."""
    return preset_arguments(Arguments, *PRESETS[preset], **changes)


RECIPES = {name: arguments(name, seeds=("4",)) for name in PRESETS}


def main(args: Any) -> Path | None:
    """Trains, prints the result table, draws the learning curve, lets the best model write and
    returns the run folder; None if the sweep has not finished."""
    if as_int("--sample", args.sample) < 0:
        raise UserError(f"--sample {args.sample}: must be at least 0, which writes nothing")
    experiment = make_experiment("lstm_lm", make_problem, *_DEFAULT, args)
    text = FinishingTouch(
        "a text that its best model writes",
        lambda _: ["evaluation/samples.json"],
        lambda folder: sample.main(sample.Arguments(str(folder), tokens=args.sample)),
    )
    return train_and_show(experiment, args, *([text] if args.sample else []))


if __name__ == "__main__":
    run_main(main, RECIPES, __doc__ or "")
