"""Command lines, word by word: each flag is given once, and what cannot be read is named in a line.

It needs the standard library alone, for the tools that run where little else is installed.
"""

import argparse
import contextlib
import difflib
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from research import atomic
from research.errors import UserError, cannot_write
from research.plain_text import one_line, shortened

UNBOUNDED_HELP = "lift the bounds of counts that would take very long, such as too many steps"

BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), "True"),
    **dict.fromkeys(("false", "no", "off", "0"), "False"),
}
MOST_NAME_BYTES, MOST_PATH_BYTES = 255, 4096  # of Linux; elsewhere as many, or fewer


def check_words(words: Sequence[str], flags: Mapping[str, bool]) -> None:
    """Checks that no flag is given twice, of which all but the last would count for nothing, and
    that none lacks its value.

    Args:
      words: the command line, without the program.
      flags: the names of the flags, `--so-and-so` -> whether it takes a value. One that takes none
        may be given as `--no-so-and-so`.

    Raises:
      UserError: naming the flag, and what is given.
    """
    given: dict[str, str] = {}
    for flag, shown, has_value in _given(words, flags):
        if flag in given:
            raise UserError(f"{given[flag]} and {shown}: {flag} is given twice; give it once")
        if flags[flag] and not has_value:
            raise UserError(f"{flag}: it takes a value; '' is the empty one")
        given[flag] = shown


def _given(words: Sequence[str], flags: Mapping[str, bool]) -> Iterable[tuple[str, str, bool]]:
    """Yields each flag that is given, in its usual spelling, with its words as they are shown, and
    whether it has a value."""
    starts = [at for at, word in enumerate(words) if word.startswith("--")]
    for start, stop in itertools.pairwise([*starts, len(words)]):
        name, equals, _ = words[start].partition("=")
        name = name.replace("_", "-")
        positive = "--" + name.removeprefix("--no-")
        flag = positive if name not in flags and not flags.get(positive, True) else name
        if flag in flags:
            shown = shortened(" ".join(map(one_line, words[start:stop])))
            yield flag, shown, bool(equals) or stop > start + 1


def unexpected(word: str, words: Sequence[str], flags: Mapping[str, bool]) -> str:
    """Says what is wrong about a word that is no flag and belongs to none."""
    shown = one_line(word)
    if re.match("--?[^\\W\\d]", word):
        near = _nearest_flags(word.partition("=")[0], flags)
        right = f"did you mean {' or '.join(near)}?" if near else "--help lists all"
        return f"{shown}: no such flag; {right}"
    until = words[: len(words) - 1 - words[::-1].index(word)] if word in words else ()
    before = [one for one in until if one.startswith("--")]
    after = f"{one_line(before[-1])} " if before else ""
    right = "--help says what each flag takes"
    if before and word.lower() in BOOLEANS and not flags.get(_positive(before[-1]), True):
        right = f"it takes no value: give {_positive(before[-1])} alone, or leave it out"
    return f"{after}{shown}: not expected here; {right}"


def _positive(flag: str) -> str:
    return "--" + flag.replace("_", "-").removeprefix("--").removeprefix("no-")


def _nearest_flags(given: str, flags: Iterable[str]) -> list[str]:
    """The flags that a user may have meant: those of these initials, as `--lr`; those that begin
    so; or else the one that is spelt most alike."""
    name, names = given.strip("-").replace("_", "-").lower(), [one.strip("-") for one in flags]
    initials = [one for one in names if "-" in one and name == _initials(one)]
    begun = [one for one in names if len(name) > 1 and one.startswith(name)]
    alike = difflib.get_close_matches(name, names, n=1)
    return [f"--{one}" for one in (initials or begun[:3] or alike)]


def _initials(name: str) -> str:
    return "".join(part[:1] for part in name.split("-"))


