"""What a check measures, in which order, and how much of its time each part may take."""

import dataclasses
import time
from collections.abc import Iterator

from research.benchmark.cases import QUICK, known_cases
from research.matmul import PRECISIONS

FIRST_RUNS = (64, 512)  # the sizes that say most: a device that starts to fill, and a full one
AGENTS = (50, 512)  # of the DQN of rejax's chart
Point = tuple[str, str, int, str]  # case, precision, runs, and "training" or "evaluation"


@dataclasses.dataclass(frozen=True)
class CheckPlan:
    """What to measure.

    Attributes:
      minutes: for all parts together.
      quick: the cases that every part looks at.
      others: cases that are timed after them.
      precisions: of the matrix products; the first is what all parts but throughput use.
      runs: how many runs at once.
      agents: as many, of the DQN of rejax's chart.
      repeats: how often each timing is repeated.
      tests: whether pytest runs the contract tests and goldens on the device.
    """

    minutes: float = 8.0
    quick: tuple[str, ...] = QUICK
    others: tuple[str, ...] = ()
    precisions: tuple[str, ...] = PRECISIONS
    runs: tuple[int, ...] = (1, 8, 64, 512, 4_096)
    agents: tuple[int, ...] = AGENTS
    repeats: int = 5
    tests: bool = True

    @property
    def usual_runs(self) -> int:
        """How many runs the parts use that look at one number of them."""
        return FIRST_RUNS[0] if FIRST_RUNS[0] in self.runs else max(self.runs)

    def points(self) -> list[Point]:
        """Returns all points of the throughput curves, the most informative first."""
        return list(dict.fromkeys(self._points()))

    def _points(self) -> Iterator[Point]:
        first = [runs for runs in FIRST_RUNS if runs in self.runs] or [self.usual_runs]
        full, *low = self.precisions
        usual = self.usual_runs
        yield from _timed(self.quick, [full], first)
        yield from _timed(self.quick, [full], [max(self.runs), min(self.runs)])
        yield from _timed(self.quick, [full], [usual], "evaluation")
        yield from _timed(self.quick, low, first)
        yield from _timed(self.others, [full], first)
        yield from _timed(self.quick, [full], self.runs)
        yield from _timed(self.others, low, first)
        for cases in (self.quick, self.others):
            yield from _timed(cases, self.precisions, self.runs)
        for cases in (self.quick, self.others):
            yield from _timed(cases, [full], self.runs, "evaluation")


def _timed(cases, precisions, runs, what: str = "training") -> Iterator[Point]:
    """Every case at one size before any at the next."""
    for count in runs:
        for precision in precisions:
            for case in cases:
                yield case, precision, count, what


def make_plan(cases: tuple[str, ...] = (), **changes) -> CheckPlan:
    """Returns the plan for the cases given; for all that can be made here, if none is."""
    quick = cases or tuple(known_cases(quick=True))
    others = () if cases else tuple(name for name in known_cases() if name not in quick)
    return CheckPlan(quick=quick, others=others, **changes)


class Clock:
    """Time that runs from the moment it is made; parts end at shares of it.

    What one part leaves, the next may use: each ends at the sum of the shares up to it.
    """

    def __init__(self, seconds: float):
        self.seconds, self._began = seconds, time.monotonic()

    def spent(self) -> float:
        """Returns the seconds since the beginning."""
        return time.monotonic() - self._began

    def left(self, share: float = 1.0) -> float:
        """Returns the seconds until so large a share of the time is over, 0 if it is."""
        return max(0.0, share * self.seconds - self.spent())
