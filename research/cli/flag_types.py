"""Makes flags of dataclass fields: a field of config or hyper-parameters takes a list of values."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from research.errors import UserError
from research.flags import NUMBERS, read_value
from research.limits import flag_of
from research.parsing import METAVARS, number
from research.runs.experiment import cell

ONE = {**METAVARS, bool: "True|False", tuple: "NxN"}  # what the help calls a value of a type
RATES = ("rate", "dropout", "gamma", "epsilon", "decay")  # in the names of fields


def axis_flag(field: dataclasses.Field, default: Any) -> tuple[Any, Any]:
    """Returns the type and default of a flag that takes one value of a field, or several.

    Args:
      field: of a config or hparams dataclass, made by `research.task.field`.
      default: the value of the field where the flag is not given.
    """
    if field.metadata.get("words"):
        return _words_flag(field, default)
    kind, flag = type(default), flag_of(field.name)
    metavar = _metavar(field, kind)
    one = PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=partial(_read, kind, flag),
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [_write(value)],
    )
    described = tyro.conf.arg(help=field.metadata.get("help", ""), metavar=f"{metavar}...")
    return Annotated[tuple[Annotated[kind, one], ...], described], (default,)


def _metavar(field: dataclasses.Field, kind: type) -> str:
    """What the help calls a value of a field."""
    named = any(word in field.name for word in RATES)
    bounded = any(field.metadata.get(bound) is not None for bound in ("high", "below"))
    if kind is float and named and (bounded or field.metadata.get("log")):  # not steps or epochs
        return "RATE"
    return ONE.get(kind, "NAME")


def _words_flag(field: dataclasses.Field, default: Any) -> tuple[Any, Any]:
    """A flag of a field of several words: it takes all of them, as one value."""
    flag = flag_of(field.name)

    def read(words: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        if not words:
            raise UserError(f"{flag}: give at least one; '' is the empty one")
        return (tuple(words),)

    all_words = PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"{field.metadata['words']}...",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: list(value[0]),
    )
    described = tyro.conf.arg(help=field.metadata.get("help", ""))
    return Annotated[tuple, all_words, described], (default,)


def plain_flag(field: dataclasses.Field, unit: str) -> tuple[Any, Any]:
    """Returns the type and default of a flag that takes one value, with the unit that it counts in
    its help."""
    annotated: Any = field.type
    (described,) = annotated.__metadata__
    kind, text = annotated.__origin__, (described.help or "").replace("{unit}", unit)
    parts = [dataclasses.replace(described, help=text)]
    if kind in (int, float, int | None):
        parts.append(number(flag_of(field.name), kind, described.metavar))
    return Annotated[kind, *parts], field.default


def _read(kind: type, flag: str, words: Sequence[str]) -> Any:
    """Reads one value."""
    (word,) = words
    readers = {
        **{number: (number, meant) for number, meant in NUMBERS.items()},
        bool: ({"True": True, "False": False}.__getitem__, "True or False"),
        tuple: (_read_widths, "widths, such as 128 or 64x32 (none: linear)"),
        str: (str, "a word"),
    }
    read, meant = readers[kind]
    return read_value(read, flag, word, meant)


def _read_widths(word: str) -> tuple[int, ...]:
    return () if word == "none" else tuple(int(width) for width in word.split("x"))


def _write(value: Any) -> str:
    return "none" if value == () else str(cell(value))
