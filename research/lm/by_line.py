"""The loss of each line of a text, the state reset before each or carried through all.

Shape letters: L length of a stream, S streams, N tokens.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from research.errors import UserError
from research.flags import check_path
from research.lm.corpora import read_text
from research.lm.data import Heldout
from research.lm.text import UNKNOWN, Characters, Tokenizer, Words

AT_ONCE = 64  # lines that are read side by side

Judge = Callable[[Any, Heldout], Any]  # (params, text) -> the loss of every token, [L, S]


def read_lines(flag: str, path: str, exact: bool = False) -> list[str]:
    """The lines of a file that a flag names, of bytes if `exact`.

    Raises:
      UserError: naming the flag, if the file cannot be read or is empty.
    """
    check_path(flag, path)
    try:
        lines = read_text(Path(path), exact).split("\n")
    except UserError as error:
        raise UserError(f"{flag}: {error}") from None
    lines = lines if lines[-1] else lines[:-1]
    if not lines:
        raise UserError(f"{flag} {path}: it is empty")
    return lines


def encode_lines(tokenizer: Tokenizer, path: str, lines: Sequence[str]) -> list[np.ndarray]:
    """The tokens of each line, its end included where the model knows one.

    Raises:
      UserError: naming the line with a symbol that the model does not know.
    """
    ends = not isinstance(tokenizer, Characters) or "\n" in tokenizer.symbols
    encoded = []
    for number, line in enumerate(lines, 1):
        try:
            encoded.append(tokenizer.encode(line + "\n" * ends))
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
    return encoded


def unknown_tokens(tokenizer: Tokenizer, tokens: np.ndarray) -> int:
    """How many tokens stand for unknown words; 0 for a model of something else than words."""
    if not isinstance(tokenizer, Words):
        return 0
    return int(np.sum(tokens == tokenizer.symbols.index(UNKNOWN)))


def line_nlls(
    judge: Judge,
    params: Any,
    tokenizer: Tokenizer,
    encoded: Sequence[np.ndarray],
    window: int,
    carried: bool = False,
) -> np.ndarray:
    """The loss summed over the tokens of each line, in nats: float64 [lines].

    Args:
      judge: the loss of every token of a laid out text.
      params: of the model.
      tokenizer: that encoded the lines.
      encoded: the tokens of each line.
      window: how many tokens are read at once.
      carried: whether a line is predicted from all lines before it, not from its start alone.
    """
    if carried:
        lengths = [len(tokens) for tokens in encoded]
        heldout = lay_out_lines([np.concatenate(encoded)], tokenizer.start, window)
        nll_N = np.asarray(judge(params, heldout), np.float64)[: sum(lengths), 0]
        parts = np.split(nll_N, np.cumsum(lengths)[:-1])
        return np.array([part.sum() for part in parts])
    totals = np.zeros(len(encoded))
    order = sorted(range(len(encoded)), key=lambda line: len(encoded[line]))
    for first in range(0, len(order), AT_ONCE):
        some = order[first : first + AT_ONCE]
        padding = [np.zeros(0, np.int32)] * (AT_ONCE - len(some))  # so that few shapes are compiled
        heldout = lay_out_lines(
            [*(encoded[line] for line in some), *padding], tokenizer.start, window
        )
        nll_LxS = np.asarray(judge(params, heldout), np.float64)
        totals[some] = nll_LxS.sum(axis=0)[: len(some)]
    return totals


def lay_out_lines(encoded: Sequence[np.ndarray], start: int, window: int) -> Heldout:
    """Lines side by side, each after the start token, padded to a power of two of windows."""
    longest = max(len(tokens) for tokens in encoded)
    length = window * 2 ** math.ceil(math.log2(max(1, math.ceil(longest / window))))
    tokens_LxS = np.full((length + 1, len(encoded)), start, np.int32)
    for place, tokens in enumerate(encoded):
        tokens_LxS[1 : len(tokens) + 1, place] = tokens
    lengths_S = np.array([len(tokens) for tokens in encoded])
    counts_LxS = np.arange(length)[:, None] < lengths_S[None, :]
    return Heldout(tokens_LxS, counts_LxS.astype(np.float32), np.float32(0))
