"""Word vectors that were trained on other text (GloVe: Pennington, Socher and Manning, 2014).

Shape letters: V symbols, E size of a vector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from research.errors import UserError


class Vectors(NamedTuple):
    """A vector for each symbol that has one.

    Attributes:
      table: float32 [V, E], 0 where there is none.
      found: bool [V].
    """

    table: Any
    found: Any


def read_vectors(path: str, words: Sequence[str], size: int) -> Vectors:
    """The vectors of these words from a file with a word and its numbers in each line.

    A line ends at a newline only, since some of the words are other line ends. A first line of two
    numbers, as word2vec writes it, is skipped. Of a word that comes twice the first counts. A word
    that the file has in small letters only gets the vector of those.

    Args:
      path: of the file.
      words: V of them, without spaces.
      size: E.

    Raises:
      UserError: naming the line that is cut short or holds no numbers, or the width of the file.
    """
    places = _places(words)
    table, found = np.zeros((len(words), size), np.float32), np.zeros(len(words), bool)
    as_written = np.zeros(len(words), bool)
    try:
        with Path(path).open("rb") as file:
            for place, line in enumerate(file, 1):
                line = line.rstrip(b"\r\n")
                if place == 1:
                    if _is_header(line):
                        continue
                    _check_width(path, line, size)
                if line.count(b" ") < size:
                    raise UserError(
                        f"--glove {path}: line {place} has {line.count(b' ')} numbers, not {size}: "
                        "is the file whole?"
                    )
                if line.count(b" ") > size:
                    continue  # a word with spaces
                for number, exact in places.get(line.split(b" ", 1)[0], ()):
                    if not found[number] or (exact and not as_written[number]):
                        table[number] = _read_numbers(path, place, line)
                        found[number], as_written[number] = True, exact
    except OSError as error:
        raise UserError(f"--glove {path}: cannot read it: {error.strerror}") from error
    return Vectors(table, found)


def coverage(vectors: Vectors, tokens: np.ndarray) -> dict[str, float]:
    """The share of the symbols, and of a text's tokens, that have a vector."""
    found = np.asarray(vectors.found)
    return {"types": float(found.mean()), "tokens": float(found[tokens].mean())}


def fill(vectors: Vectors, key: jax.Array) -> jax.Array:
    """The table with vectors drawn for the words that have none: float32 [V, E], each number
    normal with the mean and the variance of those found."""
    found_Vx1 = jnp.asarray(vectors.found)[:, None]
    table = jnp.asarray(vectors.table)
    count = jnp.maximum(jnp.sum(found_Vx1), 1).astype(jnp.float32)
    mean_E = jnp.sum(table, axis=0) / count
    deviation = jnp.where(found_Vx1, table - mean_E[None, :], 0)
    scale_E = jnp.sqrt(jnp.sum(jnp.square(deviation), axis=0) / count)
    drawn = mean_E[None, :] + scale_E[None, :] * jax.random.normal(key, table.shape, jnp.float32)
    return jnp.where(found_Vx1, table, drawn)


def _places(words: Sequence[str]) -> dict[bytes, list[tuple[int, bool]]]:
    """By what a file may hold: the numbers of the words that it is for, and whether as written."""
    places: dict[bytes, list[tuple[int, bool]]] = {}
    for number, word in enumerate(words):
        places.setdefault(word.encode(), []).append((number, True))
        if word.lower() != word:
            places.setdefault(word.lower().encode(), []).append((number, False))
    return places


def _is_header(line: bytes) -> bool:
    fields = line.split(b" ")
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _check_width(path: str, line: bytes, size: int) -> None:
    """That the first line has as many numbers as it should."""
    fields = line.split(b" ")
    width = 0
    while width < len(fields) and _is_number(fields[-1 - width]):
        width += 1
    width = min(width, len(fields) - 1)  # the word may be a number
    if width != size:
        raise UserError(
            f"--glove {path}: its vectors have {width} numbers, not --embedding-size {size}"
        )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _read_numbers(path: str, place: int, line: bytes) -> list[float]:
    word, *fields = line.split(b" ")
    try:
        return [float(field) for field in fields]
    except ValueError:
        shown = word.decode(errors="replace")
        raise UserError(f"--glove {path}: line {place} ({shown}) holds no numbers") from None
