"""Lets a trained language model write text, token by token.

    scripts/sample RUN                          the best run of the folder
    scripts/sample RUN --run 3 --prompt "The "  a chosen one continues a text
    scripts/sample RUN --prompt "The " "A cat"  one continues two, one after the other
    scripts/sample RUN --prompts FILE           ... or each line of a file

The same seed writes the same text after a prompt, whatever the others are. The last texts are kept
in RUN/evaluation/samples.json.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
import tyro

from research.cli.tool import run_tool
from research.console import print_line, print_text
from research.effects import flag_field
from research.errors import UserError
from research.limits import as_int, as_seed
from research.lm import PRESETS, Config
from research.lm.by_line import read_lines
from research.lm.corpora import plain_text
from research.lm.samples import keep_sample
from research.lm.sampling import SamplingRule, generate
from research.lm.task import make_model, param_shapes
from research.lm.text import UNKNOWN, Bytes, Tokenizer, Words, load_tokenizer
from research.parsing import Unbounded
from research.plain_text import one_line, shortened
from research.recorded import Recorded
from research.report.one_run import OneRun, one_run
from research.report.read import RunFolderData, read_run_of
from research.runs.experiment import restore_config
from research.runs.run_folder import load_file, load_params
from research.task import OnlyWith, make_key

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
    """Prints the text after each prompt while it is written, and returns what was written."""
    as_int("--tokens", arguments.tokens, low=1)
    seed = as_seed("--seed", arguments.seed)
    choice = SamplingRule(arguments.temperature, arguments.top_k, arguments.top_p)
    choice.check()
    data = read_run_of(arguments.folder, "lm", "lstm_lm")
    run = one_run(data, arguments.run)
    config, tokenizer = restore(data, run)
    params = load_params(data.path, run.number, param_shapes(config, len(tokenizer)))
    prompts = given_prompts(arguments)
    encoded = [read_prompt(tokenizer, prompt) for prompt in prompts]
    score = f"{data.manifest['key_metric']} {run.score:.4g}"
    print_line(f"run {run.number}, seed {run.seed}: {score}")
    model = make_model(config, len(tokenizer))
    if isinstance(tokenizer, Words) and not arguments.unknown:
        choice = choice._replace(never=_unknown_token(tokenizer))
    texts = []
    for number, (prompt, tokens) in enumerate(zip(prompts, encoded, strict=True), 1):
        print_text("")
        if len(prompts) > 1:
            print_line(f"prompt {number} of {len(prompts)}: {shortened(one_line(prompt))}")
        written = generate(model, params, tokens, make_key(seed), choice)
        text = write(tokenizer, tokens[1:], itertools.islice(written, arguments.tokens))
        given = {name: value for name, value in vars(arguments).items() if name not in NOT_KEPT}
        who = {"run": run.number, "of_seed": run.seed}
        keep_sample(data.path, given | who | {"prompt": prompt, "text": text})
        texts.append(text)
    return "\n".join(texts)


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


def restore(data: RunFolderData, run: OneRun) -> tuple[Config, Tokenizer]:
    """Returns the config and the tokenizer that a run was trained with.

    Raises:
      UserError: if either is damaged, or they do not fit together.
    """
    config = restore_config(run.config, PRESETS["topics"].config)
    dumped = load_file(data.path, run.group, "vocabulary", Recorded)
    try:
        tokenizer = load_tokenizer(dumped)
        if tokenizer.level != config.level:
            raise ValueError(f"level: should be {config.level}, not {tokenizer.level}")
    except ValueError as error:
        file = data.path / f"vocabulary-{run.group}.json"
        raise UserError(f"{file} is damaged: {error}") from None
    return config, tokenizer


def _unknown_token(tokenizer: Words) -> int | None:
    """Returns the token that stands for all unknown words; None where there is none."""
    symbols = list(tokenizer.symbols)
    return symbols.index(UNKNOWN) if UNKNOWN in symbols else None


def read_prompt(tokenizer: Tokenizer, prompt: str) -> np.ndarray:
    """Returns the start token and those of the prompt, which is read as the training text was.

    Raises:
      UserError: naming a symbol that the model does not know.
    """
    flag = f"--prompt {shortened(one_line(prompt))}"
    prompt = prompt if isinstance(tokenizer, Bytes) else plain_text(prompt)
    try:
        tokens = tokenizer.encode(prompt)
    except UserError as error:
        raise UserError(f"{flag}: {error}") from None
    if isinstance(tokenizer, Words):
        tokens = tokens[:-1]  # the line continues
        words = prompt.split()
        known = set(tokenizer.symbols)
        if strange := [word for word in words if word not in known and word != UNKNOWN]:
            raise UserError(f"{flag}: the model does not know the word {strange[0]!r}")
    return np.concatenate([[tokenizer.start], tokens])


def write(tokenizer: Tokenizer, prompt: np.ndarray, tokens: Iterable[int]) -> str:
    """Prints the text as it grows and returns it; a character may take several tokens."""
    made, shown = prompt.tolist(), ""
    for token in tokens:
        made.append(token)
        text = tokenizer.decode(made)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            print_text(text[len(shown) :], end="")
            shown = text
    text = tokenizer.decode(made)
    print_text(text[len(shown) :])
    return text


def run(argv: list[str] | None = None, prog: str = "scripts/sample") -> None:
    """Parses the command line and lets the model that it names write."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
