"""Lets a trained language model write text, token by token.

    scripts/sample RUN                          the best run of the folder
    scripts/sample RUN --run 3 --prompt "The "  a chosen one continues a text

The same seed writes the same text. The last texts are kept in RUN/evaluation/samples.json.
"""

import dataclasses
from typing import Annotated

import tyro

from research.cli.tool import run_tool
from research.console import print_line, print_text
from research.effects import flag_field
from research.limits import as_int, as_seed
from research.lm.samples import keep_sample
from research.lm.sampling import SamplingRule
from research.lm.text import UNKNOWN
from research.lm.tools.trained import restore
from research.parsing import Unbounded
from research.report.one_run import OneRun, best_runs
from research.report.read import RunFolderData, read_run_of
from research.task import OnlyWith

USUAL_TOKENS = 20_000
DRAWN = OnlyWith(("temperature",), lambda temperature: temperature > 0, "--temperature above 0")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which model writes, how much, and how its tokens are drawn."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder of lstm_lm.py")
    ]
    run: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="number of the run; the best if not given")
    ] = None
    prompt: Annotated[str, tyro.conf.arg(help="text to continue; a new line if empty")] = ""
    tokens: Annotated[int, tyro.conf.arg(help="how many tokens to write")] = flag_field(
        400, usual=USUAL_TOKENS
    )
    temperature: Annotated[
        float, tyro.conf.arg(help="of the softmax; 0: always the likeliest token")
    ] = 0.8
    top_k: Annotated[int, tyro.conf.arg(help="draw from the K likeliest tokens; 0: from all")] = (
        flag_field(0, only_with=DRAWN)
    )
    top_p: Annotated[
        float, tyro.conf.arg(help="draw from the fewest tokens that have this probability together")
    ] = flag_field(1.0, only_with=DRAWN)
    seed: Annotated[int, tyro.conf.arg(help="seed of the draws")] = flag_field(0, only_with=DRAWN)
    unknown: Annotated[
        bool,
        tyro.conf.arg(help=f"let a model of words write {UNKNOWN}, for words it does not know"),
    ] = False
    unbounded: Unbounded = False


def main(arguments: Arguments) -> str:
    """Prints the text while it is written, and returns it: one by the best model of each corpus, if
    there are several and no run is named."""
    as_int("--tokens", arguments.tokens, low=1)
    as_seed("--seed", arguments.seed)
    choice = SamplingRule(arguments.temperature, arguments.top_k, arguments.top_p)
    choice.check()
    data = read_run_of(arguments.folder, "lm", "lstm_lm")
    runs = best_runs(data, arguments.run)
    return "\n".join(_write(data, run, arguments, choice) for run in runs)


def _write(data: RunFolderData, run: OneRun, arguments: Arguments, choice: SamplingRule) -> str:
    model = restore(data, run)
    written = model.write(
        arguments.prompt, arguments.tokens, choice, arguments.seed, arguments.unknown
    )
    score = f"{data.manifest['key_metric']} {run.score:.4g}"
    print_line(f"run {run.number}, seed {run.seed}: {score}")
    print_text("")
    text = ""
    for piece in written:
        print_text(piece, end="")
        text += piece
    print_text("")
    given = {
        name: value
        for name, value in vars(arguments).items()
        if name not in ("folder", "unbounded")
    }
    keep_sample(data.path, given | {"run": run.number, "of_seed": run.seed, "text": text})
    return text


def run(argv: list[str] | None = None, prog: str = "scripts/sample") -> None:
    """Parses the command line and lets the model that it names write."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
