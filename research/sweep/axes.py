"""From lists of values to runs: the grid, split into groups by config and into lanes by hparams."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from research.errors import UserError, shortlist
from research.sweep.search import Axes, Search, draw_settings
from research.task import HParams


class Runs(NamedTuple):
    """R runs of one program, side by side.

    Attributes:
      seeds: uint32 [R], the integer a person typed. Two runs with one seed share their keys,
        whatever their hyper-parameters: they start from the same weights.
      hparams: the hparams dataclass with float32 (or int32, bool) leaves [R].
    """

    seeds: np.ndarray
    hparams: HParams

    def __len__(self) -> int:
        return len(self.seeds)

    def take(self, places: np.ndarray) -> "Runs":
        """Some of them, in that order."""
        return Runs(self.seeds[places], jax.tree.map(lambda leaf: leaf[places], self.hparams))


class Group(NamedTuple):
    """The runs that share a config, hence a program."""

    config: Any
    runs: Runs


def parse_seeds(words: Sequence[str]) -> tuple[int, ...]:
    """`["64"]` is the seeds 0 to 63; `["3", "5"]` or `["3,5"]` is an explicit list.

    Raises:
      UserError: for no seeds, a word that is no whole number, a negative or repeated seed.
    """
    given = " ".join(words)
    parts = given.replace(",", " ").split()
    if not parts or not all(part.lstrip("-").isdecimal() for part in parts):
        raise UserError(f"--seeds {given!r}: give a count such as 64, or a list such as 3 5 7")
    seeds = tuple(int(part) for part in parts)
    if len(seeds) == 1 and "," not in given:
        if seeds[0] < 1:
            raise UserError(f"--seeds {given}: a count of seeds is at least 1")
        return tuple(range(seeds[0]))
    if min(seeds) < 0 or max(seeds) >= 2**32:
        raise UserError(f"--seeds {given}: a seed lies between 0 and {2**32 - 1}")
    if repeated := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise UserError(f"--seeds: {shortlist(repeated)} given more than once; name each once")
    return seeds


def check_axes(kind: Any, axes: Axes) -> None:
    """Every axis is a field of the dataclass `kind`, and its values are distinct and in range.

    Raises:
      UserError: naming the flag, the value and the range.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name, values in axes.items():
        if name not in fields:
            raise UserError(f"no hyper-parameter {name!r}; there are {shortlist(fields, 20)}")
        flag = "--" + name.replace("_", "-")
        if not values:
            raise UserError(f"{flag}: give at least one value")
        if len(set(values)) < len(values):
            raise UserError(f"{flag} {' '.join(map(str, values))}: a value is given twice")
        metadata = fields[name].metadata
        low, high = metadata.get("low"), metadata.get("high")
        for value in values:
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"{flag} {value}: must be a finite number")
            if (low is not None and not value >= low) or (high is not None and not value <= high):
                legal = f"at least {low}" if high is None else f"between {low} and {high}"
                raise UserError(f"{flag} {value}: must be {legal}")


def product(axes: Axes) -> Iterator[dict[str, Any]]:
    """Every combination of the values of the axes; the last axis varies fastest."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def make_runs(
    hparams: HParams, axes: Axes, seeds: Sequence[int], search: Search | None = None
) -> Runs:
    """The grid over `axes`, or settings drawn from it, times `seeds`; the other hyper-parameters
    as in `hparams`.

    Runs of one setting are neighbours: run = setting x len(seeds) + place of the seed.
    """
    check_axes(hparams, _single(hparams) | axes)
    chosen = product(axes) if search is None else draw_settings(hparams, axes, search)
    settings = [dataclasses.replace(hparams, **values) for values in chosen]
    stacked = jax.tree.map(lambda *leaves: np.repeat(_column(leaves), len(seeds)), *settings)
    return Runs(np.tile(np.asarray(seeds, np.uint32), len(settings)), stacked)


def make_groups(
    config: Any,
    config_axes: Axes,
    hparams: HParams,
    hparams_axes: Axes,
    seeds: Sequence[int],
    search: Search | None = None,
) -> list[Group]:
    """One group a combination of config values, each with all settings of hparams and seeds."""
    check_axes(config, _single(config) | config_axes)
    runs = make_runs(hparams, hparams_axes, seeds, search)
    configs = [dataclasses.replace(config, **values) for values in product(config_axes)]
    return [Group(config, runs) for config in configs]


def _single(dataclass: Any) -> dict[str, Sequence[Any]]:
    """Every field as an axis of one value."""
    return {name: [value] for name, value in vars(dataclass).items()}


def _column(values: Sequence[Any]) -> np.ndarray:
    """The values as one array of the 32-bit type that JAX computes in."""
    column = np.asarray(values)
    kinds = {"f": np.float32, "i": np.int32, "b": np.bool_}
    return column.astype(kinds[column.dtype.kind])
