"""Parses a command line into a dataclass, by tyro, with errors of one line."""

import contextlib
import dataclasses
import io
import re
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from research.console import print_coloured, print_text
from research.effects import check_counts, without_effect
from research.errors import UserError
from research.flags import NUMBERS, UNBOUNDED_HELP, check_words, read_value, unexpected
from research.limits import flag_of

MOST_WIDTH = 100  # of a line of a paragraph: longer ones are hard to read
Unbounded = Annotated[bool, tyro.conf.arg(help=UNBOUNDED_HELP)]  # of a tool with such counts
WhichParams = Annotated[
    Literal["last", "best"],
    tyro.conf.arg(
        help="which params of a run to take: the last, or those of its best evaluation, which "
        "--keep best has kept"
    ),
]


METAVARS = {int: "N", float: "NUMBER"}


def _default_shown(label: str) -> str:
    """What the help says of a default: nothing where it is none, whose meaning is in the text."""
    return "" if label in ("None", "", "''") else f"(default: {label})"


DEFAULT_SHOWN = tyro.conf.arg(help_behavior_hint=_default_shown)  # of every flag


def parse(kind: Any, words: Sequence[str], flags: Mapping[str, bool], **options: Any) -> Any:
    """Returns an instance of a dataclass.

    Args:
      kind: the dataclass.
      words: the command line, without the program.
      flags: as `check_words` takes them.
      options: of `tyro.cli`.

    Raises:
      UserError: for words that make none.
    """
    text, shown, helped = options.pop("description", ""), io.StringIO(), _Terminal()
    try:
        with contextlib.redirect_stderr(shown), contextlib.redirect_stdout(helped):
            given, unknown = tyro.cli(kind, args=words, return_unknown_args=True, **options)
    except SystemExit as left:
        if left.code != 2:  # as of --help
            usage, _, flags_alone = helped.getvalue().partition("\n\n")
            width = shutil.get_terminal_size().columns
            listed = flags_alone.strip("\n")
            print_coloured(f"{usage}\n\n{described(text, width)}\n{listed}")
            raise
        raise UserError(_in_one_line(shown.getvalue())) from None
    if unknown:
        raise UserError(unexpected(unknown[0], words, flags))
    return given


class _Terminal(io.StringIO):
    """Text in the colours that the standard output shows."""

    encoding = getattr(sys.__stdout__, "encoding", "utf-8")

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()


def described(text: str, width: int) -> str:
    """Returns the text of `--help`, its paragraphs wrapped; commands stay whole, and what they do
    goes below where it has no room beside."""
    blocks = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n\n".join(_wrapped(block, min(width, MOST_WIDTH)) for block in blocks) + "\n"


def _wrapped(block: str, width: int) -> str:
    lines = block.split("\n")
    if not any(line.startswith((" ", "scripts/", "seedbed ")) for line in lines):
        return textwrap.fill(" ".join(lines), width)
    below = r"\1\n        \2"
    return "\n".join(
        re.sub(r"^( *\S.*?\S) {2,}(\S.*)$", below, line) if len(line) > width else line
        for line in lines
    )


def read_arguments(kind: Any, description: str, argv: Sequence[str] | None, prog: str) -> Any:
    """Returns the arguments of a tool.

    Args:
      kind: their dataclass.
      description: the text of `--help`, which calls the tool `scripts/NAME`.
      argv: the words after the tool's name; those of this process if None.
      prog: what the tool is called here: `scripts/NAME`, or `seedbed NAME`.

    Raises:
      UserError: for words that make none, and counts beyond what is usual.
    """
    script = "scripts/" + prog.replace("/", " ").split()[-1]
    words, flags = sys.argv[1:] if argv is None else argv, flags_of(kind)
    check_words(words, flags)
    text = description.replace(script, prog)
    given = parse(_with_numbers(kind), words, flags, prog=prog, description=text)
    arguments = kind(**vars(given))
    check_counts(arguments)
    return arguments


def tell_without_effect(arguments: Any) -> None:
    """Prints a line on the standard error for each flag of a tool that changes nothing."""
    for line in without_effect(arguments):
        print_text(line, error=True)


def flags_of(kind: Any) -> dict[str, bool]:
    """Returns the flags of a dataclass, and whether each takes a value."""
    return {
        flag_of(field.name): _plain(field.type) is not bool
        for field in dataclasses.fields(kind)
        if not is_positional(field)
    }


def is_positional(field: dataclasses.Field) -> bool:
    """Returns whether a field is given without a flag."""
    return tyro.conf.Positional in getattr(field.type, "__metadata__", ())


def number(flag: str, kind: Any, metavar: str | None = None) -> PrimitiveConstructorSpec:
    """Returns how a flag of one number is read.

    Args:
      flag: its name.
      kind: int or float, or either or None: then the word None is None.
      metavar: what the help calls it.
    """
    one = next(part for part in typing.get_args(kind) or (kind,) if part in NUMBERS)
    may_be_none = kind is not one

    def read(words: Sequence[str]) -> Any:
        (word,) = words
        if may_be_none and word == "None":
            return None
        return read_value(one, flag, word, NUMBERS[one])

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar or METAVARS[one],
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, one),
        str_from_instance=lambda value: [str(value)],
    )


def _with_numbers(kind: Any) -> Any:
    """A dataclass of the same fields, with numbers that are read by `number`."""
    fields = [
        (
            field.name,
            Annotated[_typed(field), DEFAULT_SHOWN],
            dataclasses.field(default=field.default),
        )
        for field in dataclasses.fields(kind)
    ]
    return dataclasses.make_dataclass(kind.__name__, fields, frozen=True)


def _typed(field: dataclasses.Field) -> Any:
    kind, parts = _plain(field.type), [*getattr(field.type, "__metadata__", ())]
    metavar = next((one.metavar for one in parts if hasattr(one, "metavar")), None)
    numeric = set(typing.get_args(kind) or (kind,)) & set(NUMBERS)
    if not numeric:
        return field.type
    if typing.get_origin(kind) is tuple:
        (one,) = numeric
        kind = tuple[Annotated[one, number(flag_of(field.name), one)], ...]
    elif isinstance(kind, types.UnionType) or kind in NUMBERS:
        parts = [*parts, number(flag_of(field.name), kind, metavar)]
    return Annotated[kind, *parts]


def _plain(annotated: Any) -> Any:
    """A type without what is noted beside it."""
    return annotated.__origin__ if hasattr(annotated, "__metadata__") else annotated


def _in_one_line(box: str) -> str:
    """The text in a box that tyro has drawn."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    return " ".join(re.sub("[\u2500-\u257f]", " ", plain).split())