def read_value(read: Callable[[str], Any], flag: str, word: str, meant: str) -> Any:
    """Returns what a function reads in the word after a flag.

    Args:
      read: raises a ValueError or a KeyError for what it cannot read.
      flag: that the word follows.
      word: the word.
      meant: what would be right, for the error.

    Raises:
      UserError: naming the flag and the word. It is no ValueError, which a parser would report in
        its own way.
    """
    try:
        return read(word)
    except (ValueError, KeyError):
        shown = one_line(word[:40] + "..." * (len(word) > 40)) or "''"
        raise UserError(f"{flag} {shown}: not {meant}{_guess(read, word)}") from None


def _guess(read: Callable[[str], Any], word: str) -> str:
    """What a word was meant to be, as a question, if it would be read after a small change."""
    comma = word.replace(",", "x") if "," in word else ""
    for likely in (BOOLEANS.get(word.lower(), ""), comma, word.replace(",", ""), word.lower()):
        with contextlib.suppress(ValueError, KeyError, UserError):
            if likely and likely != word and read(likely) is not None:
                return f"; did you mean {likely}?"
    return ""


def check_path(flag: str, given: str | None) -> None:
    """Checks that a word can be the name of a file or a folder that others read.

    Raises:
      UserError: for an empty one, and for control characters.
    """
    if given == "":
        raise UserError(f"{flag} '': it is empty; give a name, or leave {flag} out")
    if given is not None and one_line(given) != given:
        raise UserError(f"{flag} '{one_line(given)}': give a name without control characters")
    check_length(flag, given or "")


def check_writable(path: Any, flag: str = "", *, parents: bool = False) -> None:
    """Checks, before any work begins, that its result can be written.

    Args:
      path: of the file or the new folder.
      flag: gives the path, such as `--out`; empty if none does.
      parents: whether missing folders above it are made.

    Raises:
      UserError: if it cannot be written.
    """
    try:
        atomic.check_writable(path, parents=parents)
    except atomic.NotWritten as error:
        raise cannot_write(path, error, flag) from error


def check_length(flag: str, path: str) -> None:
    """Raises a `UserError` for a path that is longer than a file system takes."""
    longest = max(len(os.fsencode(part)) for part in path.split("/"))
    if longest > MOST_NAME_BYTES or len(os.fsencode(path)) >= MOST_PATH_BYTES:
        raise UserError(
            f"{flag} {shortened(one_line(path))}: the name is too long for a file system"
        )


NUMBERS = {float: "a number, such as 0.001", int: "a whole number, such as 1000"}


def number_after(flag: str, kind: type = int) -> Callable[[str], Any]:
    """Returns the reader of the number that follows a flag, for `PlainParser.add_argument`."""
    return lambda word: read_value(kind, flag, word, NUMBERS[kind])


class PlainParser(argparse.ArgumentParser):
    """A parser of the standard library whose errors are one line.

    It prints its description as it is, takes no abbreviated flags, and no flag twice.
    """

    def __init__(self, prog: str, description: str | None = None, **options: Any):
        super().__init__(
            prog, description=description, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter, **options,
        )  # fmt: skip

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore
        """Checks the words, and returns what they give, and those that are no flags of it."""
        words = sys.argv[1:] if args is None else list(args)
        check_words(words, self.flags())
        return super().parse_known_args(words, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore
        """Returns what the words give; there may be no others."""
        words = sys.argv[1:] if args is None else list(args)
        given, others = self.parse_known_args(words, namespace)
        if others:
            raise UserError(unexpected(others[0], words, self.flags()))
        return given

    def flags(self) -> dict[str, bool]:
        """Its flags, and whether each takes a value; as `check_words` takes them."""
        once = [
            action for action in self._actions if not isinstance(action, argparse._ExtendAction)
        ]
        return {flag: one.nargs != 0 for one in once for flag in one.option_strings}

    def error(self, message: str) -> NoReturn:
        """Raises a `UserError` with the message, where argparse would print it and exit."""
        raise UserError(message)
