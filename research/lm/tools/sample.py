"""Lets a trained language model write text, token by token.

    scripts/sample RUN                          the best run of the folder
    scripts/sample RUN --run 3 --prompt "The "  a chosen one continues a text
    scripts/sample RUN --prompt "The " "A cat"  one continues two, one after the other
    scripts/sample RUN --prompts FILE           ... or each line of a file

The same seed writes the same text after a prompt, whatever the others are. The last texts are kept
in RUN/evaluation/samples.json.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Annotated

import tyro

from research.cli.tool import run_tool
from research.console import print_line, print_text
from research.effects import flag_field
from research.errors import UserError
from research.limits import as_int, as_seed
from research.lm.by_line import read_lines
from research.lm.samples import keep_sample
from research.lm.sampling import SamplingRule
from research.lm.text import UNKNOWN
from research.lm.tools.trained import restore
from research.parsing import Unbounded, WhichParams
from research.plain_text import one_line, shortened
from research.report.one_run import OneRun, best_runs
from research.report.read import RunFolderData, read_run_of
from research.task import OnlyWith

USUAL_TOKENS = 20_000
NOT_KEPT = ("folder", "unbounded", "prompts")
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
    params: WhichParams = "last"
    prompt: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="TEXT...", help="text to continue, or several; a new line if empty"),
    ] = ("",)
    prompts: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE", help="a file with a text to continue in each line"),
    ] = None
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
    """Prints the text after each prompt while it is written, and returns what was written: by the
    best model of each corpus, if there are several and no run is named."""
    as_int("--tokens", arguments.tokens, low=1)
    as_seed("--seed", arguments.seed)
    choice = SamplingRule(arguments.temperature, arguments.top_k, arguments.top_p)
    choice.check()
    data = read_run_of(arguments.folder, "lm", "lstm_lm")._replace(params=arguments.params)
    runs, prompts = best_runs(data, arguments.run), given_prompts(arguments)
    return "\n".join(_write(data, run, prompts, arguments, choice) for run in runs)


def given_prompts(arguments: Arguments) -> Sequence[str]:
    """Returns the texts to continue: those of the command line, or the lines of a file.

    Raises:
      UserError: if there are none, or both are given.
    """
    prompts = [arguments.prompt] if isinstance(arguments.prompt, str) else arguments.prompt
    if arguments.prompts is None:
        if not prompts:
            raise UserError("--prompt: give a text; '' is the empty one")
        return prompts
    if tuple(prompts) != ("",):
        raise UserError(f"--prompt --prompts {arguments.prompts}: choose one")
    lines = [line for line in read_lines("--prompts", arguments.prompts) if line.strip()]
    if not lines:
        raise UserError(f"--prompts {arguments.prompts}: it has no line with a text")
    return lines


def _write(
    data: RunFolderData,
    run: OneRun,
    prompts: Sequence[str],
    arguments: Arguments,
    choice: SamplingRule,
) -> str:
    """Prints what a model writes after each prompt, keeps it, and returns it."""
    model, rest = restore(data, run), (choice, arguments.seed, arguments.unknown)
    written = [model.write(prompt, arguments.tokens, *rest) for prompt in prompts]
    print_line(f"run {run.number}, seed {run.seed}: {data.manifest['key_metric']} {run.score:.4g}")
    given = {name: value for name, value in vars(arguments).items() if name not in NOT_KEPT}
    texts = []
    for number, (prompt, pieces) in enumerate(zip(prompts, written, strict=True), 1):
        print_text("")
        if len(prompts) > 1:
            print_line(f"prompt {number} of {len(prompts)}: {shortened(one_line(prompt))}")
        texts.append(_print(pieces))
        who = {"run": run.number, "of_seed": run.seed}
        keep_sample(data.path, given | who | {"prompt": prompt, "text": texts[-1]})
    return "\n".join(texts)


def _print(pieces: Iterable[str]) -> str:
    """Prints a text as it grows, and returns it."""
    text = ""
    for piece in pieces:
        print_text(piece, end="")
        text += piece
    print_text("")
    return text


def run(argv: list[str] | None = None, prog: str = "scripts/sample") -> None:
    """Parses the command line and lets the model that it names write."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
