"""Cross-fitting: the score of the best of many settings without the bias of selection."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.report.ranking import merit
from research.report.statistics import Interval, iqm_interval


class Selection(NamedTuple):
    """A setting chosen by some seeds and scored on others.

    Attributes:
      best: the place of the setting that all seeds choose.
      apparent: its interquartile mean over those same seeds, which is biased upwards: the largest
        of many estimates is partly luck.
      chosen: the places that either half of the seeds chose.
      held_out: the interquartile mean of what the choices scored on the other half, with a 95%
        interval. It scores the whole procedure, the choice included.
    """

    best: int
    apparent: Interval
    chosen: tuple[int, int]
    held_out: Interval

    @property
    def agreed(self) -> bool:
        """Whether both halves chose the same setting."""
        return self.chosen[0] == self.chosen[1]


def select(
    chosen_by: Sequence[pd.Series],
    scored_by: Sequence[pd.Series],
    higher_is_better: bool,
    goals: Sequence[float | None] | None = None,
) -> Selection | None:
    """Selects a setting by cross-fitting: each half of the seeds chooses, the other half scores it.

    A run that became non-finite counts as worst in choosing, and is left out in scoring, as it is
    everywhere. So a setting of which more than a quarter of the runs did is not chosen. Of equal
    ones, each half takes what more of its own runs reached the goal with, then the one with the
    larger mean, then the first.

    Args:
      chosen_by: of each setting, seed -> score by which it is chosen, NaN where the run became
        non-finite.
      scored_by: seed -> score that is reported, such as that of the test part; the finite ones.
      higher_is_better: of both.
      goals: of each setting, the score that solves its problem; None where there is none.

    Returns:
      None where there is nothing to choose, or too few seeds to choose and to score.
    """
    seeds = sorted(set().union(*(one.index for one in chosen_by)))
    halves = seeds[::2], seeds[1::2]
    if len(chosen_by) < 2 or len(seeds) < 4:
        return None
    goals = [None] * len(chosen_by) if goals is None else goals
    best, *chosen = (_best(chosen_by, some, higher_is_better, goals) for some in (seeds, *halves))
    first, second = chosen
    if best is None or first is None or second is None:
        return None
    held_out = [_at(scored_by[first], halves[1]), _at(scored_by[second], halves[0])]
    if not all(map(len, held_out)):
        return None
    scored = pd.concat(held_out).sort_index().to_numpy(np.float64)
    apparent = iqm_interval(scored_by[best].to_numpy(np.float64))
    return Selection(best, apparent, (first, second), iqm_interval(scored))


def _best(
    settings: Sequence[pd.Series],
    seeds: Sequence[int],
    higher_is_better: bool,
    goals: Sequence[float | None],
) -> int | None:
    """The place of the best setting over these seeds; None if no setting has been measured, or is
    finite in enough of them."""
    found = [
        merit(_at(one, seeds), higher_is_better, goal)
        for one, goal in zip(settings, goals, strict=True)
    ]
    place = max(range(len(found)), key=found.__getitem__)
    return place if np.isfinite(found[place].iqm) else None


def _at(scores: pd.Series, seeds: Sequence[int]) -> Any:  # pd.Series
    return scores[scores.index.isin(list(seeds))]
