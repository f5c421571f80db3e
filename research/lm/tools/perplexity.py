"""Computes the perplexity of trained language models on a text: of each, and of their ensemble.

    scripts/perplexity RUN                         the test part of what they were trained on
    scripts/perplexity RUN --corpus other.txt      all of another text, in the words that they know
    scripts/perplexity RUN --dynamic rms           while they keep learning from it
    scripts/perplexity RUN --by-line FILE          each line of a file, by the best run

Every token is predicted once, from all tokens before it. An ensemble gives a token the mean of the
probabilities that the runs of a setting give it. Dynamic evaluation updates the params after every
window, once it has been predicted.

With `--by-line`, each line is a text of its own: the state is reset before it, unless
`--carry-state` is given. The CSV names the line, its tokens (with the end of the line), their
negative log-likelihood in nats, summed, the perplexity, exp of nll / tokens, and how many of the
tokens are words that the model does not know, which count as <unk>.
"""

import dataclasses
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.console import Console

from research.atomic import write_text
from research.cli.tool import run_tool
from research.console import print_line, print_table, print_text
from research.effects import flag_field
from research.errors import UserError
from research.flags import check_path, check_writable
from research.limits import as_float, as_int
from research.lm import Config
from research.lm.by_line import encode_lines, line_nlls, read_lines, unknown_tokens
from research.lm.corpora import is_one_file, load_corpus, read_text
from research.lm.data import Heldout, TextLayout, lay_out_heldout, lay_out_train
from research.lm.dynamic import Rule, dynamic_nlls, gradient_rms
from research.lm.evaluation import ensemble_nll, token_nlls
from research.lm.task import make_model, param_shapes
from research.lm.text import PER_CHARACTER, Tokenizer
from research.lm.tools.trained import restore, restore_parts
from research.parsing import WhichParams
from research.plain_text import one_line
from research.report.one_run import OneRun, one_run
from research.report.problems import by_problem
from research.report.read import RunFolderData, read_run_of
from research.report.settings import Setting
from research.report.statistics import iqm_interval
from research.runs.params import load_params
from research.task import OnlyWith

