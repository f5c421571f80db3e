"""Looks at all flags together: counts that would take very long, and flags that change nothing."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from research.errors import UserError
from research.limits import MOST_INT, check_usual, flag_of
from research.task import OnlyWith

USUAL_LAYERS = 64  # of a net; each is traced and compiled anew


def check_counts(arguments: Any) -> None:
    """Checks counts whose fields state what is usual; `--unbounded` lifts these bounds.

    Raises:
      UserError: naming the flag and the count.
    """
    lifted = getattr(arguments, "unbounded", False)
    for field, values in _flags(arguments):
        flag, usual = flag_of(field.name), field.metadata.get("usual")
        for value in values:
            if usual and isinstance(value, int) and value <= MOST_INT:  # beyond, it is no int32
                check_usual(f"{flag} {value}", value, usual, lifted)
            elif isinstance(value, tuple) and field.metadata.get("layers"):
                check_usual(f"{flag} of {len(value)} layers", len(value), USUAL_LAYERS, lifted)


def without_effect(arguments: Any) -> list[str]:
    """Returns a line for each flag that changes nothing beside the values of the others.

    Flags that have their default are none of these, nor hyper-parameters, of which the traced task
    tells whether it reads them.

    Raises:
      UserError: for one that is swept: its values would be one program.
    """
    given = {field.name: values for field, values in _flags(arguments)}
    lines = []
    for field, values in _flags(arguments):
        condition = field.metadata.get("only_with")
        if condition is None:
            continue
        cells = list(_cells(condition, given))
        shown = _shown(field, values)
        if len(values) > 1 and not all(cells):
            raise UserError(
                f"{shown}: it has an effect only with {condition.words}; give it one value"
            )
        default: Any = field.default
        if not any(cells) and values != (default if _is_axis(field) else (default,)):
            lines.append(f"{shown} changes nothing: it has an effect only with {condition.words}")
    return lines


def flag_field(default: Any, usual: int | None = None, only_with: OnlyWith | None = None) -> Any:
    """Returns a field for a flag that is no field of a config; its type describes it.

    Args:
      default: the default value.
      usual, only_with: as of `research.task.field`.
    """
    return dataclasses.field(default=default, metadata={"usual": usual, "only_with": only_with})


def _shown(field: dataclasses.Field, values: tuple[Any, ...]) -> str:
    """A flag as the user gives it."""
    if not _is_axis(field) and isinstance(values[0], bool):
        return flag_of(field.name if values[0] else f"no_{field.name}")
    return " ".join([flag_of(field.name), *map(str, values)])


def _flags(arguments: Any) -> Iterator[tuple[dataclasses.Field, tuple[Any, ...]]]:
    """Yields each flag with its values, of which those that are no axis have one."""
    for field in dataclasses.fields(arguments):
        value = getattr(arguments, field.name)
        yield field, (value if _is_axis(field) else (value,))


def _is_axis(field: dataclasses.Field) -> bool:
    return bool(field.metadata.get("axis"))


def _cells(condition: OnlyWith, given: Mapping[str, tuple[Any, ...]]) -> Iterator[bool]:
    """Yields whether a condition holds in each cell of the grid."""
    for values in itertools.product(*(given[name] for name in condition.fields)):
        yield bool(condition.holds(*values))
