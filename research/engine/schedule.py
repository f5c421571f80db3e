"""The seam for schedulers: what one knows of the runs between chunks, and what it decides.

A scheduler is a pure function on the host. It says of every run whether it goes on, stops, or takes
over the state of another run with other hyper-parameters; `scheduled.py` carries that out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from research.engine.axes import Runs
from research.engine.chunk import NEVER
from research.task import HParams

Key = tuple[int, ...]  # what `numpy.random.default_rng` takes: a seed, and the step


class Seen(NamedTuple):
    """What a scheduler knows of R runs at a step.

    Attributes:
      step: how many steps the runs have been trained.
      runs: int [R], their numbers in the experiment, in increasing order.
      settings: int [R], the number of the setting that each began with.
      seeds: uint32 [R].
      hparams: the hparams dataclass with leaves [R], as they are now.
      steps: the E steps at which runs have been evaluated.
      scores: float32 [E, R], the key metric there; NaN where it was not defined or a run had
        stopped.
      diverged: bool [R], the runs that are not finite.
      stopped: bool [R], the runs that an earlier decision has stopped.
      others: the other metrics of evaluations that the scheduler asks for, as `scores`, by name.
    """

    step: int
    runs: np.ndarray
    settings: np.ndarray
    seeds: np.ndarray
    hparams: HParams
    steps: Sequence[int]
    scores: np.ndarray
    diverged: np.ndarray
    stopped: np.ndarray
    others: Mapping[str, np.ndarray] = {}

    @property
    def is_evaluated(self) -> bool:
        """Whether the runs have been evaluated at this step; not so where whole states were given
        that they begin with."""
        return bool(self.steps) and self.steps[-1] == self.step


class Decision(NamedTuple):
    """What becomes of R runs.

    Attributes:
      stops: bool [R], the runs that stop.
      parents: int [R], the place of the run whose state each takes over; its own: it goes on.
      hparams: with leaves [R], as they are from here on.
      why: of each run that stops or takes over, the reason in a word, "" for the others.
    """

    stops: np.ndarray
    parents: np.ndarray
    hparams: HParams
    why: Sequence[str]


def go_on(seen: Seen) -> Decision:
    """Returns the decision that changes nothing."""
    runs = len(seen.runs)
    return Decision(np.zeros(runs, np.bool_), np.arange(runs), seen.hparams, [""] * runs)


class Scheduler(NamedTuple):
    """A scheduler, and when it is asked.

    Attributes:
      decide: (what is known, a key of the step) -> what becomes of the runs. Pure.
      due: step -> whether it is asked there, before the step is taken. Only where runs have been
        evaluated, and neither before the first step nor after the last.
      seed: of its keys.
      exchanges: whether runs may take over the states of others.
      changes: whether their hyper-parameters may change.
      stops: whether runs may stop; if so, they neither exchange nor change anything.
      others: the metrics of evaluations that it needs beside the key metric.
    """

    decide: Callable[[Seen, Key], Decision]
    due: Callable[[int], bool]
    seed: int = 0
    exchanges: bool = True
    changes: bool = True
    stops: bool = False
    others: Sequence[str] = ()


class Standing:
    """What is known of the R runs that a scheduler decides on, as it changes.

    Attributes:
      runs: seeds, and hyper-parameters as they are now.
      diverged: int32 [R], the status of the runs, as of `Logged`.
      stopped: bool [R].
    """

    def __init__(
        self,
        runs: Runs,
        numbers: Any,
        settings: Any,
        diverged: np.ndarray,
        steps: Sequence[int] = (),
        scores: Sequence[np.ndarray] = (),
        others: Mapping[str, Sequence[np.ndarray]] = {},
        stopped: np.ndarray | None = None,
    ):
        """
        Args:
          runs: as they are now.
          numbers, settings: as of `Seen`, in any kind of array.
          diverged: their status.
          steps, scores: the evaluations so far, of float32 [R] each.
          others: other metrics of these likewise, by name.
          stopped: bool [R], the runs that have stopped; None: none has.
        """
        self.runs, self.diverged = runs, np.array(diverged)
        self.stopped = np.zeros(len(runs), np.bool_) if stopped is None else stopped
        self._numbers, self._settings = np.asarray(numbers), np.asarray(settings)
        self._steps, self._scores = [*steps], [*scores]
        self._others = {name: [*values] for name, values in others.items()}

    def evaluated(
        self, step: int, scores: np.ndarray, others: Mapping[str, np.ndarray] = {}
    ) -> None:
        """Takes the key metric of all runs at a step, and other metrics by name."""
        self._steps.append(step)
        self._scores.append(np.asarray(scores, np.float32))
        for name, values in others.items():
            self._others.setdefault(name, []).append(np.asarray(values, np.float32))

    def seen(self, step: int) -> Seen:
        """What a scheduler is told at a step."""
        return Seen(
            step,
            self._numbers,
            self._settings,
            self.runs.seeds,
            self.runs.hparams,
            tuple(self._steps),
            self._stacked(self._scores),
            self.diverged < NEVER,
            self.stopped,
            {name: self._stacked(values) for name, values in self._others.items()},
        )

    def _stacked(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """Values of evaluations as float32 [E, R]."""
        none = np.zeros((0, len(self.runs)))
        return (np.stack(values) if len(values) else none).astype(np.float32)

    def follow(self, decision: Decision) -> None:
        """Takes over what a decision changes."""
        self.runs = Runs(self.runs.seeds, decision.hparams)
        self.diverged = self.diverged[decision.parents]
        self.stopped = self.stopped | decision.stops
