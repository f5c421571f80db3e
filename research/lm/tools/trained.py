"""Trained language models of a run folder: for tools, and to work with in Python."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from research.cli.own_tasks import ProblemMaker, problem_maker
from research.errors import UserError
from research.limits import as_int, as_seed
from research.lm import PRESETS, Config, make_problem
from research.lm.corpora import plain_text
from research.lm.data import TextLayout, lay_out_heldout
from research.lm.evaluation import token_nlls
from research.lm.model import LanguageModel
from research.lm.sampling import SamplingRule, generate
from research.lm.task import make_model, param_shapes
from research.lm.text import UNKNOWN, Bytes, Tokenizer, Words, load_tokenizer
from research.plain_text import one_line, shortened
from research.recorded import Recorded
from research.report.one_run import OneRun, shown_briefly
from research.report.read import RunFolderData
from research.runs.experiment import Experiment, restore_config
from research.runs.params import load_params
from research.runs.run_folder import load_file
from research.task import make_key

WINDOW = 20  # tokens read at once, which changes rounding alone


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A trained language model.

    Attributes:
      run: its number, seed, hyper-parameters and score.
      config: that it was trained with.
      tokenizer: text -> tokens, and back.
      model: the Flax module: `model.apply(params, tokens, model.start(1))`.
      params: of the model, as Flax takes them.
    """

    run: OneRun
    config: Config
    tokenizer: Tokenizer
    model: LanguageModel
    params: Any

    def __repr__(self) -> str:
        return shown_briefly(self)

    def sample(
        self,
        prompt: str = "",
        tokens: int = 100,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        unknown: bool = False,
    ) -> str:
        """A text that begins with the prompt; the same for the same seed.

        Args:
          prompt: to continue; a new line if empty.
          tokens: how many to write.
          temperature: of the softmax; 0 always takes the likeliest token.
          top_k: draw from the likeliest tokens alone; 0 from all.
          top_p: draw from the fewest tokens that have this probability together.
          seed: of the draws.
          unknown: whether a model of words may write the symbol of words that it does not know.

        Raises:
          UserError: for a prompt that the model cannot read, or a number out of range.
        """
        count = as_int("tokens", tokens, low=1)
        rule = SamplingRule(temperature, top_k, top_p)
        return "".join(self.write(prompt, count, rule, as_seed("seed", seed), unknown))

    def write(
        self, prompt: str, tokens: int, rule: SamplingRule, seed: int, unknown: bool
    ) -> Iterator[str]:
        """Yields a text piece by piece, as it is written, the prompt first."""
        if isinstance(self.tokenizer, Words) and not unknown:
            rule = rule._replace(never=_unknown_token(self.tokenizer))
        begun = read_prompt(self.tokenizer, prompt)
        drawn = generate(self.model, self.params["params"], begun, make_key(seed), rule)
        return pieces(self.tokenizer, begun[1:], itertools.islice(drawn, tokens))

    def perplexity(self, text: str) -> float:
        """The perplexity of a text for each of its tokens, each predicted from all before it.

        Raises:
          UserError: if it is empty, or has symbols that the model does not know.
        """
        nll = self._token_nlls(text)
        return float(np.exp(nll.mean(dtype=np.float64)))

    def bits_per_character(self, text: str) -> float:
        """The bits that the model needs for each character of a text.

        Raises:
          UserError: as `perplexity`.
        """
        return float(self._token_nlls(text).sum(dtype=np.float64) / np.log(2) / len(text))

    def _token_nlls(self, text: str) -> np.ndarray:
        if not text:
            raise UserError("the text is empty")
        text = text if isinstance(self.tokenizer, Bytes) else plain_text(text)
        tokens = np.concatenate([[self.tokenizer.start], self.tokenizer.encode(text)])
        window = min(WINDOW, len(tokens) - 1)
        heldout = lay_out_heldout(tokens, len(text), TextLayout(1, window, 1, 0))
        nll = jax.jit(partial(token_nlls, self.model, window=window))(
            self.params["params"], heldout
        )
        return np.asarray(nll)[np.asarray(heldout.counts) > 0]


def restore(data: RunFolderData, run: OneRun, experiment: Experiment | None = None) -> TrainedModel:
    """The model that a run has trained, by an experiment if its code is in no file.

    Raises:
      UserError: if its vocabulary or params are damaged or not there, or the folder asks for code
        that the user has not run on this machine before.
    """
    config, tokenizer = restore_parts(data, run, experiment)
    params = load_params(data.path, run.number, param_shapes(config, len(tokenizer)), data.params)
    model = make_model(config, len(tokenizer))
    return TrainedModel(run, config, tokenizer, model, {"params": params})


def restore_parts(
    data: RunFolderData, run: OneRun, experiment: Experiment | None = None
) -> tuple[Config, Tokenizer]:
    """The config and the tokenizer that a run was trained with.

    Raises:
      UserError: as `restore`.
    """
    usual = ProblemMaker(*PRESETS["topics"], make_problem)
    maker = experiment or problem_maker(data.manifest, data.path, usual)
    config = restore_config(run.config, maker.config)
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
    """The token that stands for all unknown words; None where there is none."""
    symbols = list(tokenizer.symbols)
    return symbols.index(UNKNOWN) if UNKNOWN in symbols else None


def read_prompt(tokenizer: Tokenizer, prompt: str) -> np.ndarray:
    """The start token and those of the prompt, which is read as the training text was.

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
            raise UserError(
                f"{flag}: the model does not know the word {strange[0]!r}; {UNKNOWN} stands for it"
            )
    return np.concatenate([[tokenizer.start], tokens])


def pieces(tokenizer: Tokenizer, prompt: np.ndarray, tokens: Iterable[int]) -> Iterator[str]:
    """Yields what each token adds to a text; a character may take several tokens."""
    made, shown = prompt.tolist(), ""
    for token in tokens:
        made.append(token)
        text = tokenizer.decode(made)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            yield text[len(shown) :]
            shown = text
    yield tokenizer.decode(made)[len(shown) :]
