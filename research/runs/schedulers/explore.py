"""Changes hyper-parameters within the ranges that the user gave: perturbs them, or draws anew."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.engine.axes import Axes
from research.limits import as_stored
from research.runs.search import draw_value
from research.runs.space import four_digits, is_range
from research.task import HParams

TRIES = 20  # at values that go together, before those of the parent are kept


class Explore(NamedTuple):
    """How hyper-parameters change when a run takes over the state of another.

    Attributes:
      axes: hyper-parameter -> the two ends of its range, or the values to choose from.
      log: those that are drawn by their logarithm, such as rates.
      perturb: the two factors, of which one is drawn; at the end of a range, the other one.
      resample: the probability of drawing a value anew instead.
      allowed: hparams with leaves [R] -> bool [R], whether the values of each go together.
    """

    axes: Axes
    log: frozenset[str]
    perturb: tuple[float, float]
    resample: float
    allowed: Callable[[HParams], np.ndarray]

    def change(
        self, hparams: HParams, places: Sequence[int], random: np.random.Generator
    ) -> HParams:
        """Returns hparams with leaves [R] that are changed at some places."""
        columns = {name: column.copy() for name, column in vars(hparams).items()}
        wanted = list(places)
        for _ in range(TRIES):
            for place in wanted:
                for name in self.axes:
                    before = vars(hparams)[name][place].item()
                    columns[name][place] = self._change_one(name, before, random)
            good = self.allowed(dataclasses.replace(hparams, **columns))
            wanted = [place for place in wanted if not good[place]]
            if not wanted:
                break
        for name in self.axes:
            columns[name][wanted] = vars(hparams)[name][wanted]
        return dataclasses.replace(hparams, **columns)

    def _change_one(self, name: str, value: Any, random: np.random.Generator) -> Any:
        given, log = self.axes[name], name in self.log
        anew, first = random.random() < self.resample, int(random.integers(2))
        if anew:
            return draw_value(random, given, log)
        moved = [_moved(value, factor, given, log) for factor in self.perturb]
        at_an_end = as_stored(moved[first]) == as_stored(value)
        return moved[1 - first] if at_an_end else moved[first]


def make_explore(
    hparams: HParams,
    axes: Axes,
    perturb: tuple[float, float],
    resample: float,
    allowed: Callable[[HParams], np.ndarray],
) -> Explore:
    """Returns how the hyper-parameters of the axes change; see `Explore`."""
    metadata: Mapping[str, Any] = {
        field.name: field.metadata for field in dataclasses.fields(hparams)
    }
    log = frozenset(name for name in axes if metadata[name].get("log"))
    return Explore(axes, log, perturb, resample, allowed)


def _moved(value: Any, factor: float, given: Sequence[Any], log: bool) -> Any:
    """A value of a range times the factor; on a range that is not drawn by its logarithm, moved by
    as large a share of the range. It stays within, and a whole number moves by 1 at least. Of a
    list, the next value, or the one before."""
    if not is_range(given):
        place = int(np.argmin([abs(float(one) - float(value)) for one in given]))
        return given[min(max(place + (1 if factor > 1 else -1), 0), len(given) - 1)]
    low, high = sorted(given)
    moved = value * factor if log else value + (factor - 1) * (high - low)
    if isinstance(low, int) and isinstance(high, int):
        least = value + 1 if factor > 1 else value - 1
        moved = max(round(moved), least) if factor > 1 else min(round(moved), least)
    else:
        moved = four_digits(moved)
    return min(max(moved, low), high)
