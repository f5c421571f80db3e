"""Turns lists of values into runs: config values into groups, one program each; hyper-parameters
and seeds into lanes."""

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from research.errors import UserError, did_you_mean, shortlist
from research.limits import (
    MOST_RUNS,
    as_field,
    as_int,
    as_seed,
    as_stored,
    check_usual,
    fitted,
    flag_of,
    plain,
    short,
)
from research.task import HParams, Requirement, Task

Axes = Mapping[str, Sequence[Any]]  # field name -> the values it takes


class Sampler(Protocol):
    """Draws settings where no grid is wanted, such as `research.runs.search.Search`."""

    @property
    def settings(self) -> int:
        """How many settings are drawn."""
        ...

    def draw(self, hparams: HParams, axes: Axes) -> Sequence[dict[str, Any]]:
        """Settings, field -> value, from axes that are ranges or choices.

        Raises:
          UserError: if they cannot be drawn.
        """
        ...


class Runs(NamedTuple):
    """R runs of one program, stacked along the first axis.

    Attributes:
      seeds: uint32 [R], the integer the user typed. Two runs with one seed share their keys,
        whatever their hyper-parameters: they start from the same weights.
      hparams: the hparams dataclass with float32 (or int32, bool) leaves [R].
    """

    seeds: np.ndarray
    hparams: HParams

    def __len__(self) -> int:
        return len(self.seeds)

    def take(self, places: np.ndarray) -> "Runs":
        """Returns the runs at these places, in that order."""
        return Runs(self.seeds[places], jax.tree.map(lambda leaf: leaf[places], self.hparams))


class Group(NamedTuple):
    """The runs that share a config and therefore a compiled program."""

    config: Any
    runs: Runs


def parse_seeds(words: Sequence[str], usual: int = MOST_RUNS) -> tuple[int, ...]:
    """Returns the seeds that words name: `["64"]` is 0 to 63, `["3", "5"]` or `["3,5"]` a list.

    Args:
      words: what the user gave.
      usual: a larger count has to be lifted by `--unbounded`.

    Raises:
      UserError: for no seeds, a word that is no whole number, a negative, too large or repeated
        seed, or too many of them.
    """
    given = " ".join(words)
    parts = given.replace(",", " ").split()
    line = given if len(given) <= 40 else given[:40] + "..."
    try:
        seeds = [int(part) for part in parts]
    except ValueError:
        seeds = []
    if not seeds:
        raise UserError(f"--seeds {line!r}: give a count such as 64, or a list such as 3 5 7")
    if len(seeds) > 1 or "," in given:
        return check_seeds(seeds)
    if usual < seeds[0] <= MOST_RUNS:
        check_usual(f"--seeds {seeds[0]}", seeds[0], usual, unbounded=False)
    return check_seeds(seeds[0])


def check_seeds(seeds: Any) -> tuple[int, ...]:
    """Returns distinct seeds as a tuple of ints, from a count or from the seeds themselves.

    Raises:
      UserError: for an invalid count or seed, for a seed given twice, and for too many.
    """
    if isinstance(plain(seeds), int | float):
        count = as_int("--seeds", seeds)
        if count < 1:
            raise UserError(f"--seeds {count}: a count of seeds is at least 1")
        if count > MOST_RUNS:
            raise UserError(f"--seeds {short(count)}: a count of seeds is at most {MOST_RUNS}")
        return tuple(range(count))
    if len(seeds) > MOST_RUNS:
        raise UserError(f"--seeds: {len(seeds)} of them; give at most {MOST_RUNS}")
    given = tuple(as_seed("--seeds", seed) for seed in seeds)
    if not given:
        raise UserError("--seeds: give at least one")
    if repeated := sorted(seed for seed, times in Counter(given).items() if times > 1):
        raise UserError(f"--seeds: {shortlist(repeated)} given more than once; name each once")
    return given


