"""Text that is safe to show: names from data escaped and shortened, and numbers for the user.

Names of columns, classes and folders come from whoever wrote the data. A terminal, a figure and a
page show them literally; nothing in them is a command.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

MOST_LETTERS = 40  # characters of a label

# Control characters except newline and tab; marks that change the direction of writing, and others
# without width but those that join letters; line separators; byte-order marks; and lone surrogates,
# which stand for bytes that are not UTF-8 in the names of files.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# Colours and the cursor, with which lines of progress are drawn.
_HIDDEN_OR_COMMAND = re.compile(rf"(\x1b\[[0-9;?]*[A-Za-z]|\r)|{_HIDDEN.pattern}")


def visible(text: object) -> str:
    """`text` with escapes, such as `\\x1b`, for invisible characters except newline and tab."""
    return _HIDDEN.sub(_escape, str(text).replace("\r\n", "\n"))


def one_line(text: object) -> str:
    """`text` with escapes for invisible characters, newline and tab included."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


def visible_but_commands(text: str) -> str:
    """`visible(text)`, in which commands for colours and the cursor stay."""
    return _HIDDEN_OR_COMMAND.sub(lambda found: found[0] if found[1] else _escape(found), text)


def escaped(text: str) -> str:
    """`text` in ASCII: all other characters become escapes, such as `\\u4e2d`."""
    return text.encode("unicode_escape").decode("ascii")


def _escape(found: re.Match[str]) -> str:
    return escaped(found[0])


def shortened(text: str, most: int = MOST_LETTERS) -> str:
    """`text`, its middle replaced by an ellipsis if it has more than `most` characters."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def labels(names: Iterable[object], most: int = MOST_LETTERS) -> list[str]:
    """`names` as short labels that still differ: equal ones are numbered."""
    short = [shortened(one_line(name), most) for name in names]
    count, seen = Counter(short), Counter[str]()
    for place, label in enumerate(short):
        seen[label] += 1
        if count[label] > 1:
            short[place] = f"{label} ({seen[label]})"
    return short


def count_of(number: int, noun: str) -> str:
    """`number` and the noun, in the plural unless there is one: 1 run, 4,096 runs."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def in_digits(value: float, digits: int = 4) -> str:
    """A number in so many significant digits, in all of its figures where it has more before the
    point: 0.1235, 490.4, 24,340."""
    text = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < 1e9 else text


def human(number: float) -> str:
    """`number` with three digits and a letter for thousands: 12.3k, 4.56M, 789."""
    units: Sequence[str] = ("", "k", "M", "G", "T", "P")
    scale = 0
    while abs(number) >= 999.5 and scale < len(units) - 1:
        number, scale = number / 1000, scale + 1
    return f"{number:.3g}{units[scale]}"


def duration(seconds: float) -> str:
    """Returns a time with three digits, in the unit that suits it: 850 ms, 12.3 s, 5.1 h."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60), ("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{human(seconds / size)} {unit}"
    return f"{human(seconds * 1e6)} us"


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, without a newline at its end; cells are taken as they are."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
