"""Checks of the user's numbers against the 32-bit types that they become.

A compiled program checks nothing: an int32 wraps around, a float32 overflows or becomes 0. So every
number is checked here, on the host, before anything compiles.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from research.errors import UserError

MOST_INT = 2**31 - 1  # of int32
MOST_SEED = 2**32 - 1  # of uint32
MOST_RUNS = 2**24  # in an experiment; the host keeps a record of each
MOST_ITEMS = 1_000  # of a list of numbers, such as the widths of layers
USUAL_RUNS = 2**18  # beyond, minutes pass before anything is trained
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


def plain(value: Any) -> Any:
    """The Python value of a NumPy or JAX scalar; any other value unchanged."""
    return value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value


def as_int(flag: str, value: Any, low: int = -MOST_INT - 1, high: int = MOST_INT) -> int:
    """`value` as an int between `low` and `high`, by default the range of int32.

    Raises:
      UserError: if it is not a whole number (2.0 is one, True is not), or is out of range.
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
    """`value` as a float that, as a float32, neither overflows nor underflows to 0.

    Raises:
      UserError: if it is not a number (True is not), not finite, too large or too small.
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
      UserError: for anything but True and False, such as 0 and 1.
    """
    value = plain(value)
    if not isinstance(value, bool):
        raise UserError(f"{flag} {value}: must be True or False")
    return value


def as_seed(flag: str, value: Any) -> int:
    """`value` as an int in the range of uint32.

    Raises:
      UserError: if it is not one.
    """
    return as_int(flag, value, 0, MOST_SEED)


def as_field(flag: str, value: Any, field: dataclasses.Field) -> Any:
    """`value` as the type of a dataclass field, checked against the range of the field.

    The type is float, int, bool, str or a tuple of int; `research.task.field` states the range.

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
        value = tuple(_as_item(flag, item, field) for item in items)
        if len(value) > MOST_ITEMS and not field.metadata.get("words"):
            raise UserError(f"{flag}: {len(value)} of them; give at most {MOST_ITEMS}")
    elif kind == "str" and not isinstance(value, str):
        raise UserError(f"{flag} {value}: must be a word")
    if kind in ("float", "int"):
        check_range(flag, value, field.metadata)
    return value


def _as_item(flag: str, item: Any, field: dataclasses.Field) -> Any:
    """An item of a tuple: a word or an int, as the field has them."""
    if not field.metadata.get("words"):
        return as_int(flag, item)
    if not isinstance(item, str):
        raise UserError(f"{flag} {item}: must be a word")
    return item


def fitted(dataclass: Any) -> dict[str, Any]:
    """The fields that the user sets, name -> value, each value of the type of its field.

    Raises:
      UserError: naming the flag and the value that does not fit.
    """
    return {
        field.name: as_field(flag_of(field.name), getattr(dataclass, field.name), field)
        for field in dataclasses.fields(dataclass)
        if not field.metadata.get("derived")
    }


def fit_fields(frozen: Any) -> None:
    """Converts every field of a frozen dataclass, in place, to the type of the field.

    For the `__post_init__` of a config, which must hold no NumPy scalar.

    Raises:
      UserError: as `fitted`.
    """
    for name, value in fitted(frozen).items():
        object.__setattr__(frozen, name, value)


def flag_of(name: str) -> str:
    """The flag of a field: `--learning-rate` of `learning_rate`."""
    return "--" + name.replace("_", "-")


def _kind(field: dataclasses.Field, value: Any) -> str:
    """The name of a field's type, from its annotation, else from its default or the value."""
    declared = getattr(field.type, "__name__", str(field.type)).partition("[")[0]
    if declared in ("float", "int", "bool", "tuple", "str"):
        return declared
    example = value if field.default is dataclasses.MISSING else field.default
    return type(plain(example)).__name__


def check_usual(given: str, value: int, usual: int, unbounded: bool) -> None:
    """Checks a count that would take very long if it were larger than is usual.

    Args:
      given: what the user gave, in words.
      value: the count in it.
      usual: the most of it.
      unbounded: whether the user has lifted the bound by `--unbounded`.

    Raises:
      UserError: if it is.
    """
    if value > usual and not unbounded:
        raise UserError(
            f"{given}: more than {usual:,} would take very long; --unbounded lifts this bound"
        )


def as_stored(value: Any) -> Any:
    """`value` as the program holds it: a float is rounded to float32."""
    return np.float32(value).item() if isinstance(value, float) else value


def check_range(flag: str, value: Any, metadata: Any) -> None:
    """Checks that a number is in the range of its field, also after rounding to float32.

    For example, 0.99999999 is rounded to 1.

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
    """Whether a value is in the range; NaN never is."""
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
    """A number as text, abbreviated if it has more than 20 digits."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"{'-' if value < 0 else ''}1e{int(abs(value).bit_length() * math.log10(2))} or so"
    return str(value)