def check_axes(kind: Any, axes: Axes) -> Axes:
    """Returns the axes with every value converted to the type of its field of the dataclass
    `kind`.

    Raises:
      UserError: naming the flag and the value: for an axis that is no field or has no values, a
        value out of range or that does not fit the type, and for two that are one in the program.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    checked: Axes = {}
    for name, values in axes.items():
        if name not in fields:
            owner = (kind if isinstance(kind, type) else type(kind)).__name__
            meant = did_you_mean(name, fields)
            raise UserError(
                f"{owner} has no field {name!r}; {meant or f'it has {shortlist(fields, 20)}'}"
            )
        flag = flag_of(name)
        checked[name] = tuple(
            as_field(flag, value, fields[name]) for value in _as_list(flag, values)
        )
        _check_distinct(flag, checked[name])
    return checked


def check_values(dataclass: Any) -> Any:
    """Returns a config or hparams dataclass with every value converted to the type of its field.

    Raises:
      UserError: naming the flag and the value that does not fit; for what is no dataclass.
    """
    if isinstance(dataclass, type):
        raise UserError(f"{dataclass.__name__} is a class: give an object of it, with its values")
    if not dataclasses.is_dataclass(dataclass):
        raise UserError(
            f"a {type(dataclass).__name__} where a dataclass of fields and their values is needed: "
            "a frozen one for a config, flax.struct's for hyper-parameters"
        )
    given: Any = dataclass
    return dataclasses.replace(given, **fitted(given))


def product(axes: Axes) -> Iterator[dict[str, Any]]:
    """Yields every combination of the values of the axes; the last axis varies fastest."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def make_runs(
    hparams: HParams, axes: Axes, seeds: int | Sequence[int], search: Sampler | None = None
) -> Runs:
    """Returns the grid over `axes`, or settings drawn from it, times `seeds`; other hyper-
    parameters keep their value in `hparams`.

    Runs of one setting are neighbours: run = setting x len(seeds) + place of the seed.

    Raises:
      UserError: for a value, seed or axis that does not fit, and for too many runs.
    """
    hparams, axes, seeds = check_values(hparams), check_axes(hparams, axes), check_seeds(seeds)
    if jax.tree.structure(hparams) == jax.tree.structure(0):
        raise UserError(
            f"{type(hparams).__name__} is a leaf to JAX; hyper-parameters are a dataclass of "
            "flax.struct (@struct.dataclass), whose fields can be traced one by one"
        )
    count = math.prod(map(len, axes.values())) if search is None else search.settings
    if count * len(seeds) > MOST_RUNS:
        raise UserError(
            f"{short(count)} settings with {len(seeds)} seeds each: at most {MOST_RUNS} runs are "
            "trained at once; give fewer values or seeds"
        )
    chosen = product(axes) if search is None else search.draw(hparams, axes)
    settings = [dataclasses.replace(hparams, **values) for values in chosen]
    stacked = jax.tree.map(lambda *leaves: np.repeat(_column(leaves), len(seeds)), *settings)
    return Runs(np.tile(np.asarray(seeds, np.uint32), len(settings)), stacked)


def check_requirements(task: Task, runs: Runs, group: str = "") -> None:
    """Checks that every setting fulfils what the task requires of its hyper-parameters; else as
    `check_holds`."""
    check_holds(task.requirements(runs.hparams), runs, group)


def check_holds(requirements: Sequence[Requirement], runs: Runs, group: str = "") -> None:
    """Checks that every setting fulfils some conditions.

    Args:
      requirements: the conditions.
      runs: all of them.
      group: the config values that are swept, for the message.

    Raises:
      UserError: naming the values, what must hold, and the cell of the grid.
    """
    columns = vars(runs.hparams)
    for requirement in requirements:
        broken = np.flatnonzero(~np.broadcast_to(requirement.holds, len(runs)))
        if not len(broken):
            continue
        value = {name: column[broken[0]] for name, column in columns.items()}
        given = " ".join(f"{flag_of(name)} {value[name]}" for name in requirement.fields)
        swept = [name for name, column in columns.items() if np.any(column != column[0])]
        cell = " ".join([group, *(f"{name}={value[name]}" for name in swept)]).strip()
        where = f"; it does not in the setting {cell}" if cell else ""
        raise UserError(f"{given}: {requirement.reason}{where}".removeprefix(": "))


def make_groups(
    config: Any,
    config_axes: Axes,
    hparams: HParams,
    hparams_axes: Axes,
    seeds: Sequence[int],
    search: Sampler | None = None,
) -> list[Group]:
    """Returns one group per combination of config values, each with all settings of hparams and
    all seeds."""
    config, config_axes = check_values(config), check_axes(config, config_axes)
    runs = make_runs(hparams, hparams_axes, seeds, search)
    configs = [dataclasses.replace(config, **values) for values in product(config_axes)]
    return [Group(config, runs) for config in configs]


def _as_list(flag: str, values: Any) -> list[Any]:
    try:
        listed = None if isinstance(values, str) else list(values)
    except TypeError:  # such as a number, or an array of no axis
        listed = None
    if listed is None:
        raise UserError(f"{flag} {values}: give a list of values")
    if not listed:
        raise UserError(f"{flag}: give at least one value")
    return listed


def _check_distinct(flag: str, values: Sequence[Any]) -> None:
    seen: dict[Any, Any] = {}
    for value in values:
        stored = as_stored(value)
        if stored not in seen:
            seen[stored] = value
        elif seen[stored] == value:
            shown = _shown(value)
            widths = isinstance(value, tuple) and all(isinstance(width, int) for width in value)
            meant = "x".join(_shown(one) for one in values) if widths and value else ""
            right = f"; for one net of several layers, give {flag} {meant}" if meant else ""
            raise UserError(f"{flag} {shown} {shown}: a value is given twice{right}")
        else:
            raise UserError(f"{flag} {seen[stored]} {value}: these are one float32; give only one")


def _shown(value: Any) -> str:
    """A value as the user gives it."""
    return ("x".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def _column(values: Sequence[Any]) -> np.ndarray:
    """The values as one array of the 32-bit type that JAX computes in."""
    column = np.asarray(values)
    kinds = {"f": np.float32, "i": np.int32, "b": np.bool_}
    return column.astype(kinds[column.dtype.kind])
