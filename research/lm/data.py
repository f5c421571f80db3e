"""Tokens laid out for training and evaluation.

Shape letters: B training streams, S evaluation streams, T window, L length of a stream.

A text is one sequence of tokens. A start token, the end of a line, precedes it, so that its first
token is predicted, too. Training reads B equal streams of it side by side (Zaremba et al., 2014);
fewer than B tokens at the end are not used. Evaluation predicts every token once.
"""

import hashlib
import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from flax import struct

from research.errors import UserError
from research.lm.corpora import Parts, load_corpus
from research.lm.glove import Vectors
from research.lm.text import UNKNOWN, Tokenizer, Words, make_tokenizer


class Heldout(NamedTuple):
    """A held-out text, laid out for evaluation.

    Attributes:
      tokens: uint16 or int32 [L + 1, S]; row i + 1 is the target of row i.
      counts: float32 [L, S], 1 where row i + 1 is predicted, 0 where it is masked out.
      characters: float32 [], the number of characters of the text.
    """

    tokens: Any
    counts: Any
    characters: Any


@struct.dataclass
class TextData:
    """A tokenized corpus.

    Attributes:
      train: uint16 or int32 [L + 1, B].
      validation: the held-out text to select by.
      test: the held-out text to report on; None if there is none.
      symbols: V, the number of symbols. Static.
      vectors: the initial embeddings; None if they are random.
    """

    train: Any
    validation: Heldout
    test: Heldout | None
    symbols: int = struct.field(pytree_node=False)
    vectors: Vectors | None = None


class TextLayout(NamedTuple):
    """How tokens are laid out.

    Attributes:
      batch_size: B.
      window: T.
      eval_streams: S.
      eval_context: how many tokens each stream but the first reads before those it predicts, so
        that its state is close to that of a model that read the text from the beginning.
    """

    batch_size: int
    window: int
    eval_streams: int
    eval_context: int


@cache
def load_text(
    corpus: str, split: str, level: str, vocabulary_size: int
) -> tuple[Parts, Tokenizer, dict[str, np.ndarray], dict[str, Any]]:
    """The texts of a corpus, a tokenizer of the training part, the tokens, and facts to record.

    Raises:
      UserError: as `load_corpus` and `make_tokenizer`.
    """
    parts = load_corpus(corpus, split, level)
    tokenizer = make_tokenizer(level, parts.train, vocabulary_size, parts[1:])
    tokens = {name: tokenizer.encode(text) for name, text in parts._asdict().items()}
    facts: dict[str, Any] = {"corpus": corpus, "symbols": len(tokenizer)}
    for name, text in parts._asdict().items():
        facts[name] = {
            "characters": len(text),
            "tokens": len(tokens[name]),
            "sha256": hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest(),
        }
        if isinstance(tokenizer, Words) and len(tokens[name]):
            unknown = tokenizer.symbols.index(UNKNOWN)
            facts[name]["unknown"] = float(np.mean(tokens[name] == unknown))
    return parts, tokenizer, tokens, facts


def lay_out(
    parts: Parts, tokenizer: Tokenizer, tokens: dict[str, np.ndarray], layout: TextLayout
) -> TextData:
    """The arrays that a run reads, laid out from the tokens of each part.

    Raises:
      UserError: if the training part is shorter than one window of every stream.
    """
    dtype = np.uint16 if len(tokenizer) <= 2**16 else np.int32
    after = {
        name: np.concatenate([[tokenizer.start], some]).astype(dtype)
        for name, some in tokens.items()
    }
    train = lay_out_train(after["train"], layout)  # first: it refuses windows that are too long
    heldout = {
        name: lay_out_heldout(after[name], len(getattr(parts, name)), layout)
        for name in ("validation", "test")
        if len(tokens[name])
    }
    return TextData(
        train=train,
        validation=heldout["validation"],
        test=heldout.get("test"),
        symbols=len(tokenizer),
    )


def lay_out_train(after: np.ndarray, layout: TextLayout) -> np.ndarray:
    """The training streams, [L + 1, B]; the last token of a stream is the first of the next.

    Args:
      after: [N + 1], the start token and the N tokens of the text.
      layout: how to lay them out.

    Raises:
      UserError: if there are too few tokens for one window of every stream.
    """
    length = (len(after) - 1) // layout.batch_size
    if length < layout.window:
        raise UserError(
            f"--corpus: its training part has {len(after) - 1} tokens, fewer than one window of "
            f"--window {layout.window} for each of --batch-size {layout.batch_size}"
        )
    starts = length * np.arange(layout.batch_size)
    return after[starts[None, :] + np.arange(length + 1)[:, None]]


def lay_out_heldout(after: np.ndarray, characters: int, layout: TextLayout) -> Heldout:
    """A held-out text as streams of whole windows, which together predict every token once."""
    n = len(after) - 1
    streams = min(layout.eval_streams, n)
    own = math.ceil(n / streams)
    context = min(layout.eval_context, n) if streams > 1 else 0
    length = layout.window * math.ceil((own + context) / layout.window)
    first_S = own * np.arange(streams)  # the first token that each stream predicts
    at = np.maximum(first_S - context, 0)[None, :] + np.arange(length + 1)[:, None]
    predicts = at[:-1]
    counts = (predicts >= first_S) & (predicts < np.minimum(first_S + own, n))
    # Beyond the end of the text the last token is repeated; it is masked out.
    return Heldout(after[np.minimum(at, n)], counts.astype(np.float32), np.float32(characters))
