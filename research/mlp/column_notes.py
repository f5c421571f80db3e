"""What is told of columns: how their cells were read, and which look like ids, text or codes."""

import re
import unicodedata

import numpy as np

from research.mlp.cells import column_title
from research.mlp.columns import Column
from research.mlp.exported_predict import number

ID_NAME = re.compile(
    r"(.*[\W_])?(?i:id|uuid|guid|key|index|idx)|.*[a-z](Id|ID)", re.ASCII | re.DOTALL
)
CODE = re.compile(r"[a-z][\w-]*\d[\w-]*|[\da-f-]{16,}", re.ASCII | re.IGNORECASE)


def is_id(column: Column) -> bool:
    """Whether a column looks like an id: every value differs, and it is named like one and holds
    whole numbers or words, or holds codes: letters and digits, or long hexadecimal numbers."""
    values = column.values[~column.missing]
    if column.form or not len(values) or len(set(values)) < len(values):
        return False
    named = bool(ID_NAME.fullmatch(column.name))
    if not column.is_words:
        return named and bool(np.all(values == np.round(values)))
    spaces = any(re.search(r"\s", word) for word in values)
    return all(map(CODE.fullmatch, values)) or (named and not spaces)


def describe(column: Column) -> str:
    """How the cells of a column were read, for a note; "" where there was no choice."""
    name, example = column_title(column.name), column.example
    if column.is_dates:
        such = f", such as {example!r}" if example else ""
        return f"{name} is read as dates, {column.form}{such}"
    if column.form in ("thousands", "percent"):
        value = number(example, column.form)
        return f"{name} is read as numbers: {example!r} is {value:g}"
    if example and not column.form:
        return f"{name} holds numbers that begin with 0, such as {example!r}, as codes do"
    if like := number_like(column):
        return (
            f"{name} looks like numbers but is read as words, such as {like!r}, and each is a "
            "category: write 1200 or 0.5"
        )
    words = column.values[~column.missing] if column.is_words else []
    count = sum(number(word) is not None for word in words)
    if 0 < count < len(words):
        some = next(word for word in words if number(word) is None)
        return (
            f"{name} holds {count} numbers among {len(words) - count} words, such as {some!r}: "
            "each is a category"
        )
    return ""


def text_reason(column: Column) -> str:
    """Why a column of words is text: it has too many different words; "" if it is categories."""
    if not column.is_words:
        return ""
    words = column.values[~column.missing]
    kinds, rows = len(set(words)), len(words)
    if not ((rows and kinds > max(1, rows / 2)) or kinds > max(50, rows / 10)):
        return ""
    return f"{kinds} different words in {rows} rows are text, not categories"


def number_like(column: Column) -> str:
    """A word that resembles a number, such as 1,200 or 12%, if most words of a column do; or ""."""
    if not column.is_words:
        return ""
    words = sorted(set(column.values[~column.missing]))
    similar = [word for word in words if number(word) is None and _resembles_number(word)]
    plain = sum(number(word) is not None for word in words)
    return similar[0] if similar and len(similar) + plain > len(words) / 2 else ""


def _resembles_number(word: str) -> bool:
    """Whether a word is a number apart from separators, currency signs and non-ASCII digits."""
    word = unicodedata.normalize("NFKC", word)
    word = "".join(str(unicodedata.decimal(letter, letter)) for letter in word)
    bare = re.sub(r"[\s,_'\u2019%$\u20ac\u00a3\u00a5]", "", word)
    return number(bare) is not None or bool(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+", bare))
