"""Text from data, such as names of columns, classes and folders, made fit to be shown.

Whoever wrote the data chose these names. A terminal, a figure and a page show them letter by
letter; nothing in them is a command.
"""

import re
from collections import Counter
from collections.abc import Iterable

MOST_LETTERS = 40  # of a label

# Controls but for the newline and the tab; marks that turn the direction of writing; separators of
# lines; byte-order marks; and halves of a character, as names of files that are no UTF-8 have them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: object) -> str:
    """`text` with an escape, such as `\\x1b`, for each character that has no shape of its own;
    newlines and tabs stay."""
    return _HIDDEN.sub(lambda found: escaped(found[0]), str(text).replace("\r\n", "\n"))


def one_line(text: object) -> str:
    """As `visible`, with escapes for newlines and tabs, too."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


def escaped(text: str) -> str:
    """`text` in ASCII, with escapes such as `\\u4e2d` for all other characters."""
    return text.encode("unicode_escape").decode("ascii")


def shortened(text: str, most: int = MOST_LETTERS) -> str:
    """`text`, with an ellipsis for its middle if it has more than `most` letters."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def labels(names: Iterable[object], most: int = MOST_LETTERS) -> list[str]:
    """`names` as short lines that still differ: those that look the same are numbered."""
    short = [shortened(one_line(name), most) for name in names]
    count, seen = Counter(short), Counter[str]()
    for place, label in enumerate(short):
        seen[label] += 1
        if count[label] > 1:
            short[place] = f"{label} ({seen[label]})"
    return short
