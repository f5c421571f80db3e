"""Numbers that the user gives, as the 32-bit types that they become.

Nothing is checked once a program runs: an int32 wraps around, a float32 becomes infinite or 0. So
every number is checked here, on the host, before anything compiles.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from research.errors import UserError

MOST_INT = 2**31 - 1  # of int32
MOST_SEED = 2**32 - 1  # of uint32
MOST_RUNS = 2**24  # of an experiment; the host keeps a record of each
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


def plain(value: Any) -> Any:
    """A NumPy or JAX scalar as the Python value it holds; anything else as it is."""
    return value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value


def as_int(flag: str, value: Any, low: int = -MOST_INT - 1, high: int = MOST_INT) -> int:
    """`value` as an int between `low` and `high`, by default what an int32 holds.

    Raises:
      UserError: for what is no whole number (2.0 is one, True is none), or lies outside.
    """
    value = plain(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{flag} {value}: must be a whole number")
    if not low <= value <= high:
        bound = f"at least {low}" if value < low else f"at most {high}"
        legal = f"between {low} and {high}" if (low, high) == (0, MOST_SEED) else bound
        raise UserError(f"{flag} {short(value)}: must be {legal}")
    return value


def as_float(flag: str, value: Any) -> float:
    """`value` as a float that is finite as a float32, and 0 there only if it is 0 here.

    Raises:
      UserError: for what is no number (True is none), not finite, too large or too small.
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{flag} {value}: must be a number")
    if value != value or value in (math.inf, -math.inf):
        raise UserError(f"{flag} {value}: must be a finite number")
    if abs(value) > _LARGEST:
        raise UserError(f"{flag} {short(value)}: a float32 holds at most {_LARGEST:.4g}")
    if 0 < abs(value) < _SMALLEST:
        raise UserError(f"{flag} {value}: a float32 holds nothing between 0 and {_SMALLEST:.4g}")
    return float(value)


def as_bool(flag: str, value: Any) -> bool:
    """`value` as a bool.

    Raises:
      UserError: for anything but True and False; 0 and 1 are numbers.
    """
    value = plain(value)
    if not isinstance(value, bool):
        raise UserError(f"{flag} {value}: must be True or False")
    return value


def as_seed(flag: str, value: Any) -> int:
    """`value` as an int that a uint32 holds.

    Raises:
      UserError: if it is none.
    """
    return as_int(flag, value, 0, MOST_SEED)


def as_field(flag: str, value: Any, field: dataclasses.Field) -> Any:
    """`value` as the type of a dataclass field (float, int, bool, str or tuple of int), and in the
    range that `research.task.field` states for it.

    Raises:
      UserError: if it does not fit.
    """
    kind = _kind(field, value)
    if kind == "float":
        value = as_float(flag, value)
    elif kind == "int":
        bounds = {} if field.metadata.get("high") is None else {"high": MOST_SEED}
        value = as_int(flag, value, **bounds)
    elif kind == "bool":
        value = as_bool(flag, value)
    elif kind == "tuple":
        items = value if isinstance(value, tuple | list) else (value,)
        value = tuple(item if isinstance(item, str) else as_int(flag, item) for item in items)
    elif kind == "str" and not isinstance(value, str):
        raise UserError(f"{flag} {value}: must be a word")
    if kind in ("float", "int"):
        check_range(flag, value, field.metadata)
    return value


def fitted(dataclass: Any) -> dict[str, Any]:
    """Every field that the user gives, its value as the type of the field.

    Raises:
      UserError: naming the flag and the value that does not fit.
    """
    return {
        field.name: as_field(flag_of(field.name), getattr(dataclass, field.name), field)
        for field in dataclasses.fields(dataclass)
        if not field.metadata.get("derived")
    }


def fit_fields(frozen: Any) -> None:
    """Sets every field of a frozen dataclass to its value as the type of the field: for the
    `__post_init__` of a config, which must hold no NumPy scalar.

    Raises:
      UserError: as `fitted`.
    """
    for name, value in fitted(frozen).items():
        object.__setattr__(frozen, name, value)


def flag_of(name: str) -> str:
    """The flag of a field: `--learning-rate` of `learning_rate`."""
    return "--" + name.replace("_", "-")


def _kind(field: dataclasses.Field, value: Any) -> str:
    """The name of a field's type: by its annotation, or its default, or the value given."""
    declared = getattr(field.type, "__name__", str(field.type)).partition("[")[0]
    if declared in ("float", "int", "bool", "tuple", "str"):
        return declared
    example = value if field.default is dataclasses.MISSING else field.default
    return type(plain(example)).__name__


def as_stored(value: Any) -> Any:
    """A value as the program holds it: 0.01 and 0.010000000001 are one float32."""
    return np.float32(value).item() if isinstance(value, float) else value


def check_range(flag: str, value: Any, metadata: Any) -> None:
    """A number lies in the range that its `research.task.field` states, as the float32 it becomes:
    0.99999999 is 1 there.

    Raises:
      UserError: naming the range.
    """
    bounds = [metadata.get(name) for name in ("low", "high", "above", "below")]
    if isinstance(value, float):
        bounds = [None if bound is None else float(bound) for bound in bounds]
    in_range = _within(value, *bounds)
    if in_range and _within(as_stored(value), *map(as_stored, bounds)):
        return
    rounded = f" (as a float32, {as_stored(value):g})" if in_range else ""
    raise UserError(f"{flag} {short(value)}{rounded}: must be {_legal(metadata)}")


def _within(value: float, low: Any, high: Any, above: Any, below: Any) -> bool:
    """NaN lies in no range."""
    return (
        (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def _legal(metadata: Any) -> str:
    low, high = metadata.get("low"), metadata.get("high")
    if None not in (low, high):
        return f"between {low} and {high}"
    words = {"low": "at least", "above": "above", "high": "at most", "below": "below"}
    given = {word: metadata.get(name) for name, word in words.items()}
    return " and ".join(f"{word} {bound}" for word, bound in given.items() if bound is not None)


def short(value: Any) -> str:
    """A number in a line, not in a page."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"{'-' if value < 0 else ''}1e{int(abs(value).bit_length() * math.log10(2))} or so"
    return str(value)
