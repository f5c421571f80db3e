"""The space of a search: a range or a list of choices for each hyper-parameter."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.engine.axes import Axes, make_runs
from research.limits import as_stored
from research.task import HParams, Task, no_requirements

Setting = Mapping[str, Any]  # hyper-parameter -> value


class Dimension(NamedTuple):
    """What is searched of one hyper-parameter.

    Attributes:
      name: of the hyper-parameter.
      choices: the values to choose from; empty for a range.
      low, high: the ends of a range, both of them in it.
      log: whether the range is searched evenly in the logarithm.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: Any = 0
    high: Any = 0
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return not self.choices and isinstance(self.low, int) and isinstance(self.high, int)

    def value(self, place: float) -> Any:
        """Returns the value at a place between 0 and 1, where even places make even values."""
        place = min(max(float(place), 0.0), 1.0)
        if self.choices:
            return self.choices[min(int(place * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return self.fitted(math.exp(low + place * (high - low)))
        if self.is_whole:
            return min(self.low + int(place * (self.high - self.low + 1)), self.high)
        return self.fitted(self.low + place * (self.high - self.low))

    def place(self, value: Any) -> float:
        """Returns the place of a value of a range; undoes `value` to rounding."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(value) - low) / (high - low)
        if self.is_whole:
            return (value - self.low + 0.5) / (self.high - self.low + 1)
        return (value - self.low) / (self.high - self.low)

    def fitted(self, value: float) -> Any:
        """Returns a value of a range in four digits, which the user can type again."""
        near = round(value) if self.is_whole else four_digits(value)
        return min(max(near, self.low), self.high)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of it, of the right type."""
        if self.choices:
            return any(value == one and type(value) is type(one) for one in self.choices)
        kinds = (int,) if self.is_whole else (int, float)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high


Space = Sequence[Dimension]


def make_space(hparams: HParams, axes: Axes) -> tuple[Dimension, ...]:
    """Returns the space of axes: two numbers are the ends of a range, anything else is a list of
    choices.

    Args:
      hparams: a dataclass, whose fields say which ranges are searched by their logarithm.
      axes: field -> what was given.
    """
    log = {field.name: bool(field.metadata.get("log")) for field in dataclasses.fields(hparams)}
    space = []
    for name, values in axes.items():
        if is_range(values):
            low, high = sorted(values)
            space.append(Dimension(name, (), low, high, log[name]))
        else:
            space.append(Dimension(name, tuple(values)))
    return tuple(space)


def is_range(values: Sequence[Any]) -> bool:
    """Whether values are the ends of a range: two numbers."""
    return len(values) == 2 and not any(isinstance(value, bool | str) for value in values)


def four_digits(value: float) -> float:
    """Returns a number in so many digits that the user can type the same value again."""
    return float(f"{value:.3e}")


def key_of(setting: Setting) -> tuple[Any, ...]:
    """What tells a setting from others: its values as the program holds them, in float32."""
    return tuple(as_stored(setting[name]) for name in sorted(setting))


class Chosen(NamedTuple):
    """Settings that were chosen, as the engine takes them in the place of a grid."""

    chosen: Sequence[dict[str, Any]]

    @property
    def settings(self) -> int:
        """How many there are."""
        return len(self.chosen)

    def draw(self, hparams: HParams, axes: Axes) -> Sequence[dict[str, Any]]:
        """Returns them."""
        del hparams, axes
        return self.chosen


def requirements_of(task: Task, hparams: HParams, axes: Axes) -> Callable[[Setting], bool]:
    """Returns a function that says whether a setting fulfils what a task requires of its
    hyper-parameters together."""
    if task.requirements is no_requirements:
        return lambda setting: True

    def allowed(setting: Setting) -> bool:
        runs = make_runs(hparams, axes, (0,), Chosen([dict(setting)]))
        return all(bool(np.all(one.holds)) for one in task.requirements(runs.hparams))

    return allowed
