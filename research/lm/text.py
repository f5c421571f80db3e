"""Tokenizers: words, characters, bytes and byte pairs.

The vocabulary of a tokenizer is made from the training part alone.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from research.errors import UserError, shortlist

if TYPE_CHECKING:
    import tokenizers  # needed for byte pairs alone

END = "<eos>"
UNKNOWN = "<unk>"
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"
BPE_SIZE = 4_096
PARTS_OF_BPE = {
    "model": "BPE", "pre_tokenizer": "ByteLevel", "decoder": "ByteLevel", "normalizer": None,
    "post_processor": None,
}  # fmt: skip
PER_CHARACTER = ("character", "byte")  # levels with bits per character as their key metric


class Tokenizer(Protocol):
    """The interface of the tokenizers.

    Attributes:
      level: the name of the tokenizer, a key of `LEVELS`.
      start: the token that precedes a text: the end of a line, if the vocabulary has it.
    """

    level: str
    start: int

    def __len__(self) -> int:
        """The number of symbols."""
        ...

    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text, int32 [tokens].

        Raises:
          UserError: naming an unknown symbol, if the vocabulary has no symbol for unknown ones.
        """
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of these tokens."""
        ...

    def dump(self) -> dict[str, Any]:
        """The tokenizer as JSON types, which `load_tokenizer` reads."""
        ...


class Words:
    """Words separated by spaces, with `<eos>` at the end of every line.

    This is the convention of the Penn Treebank as Mikolov et al. (2010) prepared it.
    """

    level = "word"

    def __init__(self, symbols: Iterable[str]):
        self.symbols = tuple(symbols)
        self.start = self.symbols.index(END)

    @classmethod
    def of(cls, text: str, size: int = 0) -> "Words":
        """A tokenizer of the words of a text, ordered by frequency.

        Args:
          text: the text.
          size: the most symbols, `<unk>` and `<eos>` included; 0 for all.

        Raises:
          UserError: if `size` has no room for those two.
        """
        if size == 1:
            raise UserError(f"--vocabulary-size 1: words need 2 or more, {END} and {UNKNOWN} first")
        counts = Counter(split_words(text))
        words = sorted(counts, key=lambda word: (-counts[word], word))
        if size:
            plain = [word for word in words if word not in (END, UNKNOWN)]
            kept = {END, UNKNOWN, *plain[: size - 2]}
            words = [word for word in words if word in kept]
        return cls(words if UNKNOWN in words else [*words, UNKNOWN])

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    def encode(self, text: str) -> np.ndarray:
        numbers, unknown = self._numbers, self._numbers[UNKNOWN]
        return np.array([numbers.get(word, unknown) for word in split_words(text)], np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        text = " ".join(self.symbols[token] for token in tokens)
        return re.sub(f" ?{END} ?", "\n", text)

    def dump(self) -> dict[str, Any]:
        return {"level": self.level, "symbols": list(self.symbols)}


class Characters:
    """Characters, line ends included.

    If the vocabulary holds `UNKNOWN_CHARACTER`, unknown characters become that.
    """

    level = "character"

    def __init__(self, symbols: Iterable[str]):
        self.symbols = tuple(symbols)
        self.start = self.symbols.index("\n") if "\n" in self.symbols else 0

    @classmethod
    def of(cls, text: str, heldout: Iterable[str] = ()) -> "Characters":
        """A tokenizer of the characters of a text, and an unknown one if `heldout` has others."""
        symbols = set(text)
        strange = set().union(*heldout) - symbols
        return cls(sorted(symbols | {UNKNOWN_CHARACTER} if strange else symbols))

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _numbers(self) -> np.ndarray:
        """Code point -> token, int32; -1 for code points that are not in the vocabulary."""
        numbers = np.full(max(map(ord, self.symbols)) + 1, -1, np.int32)
        numbers[[ord(symbol) for symbol in self.symbols]] = np.arange(len(self.symbols))
        return numbers

    def encode(self, text: str) -> np.ndarray:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        known = points < len(self._numbers)
        tokens = np.where(known, self._numbers[np.where(known, points, 0)], -1)
        if UNKNOWN_CHARACTER in self.symbols:
            tokens = np.where(tokens < 0, self.symbols.index(UNKNOWN_CHARACTER), tokens)
        if (strange := np.flatnonzero(tokens < 0)).size:
            raise UserError(
                f"{text[strange[0]]!r}, character {strange[0] + 1}, does not occur in the training "
                f"text, which has {len(self)} different ones{self._in_another_form(text)}"
            )
        return tokens.astype(np.int32)

    def _in_another_form(self, text: str) -> str:
        """Which of Unicode's forms has only known characters, where that is what is wrong: an
        accented letter is one character, or a letter and a combining accent."""
        for form in ("NFC", "NFD"):
            if set(unicodedata.normalize(form, text)) <= set(self.symbols):
                return f"; in Unicode's form {form} all of them do: convert the text to it"
        return ""

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(self.symbols[token] for token in tokens)

    def dump(self) -> dict[str, Any]:
        return {"level": self.level, "symbols": "".join(self.symbols)}


class Bytes:
    """The bytes of a file, or of a text in UTF-8: 256 symbols, so that none is unknown.

    Byte-order marks, line ends and bytes that are not UTF-8 are kept.
    """

    level = "byte"
    start = ord("\n")

    def __len__(self) -> int:
        return 256

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        return bytes(int(token) for token in tokens).decode(errors="replace")

    def dump(self) -> dict[str, Any]:
        return {"level": self.level}


class BytePairs:
    """Byte-pair encoding (Sennrich, Haddow and Birch, 2016) over bytes: no symbol is unknown."""

    level = "bpe"

    def __init__(self, inner: "tokenizers.Tokenizer"):
        self._inner = inner
        self.start = inner.encode("\n").ids[0]

    @classmethod
    def of(cls, text: str, size: int = 0) -> "BytePairs":
        """A tokenizer trained on the lines of a text, with `size` symbols, or `BPE_SIZE` if 0.

        Raises:
          UserError: if `size` has no room for the 256 bytes.
        """
        size = size or BPE_SIZE
        if size < 257:
            raise UserError(
                f"--vocabulary-size {size}: byte pairs need 257 or more, the bytes first"
            )
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        inner.train_from_iterator(text.splitlines(keepends=True), trainer)
        return cls(inner)

    @classmethod
    def loaded(cls, dumped: Any) -> "BytePairs":
        """The tokenizer that `dump` returned.

        Raises:
          ValueError: if it is none that `of` makes; others may take for ever.
        """
        from tokenizers import Tokenizer

        parts = dumped if isinstance(dumped, dict) else {}
        found = {name: _kind(parts.get(name)) for name in PARTS_OF_BPE}
        if found != PARTS_OF_BPE:
            raise ValueError(f"tokenizer: should be of {PARTS_OF_BPE}, not {found}")
        try:
            inner = Tokenizer.from_str(json.dumps(dumped))
        except Exception as error:  # it raises no other kind
            raise ValueError(f"tokenizer: {error}") from None
        if sorted(inner.get_vocab().values()) != list(range(inner.get_vocab_size())):
            raise ValueError("tokenizer: its symbols are not numbered from 0 on")
        if not inner.encode("\n").ids:
            raise ValueError("tokenizer: it has no symbol for the end of a line")
        return cls(inner)

    def __len__(self) -> int:
        return self._inner.get_vocab_size()

    def encode(self, text: str) -> np.ndarray:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            shown = text[error.start]
            raise UserError(f"{shown!r}, character {error.start + 1}, is not UTF-8") from None
        lines = self._inner.encode_batch(text.splitlines(keepends=True))
        return np.array([token for line in lines for token in line.ids], np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        return self._inner.decode([int(token) for token in tokens])

    def dump(self) -> dict[str, Any]:
        return {"level": self.level, "tokenizer": json.loads(self._inner.to_str())}


def _kind(part: Any) -> Any:
    """The type of a part of a tokenizer; None where there is no such part."""
    return part.get("type") if isinstance(part, dict) else part


LEVELS = {"word": Words, "character": Characters, "byte": Bytes, "bpe": BytePairs}


def make_tokenizer(level: str, train: str, size: int = 0, heldout: Iterable[str] = ()) -> Tokenizer:
    """A tokenizer of the training text.

    Args:
      level: one of `LEVELS`.
      train: the training text.
      size: the most symbols, for words and byte pairs.
      heldout: texts that will be encoded, too; their symbols are not added to the vocabulary.

    Raises:
      UserError: if the level is unknown, or the size does not fit it.
    """
    if level == "word":
        return Words.of(train, size)
    if level == "bpe":
        return BytePairs.of(train, size)
    if level not in LEVELS:
        raise UserError(f"--level {level}: there are {shortlist(LEVELS)}")
    if size:
        raise UserError(f"--vocabulary-size {size}: for words and byte pairs; leave it at 0")
    return Characters.of(train, heldout) if level == "character" else Bytes()


def load_tokenizer(dumped: dict[str, Any]) -> Tokenizer:
    """The tokenizer that `Tokenizer.dump` returned.

    Raises:
      ValueError: if no tokenizer has such a vocabulary.
    """
    level, symbols = dumped.get("level"), dumped.get("symbols", ())
    if level == "byte":
        return Bytes()
    if level == "bpe":
        return BytePairs.loaded(dumped.get("tokenizer"))
    if not isinstance(level, str) or level not in LEVELS:
        raise ValueError(f"level: should be one of {shortlist(LEVELS)}, not {level!r}")
    if not isinstance(symbols, list | str) or not all(isinstance(one, str) for one in symbols):
        raise ValueError("symbols: should be words or characters")
    if len(set(symbols)) < len(symbols):
        raise ValueError("symbols: one is there twice")
    if level == "character":
        if not symbols or any(len(symbol) != 1 for symbol in symbols):
            raise ValueError("symbols: should be characters")
        return Characters(symbols)
    if missing := {END, UNKNOWN}.difference(symbols):
        raise ValueError(f"symbols: {min(missing)} is missing")
    return Words(symbols)


def split_words(text: str) -> list[str]:
    """The words of a text, with `<eos>` after every line, empty lines included."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [word for line in lines for word in (*line.split(), END)]
