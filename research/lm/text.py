"""Text to numbers and back, by words, characters, bytes or byte pairs.

A tokenizer knows the symbols of the training part only.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from research.errors import UserError, shortlist

if TYPE_CHECKING:
    import tokenizers  # which words, characters and bytes do without

END = "<eos>"
UNKNOWN = "<unk>"
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"
BPE_SIZE = 4_096
PER_CHARACTER = ("character", "byte")  # levels at which bits per character are told


class Tokenizer(Protocol):
    """What the four levels have in common.

    Attributes:
      level: its name.
      start: the token that a text is taken to follow, an end of line where there is one.
    """

    level: str
    start: int

    def __len__(self) -> int:
        """How many symbols there are."""
        ...

    def encode(self, text: str) -> np.ndarray:
        """int32 [tokens]; unknown symbols become the unknown one, if there is one.

        Raises:
          UserError: naming a symbol that is unknown, where there is none for such.
        """
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of these tokens."""
        ...

    def dump(self) -> dict[str, Any]:
        """JSON types, from which `load_tokenizer` makes it again."""
        ...


class Words:
    """What stands between spaces, and `<eos>` at the end of every line: the convention of the Penn
    Treebank as Mikolov et al. (2010) prepared it."""

    level = "word"

    def __init__(self, symbols: Iterable[str]):
        self.symbols = tuple(symbols)
        self.start = self.symbols.index(END)

    @classmethod
    def of(cls, text: str, size: int = 0) -> "Words":
        """The words of a text, the frequent ones first.

        Args:
          size: the most there may be, `<unk>` and `<eos>` among them; 0 for all.

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
    """Every character, line ends among them.

    A vocabulary that holds `UNKNOWN_CHARACTER` takes others for that.
    """

    level = "character"

    def __init__(self, symbols: Iterable[str]):
        self.symbols = tuple(symbols)
        self.start = self.symbols.index("\n") if "\n" in self.symbols else 0

    @classmethod
    def of(cls, text: str, heldout: Iterable[str] = ()) -> "Characters":
        """The characters of a text; and the unknown one if a held-out text has others."""
        symbols = set(text)
        strange = set().union(*heldout) - symbols
        return cls(sorted(symbols | {UNKNOWN_CHARACTER} if strange else symbols))

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _numbers(self) -> np.ndarray:
        """int32, by code point; -1 where there is no symbol."""
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
                f"{text[strange[0]]!r} at place {strange[0]} does not occur in the training text, "
                f"which has {len(self)} characters"
            )
        return tokens.astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        return "".join(self.symbols[token] for token in tokens)

    def dump(self) -> dict[str, Any]:
        return {"level": self.level, "symbols": "".join(self.symbols)}


class Bytes:
    """The bytes of a file as they are, or of a text in UTF-8: 256 symbols, none of them unknown.

    The byte-order mark, the line ends and what is no UTF-8 are kept.
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
    """Byte-pair encoding (Sennrich, Haddow and Birch, 2016) over bytes, so that nothing is
    unknown."""

    level = "bpe"

    def __init__(self, inner: "tokenizers.Tokenizer"):
        self._inner = inner
        self.start = inner.encode("\n").ids[0]

    @classmethod
    def of(cls, text: str, size: int = 0) -> "BytePairs":
        """Trained on a text, line by line; `size` symbols, or `BPE_SIZE` if 0.

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
    def loaded(cls, text: str) -> "BytePairs":
        """From the JSON of `dump`, as text."""
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_str(text))

    def __len__(self) -> int:
        return self._inner.get_vocab_size()

    def encode(self, text: str) -> np.ndarray:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            shown = text[error.start]
            raise UserError(f"{shown!r} at place {error.start} is no UTF-8") from None
        lines = self._inner.encode_batch(text.splitlines(keepends=True))
        return np.array([token for line in lines for token in line.ids], np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        return self._inner.decode([int(token) for token in tokens])

    def dump(self) -> dict[str, Any]:
        return {"level": self.level, "tokenizer": json.loads(self._inner.to_str())}


LEVELS = {"word": Words, "character": Characters, "byte": Bytes, "bpe": BytePairs}


def make_tokenizer(level: str, train: str, size: int = 0, heldout: Iterable[str] = ()) -> Tokenizer:
    """A tokenizer of the training text.

    Args:
      level: one of `LEVELS`.
      train: the text.
      size: the most symbols there may be, for words and byte pairs.
      heldout: texts that are to be encoded, too; none of their symbols gets a number.

    Raises:
      UserError: for an unknown level or a size that makes no sense.
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
    """Undoes `Tokenizer.dump`."""
    level = dumped["level"]
    if level == "bpe":
        return BytePairs.loaded(json.dumps(dumped["tokenizer"]))
    if level == "byte":
        return Bytes()
    return {"word": Words, "character": Characters}[level](dumped["symbols"])


def split_words(text: str) -> list[str]:
    """The words of every line and `<eos>` after each, of empty lines too."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [word for line in lines for word in (*line.split(), END)]