PARTS = "{train,validation,test}"
RULES = ("none", "sgd", "rms")
LEARNS = OnlyWith(("dynamic",), lambda rule: rule != "none", "--dynamic sgd or rms")
BY_LINE = OnlyWith(("by_line",), lambda path: path is not None, "--by-line")
WHOLE = OnlyWith(("by_line",), lambda path: path is None, "a whole text, not --by-line")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which models predict which text, and how."""

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a run folder of lstm_lm.py")
    ]
    params: WhichParams = "last"
    corpus: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE", help="another text than that of training: a file, a folder or a name"
        ),
    ] = None
    part: Annotated[
        str | None,
        tyro.conf.arg(
            metavar=PARTS, help="part of the data; if not given, test, or all of a --corpus FILE"
        ),
    ] = flag_field(None, only_with=WHOLE)
    by_line: Annotated[
        str | None,
        tyro.conf.arg(metavar="FILE", help="a file: a perplexity for each of its lines, as CSV"),
    ] = None
    carry_state: Annotated[
        bool, tyro.conf.arg(help="predict a line of --by-line from all lines before it, too")
    ] = flag_field(False, only_with=BY_LINE)
    run: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help="run of --by-line, by its number; the best if not given"),
    ] = flag_field(None, only_with=BY_LINE)
    out: Annotated[
        str | None, tyro.conf.arg(metavar="FILE", help="where the CSV of --by-line goes, if given")
    ] = flag_field(None, only_with=BY_LINE)
    window: Annotated[
        int, tyro.conf.arg(help="tokens read at once; an update of --dynamic each")
    ] = 20
    streams: Annotated[int, tyro.conf.arg(help="pieces of text read side by side; 1: exact")] = 1
    context: Annotated[int, tyro.conf.arg(help="tokens that a piece reads before its own")] = (
        flag_field(64, only_with=OnlyWith(("streams",), lambda n: n > 1, "--streams above 1"))
    )
    dynamic: Annotated[
        str, tyro.conf.arg(metavar="{none,sgd,rms}", help="rule of dynamic evaluation")
    ] = "none"
    rate: Annotated[float, tyro.conf.arg(help="step size of dynamic evaluation")] = flag_field(
        2e-3, only_with=LEARNS
    )
    decay: Annotated[float, tyro.conf.arg(help="pull of the params back to those trained")] = (
        flag_field(0.02, only_with=LEARNS)
    )
    epsilon: Annotated[
        float, tyro.conf.arg(help="added to the root mean squares of --dynamic rms")
    ] = flag_field(
        1e-3, only_with=OnlyWith(("dynamic",), lambda rule: rule == "rms", "--dynamic rms")
    )

    def check(self) -> None:
        """Checks the numbers.

        Raises:
          UserError: naming what is out of range.
        """
        if self.dynamic not in RULES:
            raise UserError(f"--dynamic {self.dynamic}: there are {', '.join(RULES)}")
        if self.part not in (None, "train", "validation", "test"):
            raise UserError(f"--part {self.part}: there are train, validation, test")
        for name, lowest in {"window": 1, "streams": 1, "context": 0}.items():
            as_int(f"--{name}", getattr(self, name), low=lowest)
        if as_float("--rate", self.rate) < 0:
            raise UserError(f"--rate {self.rate}: must be at least 0")
        if as_float("--epsilon", self.epsilon) <= 0:
            # The gradient of a symbol that was never read is 0 of size 0.
            raise UserError(f"--epsilon {self.epsilon}: must be above 0")
        if not 0 <= as_float("--decay", self.decay) <= 1:
            raise UserError(f"--decay {self.decay}: must be between 0 and 1")
        check_path("--out", self.out)
        if self.by_line is not None:
            self._check_by_line()

    def _check_by_line(self) -> None:
        for flag, given, usual in (
            ("--corpus", self.corpus, None), ("--dynamic", self.dynamic, "none"),
            ("--streams", self.streams, 1),
        ):  # fmt: skip
            if given != usual:
                raise UserError(f"{flag} {given} --by-line {self.by_line}: choose one")
        if self.out is not None and Path(self.out).exists():
            raise UserError(f"--out {self.out}: it is there already and is not overwritten")
        if self.out is not None:
            check_writable(self.out, "--out")


def main(args: Arguments) -> None:
    """Prints a table with a row for each setting of the run folder, one for each corpus; or with a
    row for each line of a file."""
    args.check()
    data = read_run_of(args.folder, "lm", "lstm_lm")._replace(params=args.params)
    if args.by_line is not None:
        write_by_line(data, args.by_line, args)
        return
    names = ("setting", "runs", "measure", "each alone\nmedian IQM [95%]", "ensemble")
    for corpus, some in by_problem(data).items():
        rows = [_row(data, setting, args) for setting in some]
        title = ": ".join(filter(None, [corpus, data.path.name, _text_name(args)]))
        print_table(Console(), names, rows, title=title)
        if args.corpus is not None and (line := _unknown_line(data, some, args)):
            print_line(line)
    print_line("IQM: interquartile mean over seeds, its 95% bootstrap interval.")


def write_by_line(data: RunFolderData, path: str, args: Arguments) -> None:
    """Prints, or writes to a file, a row for each line of a file.

    Raises:
      UserError: if the file cannot be read, is empty or has symbols that the model does not know.
    """
    run = one_run(data, args.run)
    model = restore(data, run)
    config, tokenizer = model.config, model.tokenizer
    lines = read_lines("--by-line", path, config.level == "byte")
    encoded = encode_lines(tokenizer, path, lines)
    judge = partial(make_judge(config, len(tokenizer), args), train=None)
    nlls = line_nlls(
        judge, model.params["params"], tokenizer, encoded, args.window, args.carry_state
    )
    tokens = np.array([len(some) for some in encoded])
    unknown = [unknown_tokens(tokenizer, some) for some in encoded]
    rows = zip(tokens, nlls, np.exp(nlls / tokens), unknown, strict=True)
    table = [
        f"{line},{count},{nll:.6g},{perplexity:.6g},{strange}\n"
        for line, (count, nll, perplexity, strange) in enumerate(rows, 1)
    ]
    text = "".join(["line,tokens,nll,perplexity,unknown\n", *table])
    if args.out is None:
        print_text(text, end="")
        return
    write_text(args.out, text)
    mean = np.exp(nlls.sum() / tokens.sum())
    print_line(
        f"run {run.number}, seed {run.seed}: {len(lines)} lines, {tokens.sum():,} tokens, "
        f"perplexity {mean:.4g} in all; by line: {args.out}"
    )


def _row(data: RunFolderData, setting: Setting, args: Arguments) -> tuple[str, ...]:
    """Returns the cells of a setting."""
    runs = [one_run(data, int(number)) for number in setting.rows["run"].unique()]
    if not runs:
        return setting.label, "0", "", "none finite", ""
    measure, alone, together = evaluate_runs(data, runs, args)
    iqm, low, high = map(float, iqm_interval(alone))
    cell = f"{np.median(alone):.4g} {iqm:.4g} [{low:.4g}, {high:.4g}]"
    return setting.label, str(len(runs)), measure, cell, f"{together:.4g}"


def _text_name(args: Arguments) -> str:
    """What is predicted, for the title."""
    part = args.part or ("" if _is_whole_file(args) else "test")
    return " ".join(filter(None, [args.corpus and one_line(args.corpus), part]))


def _is_whole_file(args: Arguments) -> bool:
    """Whether all of one file is predicted: only a text to train on has parts."""
    if args.corpus is None or args.part is not None:
        return False
    try:
        return is_one_file(args.corpus) and Path(args.corpus).is_file()
    except OSError:  # the name is longer than names may be
        return False


def _unknown_line(data: RunFolderData, some: Iterable[Setting], args: Arguments) -> str:
    """How many words of a text the models do not know; "" if they know all, or read characters."""
    numbers = [int(number) for setting in some for number in setting.rows["run"].unique()[:1]]
    if not numbers:
        return ""
    config, tokenizer = restore_parts(data, one_run(data, numbers[0]))
    tokens = tokenizer.encode(read_text_to_predict(config, args)[0])
    if not (strange := unknown_tokens(tokenizer, tokens)):
        return ""
    return (
        f"{strange:,} of the {len(tokens):,} tokens ({strange / len(tokens):.1%}) are words that "
        "the models do not know; they count as <unk>"
    )


def evaluate_runs(data: RunFolderData, runs: list[OneRun], args: Arguments) -> Any:
    """Returns the name of the measure and its value for each run of a setting, float64 [R], and for
    their ensemble."""
    config, tokenizer = restore_parts(data, runs[0])
    heldout, train = read_heldout(config, tokenizer, args)
    judge = make_judge(config, len(tokenizer), args)
    predicted = heldout.counts > 0
    shapes = param_shapes(config, len(tokenizer))
    params = (load_params(data.path, run.number, shapes, data.params) for run in runs)
    nll_RxN = np.stack([np.asarray(judge(some, heldout, train))[predicted] for some in params])
    totals = np.array([*nll_RxN.sum(axis=1, dtype=np.float64), ensemble_nll(nll_RxN).sum()])
    if config.level in PER_CHARACTER:
        measure, scores = "bits per character", totals / np.log(2) / heldout.characters
    else:
        measure, scores = "perplexity", np.exp(totals / predicted.sum())
    return measure, scores[:-1], scores[-1]


def read_heldout(config: Config, tokenizer: Tokenizer, args: Arguments) -> tuple[Heldout, Any]:
    """Returns the text to predict, and the training text if dynamic evaluation needs it.

    Raises:
      UserError: if it cannot be read, has symbols that the models do not know, or is empty.
    """
    text, parts = read_text_to_predict(config, args)
    if not text.strip():
        part = f"--part {args.part or 'test'}" if parts else "--corpus"
        raise UserError(f"{part}: {args.corpus or config.corpus} has none")
    encode = lambda text: np.concatenate([[tokenizer.start], tokenizer.encode(text)])
    layout = TextLayout(config.batch_size, args.window, args.streams, args.context)
    try:
        tokens = encode(text)
    except UserError as error:
        raise UserError(f"--corpus {one_line(args.corpus or config.corpus)}: {error}") from None
    if args.window >= len(tokens):
        raise UserError(f"--window {args.window}: the text has {len(tokens) - 1:,} tokens")
    heldout = lay_out_heldout(tokens, len(text), layout)
    if args.dynamic != "rms":
        return heldout, None
    trained_on = parts if args.corpus is None else _load(config.corpus, config)
    return heldout, lay_out_train(encode(trained_on.train), layout)


def read_text_to_predict(config: Config, args: Arguments) -> tuple[str, Any]:
    """Returns the text to predict, and the parts of the corpus that it is of, if it has any.

    Raises:
      UserError: if it cannot be read.
    """
    if _is_whole_file(args):
        return read_text(Path(args.corpus or ""), config.level == "byte"), None
    parts = _load(args.corpus or config.corpus, config)
    return getattr(parts, args.part or "test"), parts


def _load(corpus: str, config: Config) -> Any:
    return load_corpus(corpus, split=config.split, level=config.level)


@cache
def make_judge(config: Config, symbols: int, args: Arguments) -> Any:
    """Returns a jitted function: (params, text to predict, training text) -> loss of every token.

    It is the same function for all settings of a config, so that it is compiled once.
    """
    model = make_model(config, symbols)

    def judge(params, heldout, train):
        if args.dynamic == "none":
            return token_nlls(model, params, heldout, args.window)
        rms = None if train is None else gradient_rms(model, params, train, args.window)
        rule = Rule(args.rate, args.decay, rms, args.epsilon)
        return dynamic_nlls(model, params, heldout, args.window, rule)

    return jax.jit(judge)


def run(argv: list[str] | None = None, prog: str = "scripts/perplexity") -> None:
    """Parses the command line and evaluates the models that it names."""
    run_tool(main, Arguments, __doc__ or "", argv, prog)


if __name__ == "__main__":
    run()
