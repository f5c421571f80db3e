"""What is asked of a search: how many settings, which sampler proposes them (at random: Bergstra
and Bengio, 2012), and how long each trains (Jamieson and Talwalkar, 2016)."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.engine.axes import Axes
from research.errors import UserError, did_you_mean
from research.limits import MOST_RUNS, as_int, as_seed, as_stored, short
from research.plain_text import one_line, shortened
from research.runs.samplers import SAMPLERS, is_adaptive, propose
from research.runs.space import four_digits, is_range, make_space, requirements_of
from research.task import HParams, Task

USUAL_BATCHES = 8  # of a search whose batch is not given
LEAST_GENERATION = 4  # settings that CMA-ES needs to tell in which direction they get better


class Search(NamedTuple):
    """How many settings to search, from which seed, and how.

    Attributes:
      settings: how many.
      seed: of the draws.
      sampler: one of `research.runs.samplers.SAMPLERS`.
      batch: settings that are proposed at once by a sampler that looks at scores; None leaves it
        to `per_batch`.
    """

    settings: int
    seed: int = 0
    sampler: str = "random"
    batch: int | None = None

    @property
    def in_batches(self) -> bool:
        """Whether later settings are proposed by the scores of earlier ones."""
        return is_adaptive(self.sampler)

    @property
    def per_batch(self) -> int:
        """How many settings are proposed at once: all, unless the sampler looks at scores."""
        if not self.in_batches:
            return self.settings
        usual = max(math.ceil(self.settings / USUAL_BATCHES), LEAST_GENERATION)
        return min(self.batch or usual, self.settings)

    @property
    def batches(self) -> int:
        """The number of batches."""
        return math.ceil(self.settings / self.per_batch)

    def places(self, batch: int) -> range:
        """The places of the settings of a batch among all."""
        return range(self.settings)[batch * self.per_batch : (batch + 1) * self.per_batch]

    def draw(self, hparams: HParams, axes: Axes) -> list[dict[str, Any]]:
        """Draws settings at random; see `draw_settings`."""
        return draw_settings(hparams, axes, self)

    def settings_for(self, hparams: HParams, axes: Axes, task: Task) -> list[dict[str, Any]]:
        """Returns all settings, but for a random search such that a task takes them: those of a
        Sobol sequence, or random ones in the place of what will be proposed by scores.

        Raises:
          UserError: if there are too few.
        """
        if self.sampler == "random":
            return self.draw(hparams, axes)
        sampler = "random" if self.in_batches else self.sampler
        allowed = requirements_of(task, hparams, axes)
        space = make_space(hparams, axes)
        found = propose(sampler, space, (), self.settings, self.seed, allowed)
        if len(found) < self.settings:
            raise UserError(
                f"--search {self.settings}: what was given makes {len(found)} settings or so that "
                "the task takes; search fewer"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """What a run folder records of it. A random search is recorded as it always was."""
        facts: dict[str, Any] = {"settings": self.settings, "seed": self.seed}
        if self.sampler != "random":
            facts["sampler"] = self.sampler
        return facts | ({"batch": self.per_batch} if self.in_batches else {})


def check_search(
    count: int | None, seed: int, sampler: str = "random", batch: int | None = None
) -> Search | None:
    """Returns the search that `--search`, `--search-seed`, `--sampler` and `--batch` ask for; None
    for a grid.

    Raises:
      UserError: for numbers that make none, and for what only a search has.
    """
    seed = as_seed("--search-seed", seed)
    if sampler not in SAMPLERS:
        shown, names = shortened(one_line(sampler)), ", ".join(SAMPLERS)
        asked = did_you_mean(sampler, SAMPLERS)
        raise UserError(f"--sampler {shown}: there are {names}; {asked}".removesuffix("; "))
    if batch is not None and batch < 1:
        raise UserError(f"--batch {short(batch)}: give how many settings at once, at least 1")
    if count is None:
        for flag, value in (("--sampler", sampler), ("--batch", batch)):
            if value not in ("random", None):
                raise UserError(
                    f"{flag} {short(value)}: it goes with a search; give the number of settings "
                    "with --search"
                )
        return None
    if count < 1:
        raise UserError(f"--search {short(count)}: give how many settings to draw, at least 1")
    search = Search(as_int("--search", count, high=MOST_RUNS), seed, sampler, batch)
    if batch is not None and batch > count:
        raise UserError(f"--batch {short(batch)}: is more than all settings; --search is {count}")
    if sampler == "cmaes" and search.per_batch < LEAST_GENERATION:
        flag = f"--search {count}" if batch is None else f"--batch {batch}"
        raise UserError(f"{flag}: --sampler cmaes needs at least {LEAST_GENERATION} at once")
    return search


class Halving(NamedTuple):
    """Successive halving: one in `factor` settings continues, to `factor` times as many steps.

    Attributes:
      factor: eta in the papers.
      rungs: how often settings are compared, the end included.
      asynchronous: whether settings are promoted by what has ended so far, and no rung is waited
        for.
    """

    factor: int
    rungs: int
    asynchronous: bool = False

    def stops(self, steps: int, log_every: int) -> list[int]:
        """The steps at which the rungs end, the last of them being `steps`. They are whole logs,
        so that nothing that is logged spans two rungs.

        Raises:
          UserError: if there are more rungs than that.
        """
        wanted = [steps / self.factor**left for left in reversed(range(1, self.rungs))]
        stops = [log_every * round(step / log_every) for step in wanted] + [steps]
        if stops[0] < 1 or any(a >= b for a, b in itertools.pairwise(stops)):
            raise UserError(
                f"--rungs {self.rungs}: {steps} steps, logged every {log_every}, cannot be cut "
                f"into so many by --halving {self.factor}; give fewer, or a smaller --log-every"
            )
        return stops

    def check_settings(self, settings: int) -> None:
        """Raises a `UserError` if a rung would leave nothing out."""
        needed = self.factor ** (self.rungs - 1)
        if settings < needed:
            raise UserError(
                f"--halving {self.factor} --rungs {self.rungs}: needs at least {needed} settings "
                f"and there are {settings}; give fewer rungs"
            )


def check_halving(factor: int | None, rungs: int, asynchronous: bool = False) -> Halving | None:
    """Returns the halving that `--halving`, `--rungs` and `--asynchronous` ask for; None for none.

    Raises:
      UserError: for numbers that make none.
    """
    if rungs < 2:
        raise UserError(f"--rungs {short(rungs)}: must be at least 2: one comparison and the end")
    if factor is None:
        if asynchronous:
            raise UserError("--asynchronous: rungs are those of --halving FACTOR; give it as well")
        return None
    if factor < 2:
        raise UserError(
            f"--halving {short(factor)}: must be at least 2, which keeps one setting in two"
        )
    if max(factor, 2 ** min(rungs - 1, 64)) > MOST_RUNS or factor ** (rungs - 1) > MOST_RUNS:
        raise UserError(
            f"--halving {short(factor)} --rungs {short(rungs)}: needs more than {MOST_RUNS} "
            "settings; give fewer rungs"
        )
    return Halving(factor, rungs, asynchronous)


def draw_settings(hparams: HParams, axes: Axes, search: Search) -> list[dict[str, Any]]:
    """Returns distinct settings, drawn at random.

    Two numbers given for a hyper-parameter are the ends of a range: evenly drawn, or evenly in the
    logarithm where the field says so. Anything else given is a list to choose from.

    Args:
      hparams: a dataclass with the fields.
      axes: field -> what was given.
      search: how many.

    Raises:
      UserError: if there is nothing to draw, a logarithm of 0, or too few settings.
    """
    if not axes:
        raise UserError(
            f"--search {search.settings}: give a range for a hyper-parameter at least, such as "
            "--learning-rate 1e-4 1e-1"
        )
    log = {field.name: bool(field.metadata.get("log")) for field in dataclasses.fields(hparams)}
    for name, values in axes.items():
        if log[name] and is_range(values) and min(values) <= 0:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} {min(values)}: drawn by its logarithm; begin above 0")
    settings = _draw_distinct(axes, log, search)
    if len(settings) < search.settings:
        raise UserError(
            f"--search {search.settings}: what was given makes {len(settings)} settings or so; "
            "draw fewer, or leave --search out for the grid"
        )
    return settings


def _draw_distinct(axes: Axes, log: Mapping[str, bool], search: Search) -> list[dict[str, Any]]:
    """Settings that differ as the program holds them; fewer where no more are found in a hundred
    times as many draws, or there cannot be."""
    random = np.random.default_rng(search.seed)
    settings: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    wanted = min(search.settings, math.prod(map(_count, axes.values())))
    for _ in range(100 * wanted):
        if len(settings) == wanted:
            break
        one = tuple(draw_value(random, values, log[name]) for name, values in axes.items())
        settings.setdefault(tuple(map(as_stored, one)), one)
    return [dict(zip(axes, values, strict=True)) for values in settings.values()]


def _count(values: Sequence[Any]) -> int:
    """How many values there are to draw, or more."""
    if not is_range(values):
        return len(values)
    low, high = sorted(values)
    if isinstance(low, int) and isinstance(high, int):
        return high - low + 1
    return math.ceil(_place(high) - _place(low)) + 3


def _place(value: float) -> float:
    """How many numbers of four digits lie between a float and 0, about; negative below 0."""
    if value == 0:
        return 0.0
    mantissa, exponent = f"{abs(value):.3e}".split("e")
    return math.copysign(9000 * (int(exponent) + 39) + 1000 * (float(mantissa) - 1), value)


def draw_value(random: np.random.Generator, values: Sequence[Any], log: bool) -> Any:
    """Returns a value from a range, evenly or evenly in its logarithm, or one of a list."""
    if not is_range(values):
        return values[int(random.integers(len(values)))]
    low, high = sorted(values)
    if isinstance(low, int) and isinstance(high, int):
        if log:
            return round(math.exp(random.uniform(math.log(low), math.log(high))))
        return int(random.integers(low, high + 1))
    value = (
        math.exp(random.uniform(math.log(low), math.log(high)))
        if log
        else (random.uniform(low, high))
    )
    return min(max(four_digits(value), low), high)
