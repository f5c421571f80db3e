"""Pretrained word vectors, such as GloVe (Pennington, Socher and Manning, 2014).

Shape letters: V symbols, E size of a vector.
"""

import codecs
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.errors import UserError

# The first bytes of files that are not text.
_FORMATS = {
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\xfd7zXZ": "compressed by xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first",
    codecs.BOM_UTF16_LE: "UTF-16: convert it to UTF-8",
    codecs.BOM_UTF16_BE: "UTF-16: convert it to UTF-8",
}


class Vectors(NamedTuple):
    """Word vectors for a vocabulary.

    Attributes:
      table: float32 [V, E], 0 for symbols without a vector.
      found: bool [V], which symbols have a vector.
    """

    table: Any
    found: Any


def read_vectors(path: str, words: Sequence[str], size: int) -> Vectors:
    """The vectors of words from a text file that has a word and its numbers in each line.

    These are the formats of GloVe, word2vec (as text) and fastText (`.vec`). A first line with the
    number of words and the size of a vector, a byte-order mark, spaces at line ends and tabs
    between numbers are optional. Lines end at newlines only, since some words are other line
    separators. If a word occurs twice, the first vector counts. A word without a vector gets that
    of its lower-case form. In the lines of other words, only the count of numbers is checked.

    Args:
      path: the path of the file.
      words: V words, without spaces.
      size: E.

    Raises:
      UserError: if the file cannot be read, is not text, has vectors of another size, or has no
        vector for any of the words; or if a line is cut short or holds a number that is not finite;
        the error names the line.
    """
    places = _places(words)
    table, found = np.zeros((len(words), size), np.float32), np.zeros(len(words), bool)
    as_written = np.zeros(len(words), bool)
    try:
        with Path(path).open("rb") as file:
            _check_text(path, file.peek())
            for line_number, word, line in _lines(path, file, size):
                for place, exact in places.get(word, ()):
                    if not found[place] or (exact and not as_written[place]):
                        table[place] = _read_numbers(path, line_number, line, size)
                        found[place], as_written[place] = True, exact
    except OSError as error:
        raise UserError(f"--glove {path}: cannot read it: {error.strerror}") from error
    if not found.any():
        raise UserError(
            f"--glove {path}: it has no vector for any of the {len(words):,} words of the "
            "vocabulary; are they of one language and in one case?"
        )
    return Vectors(table, found)


def coverage(vectors: Vectors, tokens: np.ndarray) -> dict[str, float]:
    """The number of symbols with a vector (`found`), and their share of symbols and of tokens.

    The shares are `types`, of the symbols, and `tokens`, of the tokens of a text.
    """
    found = np.asarray(vectors.found)
    return {
        "found": int(found.sum()),
        "types": float(found.mean()),
        "tokens": float(found[tokens].mean()),
    }


def fill(vectors: Vectors, key: jax.Array) -> jax.Array:
    """The table with random vectors for symbols that have none: float32 [V, E].

    They are normal, with the mean and the variance of the vectors that were found.
    """
    found_Vx1 = jnp.asarray(vectors.found)[:, None]
    table = jnp.asarray(vectors.table)
    count = jnp.maximum(jnp.sum(found_Vx1), 1).astype(jnp.float32)
    mean_E = jnp.sum(table, axis=0) / count
    deviation = jnp.where(found_Vx1, table - mean_E[None, :], 0)
    scale_E = jnp.sqrt(jnp.sum(jnp.square(deviation), axis=0) / count)
    drawn = mean_E[None, :] + scale_E[None, :] * jax.random.normal(key, table.shape, jnp.float32)
    return jnp.where(found_Vx1, table, drawn)


def _places(words: Sequence[str]) -> dict[bytes, list[tuple[int, bool]]]:
    """Word in the file -> (index of the symbol, whether it is spelled the same) of every match."""
    places: dict[bytes, list[tuple[int, bool]]] = {}
    for number, word in enumerate(words):
        places.setdefault(word.encode(), []).append((number, True))
        if word.lower() != word:
            places.setdefault(word.lower().encode(), []).append((number, False))
    return places


def _check_text(path: str, head: bytes) -> None:
    """Raises a `UserError` if the first bytes of a file are not text."""
    if not head:
        raise UserError(f"--glove {path}: it is empty")
    for mark, says in _FORMATS.items():
        if head.startswith(mark):
            raise UserError(f"--glove {path}: it is {says}")
    if b"\0" in head:
        raise UserError(f"--glove {path}: it is binary; write the vectors as text, a word a line")


def _lines(path: str, file: BufferedReader, size: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields (line number, word, line) of every vector; words with spaces are left out."""
    checked = False
    for number, line in enumerate(file, 1):
        line = line.rstrip()  # of ASCII spaces only: bytes know no others
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
            if _is_header(line):
                _check_header(path, line, size)
                continue
        if not checked:
            _check_width(path, number, line, size)
            checked = True
        if line.count(b" ") == size:  # the fast path: splitting the whole line takes longer
            yield number, line.split(b" ", 1)[0], line
            continue
        fields = line.split()
        count = len(fields) - 1
        if count < size or (count > size and all(map(_is_number, fields[1:]))):
            raise _other_count(path, number, max(count, 0), size)
        if count == size:
            yield number, fields[0], line
    if not checked:
        raise UserError(f"--glove {path}: it has no vectors after its first line")


def _is_header(line: bytes) -> bool:
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _check_header(path: str, line: bytes, size: int) -> None:
    width = int(line.split()[1])
    if width != size:
        raise UserError(
            f"--glove {path}: line 1 says that its vectors have {width} numbers, "
            f"not --embedding-size {size}"
        )


def _check_width(path: str, number: int, line: bytes, size: int) -> None:
    """Raises a `UserError` if the first vector is not of size E."""
    fields = line.split()
    width = 0
    while width < len(fields) and _is_number(fields[-1 - width]):
        width += 1
    width = max(min(width, len(fields) - 1), 0)  # the word may be a number
    if width != size:
        raise UserError(
            f"--glove {path}: its vectors have {width} numbers, as of line {number}, "
            f"not --embedding-size {size}"
        )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # Python reads 1_000 as a number


def _is_finite(field: bytes) -> bool:
    with np.errstate(over="ignore"):
        return _is_number(field) and bool(np.isfinite(np.float32(float(field))))


def _read_numbers(path: str, number: int, line: bytes, size: int) -> np.ndarray:
    """The vector in a line: float32 [E]."""
    word, *fields = line.split()
    if len(fields) != size:  # two spaces in a row were counted as a number
        raise _other_count(path, number, len(fields), size)
    try:
        with np.errstate(over="ignore"):
            vector = np.array([float(field) for field in fields]).astype(np.float32)
        if np.isfinite(vector).all() and b"_" not in b"".join(fields):
            return vector
    except ValueError:
        pass
    bad = next(field for field in fields if not _is_finite(field))
    shown = f"line {number} ({word.decode(errors='replace')})"
    raise UserError(
        f"--glove {path}: {shown}: {bad.decode(errors='replace')!r} is not a finite float32 number"
    )


def _other_count(path: str, number: int, count: int, size: int) -> UserError:
    return UserError(
        f"--glove {path}: line {number} has {count} numbers, not {size}: is the file cut short?"
    )
