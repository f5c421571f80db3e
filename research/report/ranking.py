"""The order of settings, the best first.

A run that diverged counts as worst: in the order of settings, in choosing one and in comparing
them. The scores that are shown beside are those of finite runs.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.report.settings import Setting, final_rows
from research.report.time_to_goal import typical_work
from research.runs.ranking import rank

DIGITS = 9  # of an interquartile mean; what differs beyond is rounding


class Merit(NamedTuple):
    """How good a setting is, the larger the better; later entries decide between equal ones.

    Attributes:
      iqm: interquartile mean over all runs, negated where lower is better; minus infinity where
        more than a quarter of the runs diverged.
      reached: the share of all runs that are at the goal or beyond; 0 where there is no goal.
      mean: of the finite runs, negated where lower is better.
    """

    iqm: float
    reached: float
    mean: float


def merit(scores: Any, higher_is_better: bool, goal: float | None = None) -> Merit:
    """The merit of scores [S], NaN for a run that diverged."""
    sign = 1.0 if higher_is_better else -1.0
    values = sign * np.asarray(scores, np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Merit(-math.inf, 0.0, -math.inf)
    place = rank(finite.tolist(), len(values) - len(finite), higher_is_better=True)
    iqm = -math.inf if place.diverged else -place.mean
    reached = 0.0 if goal is None else float(np.sum(finite >= sign * goal)) / len(values)
    return Merit(_rounded(iqm), reached, _rounded(float(np.mean(finite))))


def final_scores(setting: Setting, metric: str) -> pd.Series:
    """The final scores of a setting: seed -> the metric of each finite run at the last step at
    which it was measured."""
    rows = final_rows(setting, metric)
    return pd.Series(rows[metric].to_numpy(np.float64), rows["seed"].to_numpy(), name=metric)


def with_diverged(scores: pd.Series, setting: Setting) -> pd.Series:
    """The scores of the finite runs of a setting, and NaN for those that diverged."""
    lost = pd.Series(np.nan, list(setting.lost), dtype=np.float64)
    return pd.concat([scores, lost]) if len(lost) else scores


def order(
    setting: Setting,
    scores: pd.Series,
    higher_is_better: bool,
    goal: float | None = None,
    work: pd.Series | None = None,
) -> tuple[float, ...]:
    """The sort key of a setting, the smallest being best: settings that came further, as under
    halving, come first; then, where runs stop at their goal, those whose runs took less work to it;
    then those of more merit.

    Args:
      setting: of a run folder.
      scores: of its finite runs, as `final_scores`.
      higher_is_better: whether good is high.
      goal: the score that solves the problem, if there is one.
      work: that its runs took to the goal, if other settings are judged by it, too; if not given,
        by the setting itself, where its runs stop there.
    """
    if not len(scores):
        return 0.0, math.inf, math.inf, 0.0, 0.0
    found = merit(with_diverged(scores, setting), higher_is_better, goal)
    needed = _rounded(typical_work(setting, work))
    return (-float(setting.last_step), needed, *(-one for one in found))


def counting_diverged(
    scores: Sequence[pd.Series], settings: Sequence[Setting], higher_is_better: bool
) -> list[pd.Series]:
    """Scores for comparisons, seed -> finite score: a run that diverged has the worst score of any
    finite run of all the settings."""
    every = np.concatenate([one.to_numpy(np.float64) for one in scores])
    worst = float(np.min(every) if higher_is_better else np.max(every))
    pairs = zip(scores, settings, strict=True)
    return [with_diverged(one, setting).fillna(worst) for one, setting in pairs]


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
