"""How long runs take to their goal: a censored quantity, as some have not reached it when they end.

The share of runs that have reached it is estimated as Kaplan and Meier (1958) do. A run reaches it
at the first evaluation that finds it so. One that is still training counts up to its last
evaluation. One that has diverged, or was stopped as it made no progress, counts to the end as not
having reached it: it would be too good to drop it, as if it might have gone like the others.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from research.report.settings import Setting
from research.report.statistics import CONFIDENCE, Interval, interquartile_mean, wilson
from research.runs.early_stop import Condition


class TimeToGoal(NamedTuple):
    """How long the runs of a setting took to their goal, in units of work.

    Attributes:
      after: float64 [T], where the share changes, or where runs end, in increasing order.
      share: [T], of the runs that have reached it by then, with pointwise 95% intervals.
      half: the work after which half of the runs had; infinite where that was not so by the end.
      reached, runs: how many have, of how many.
    """

    after: np.ndarray
    share: Interval
    half: Interval
    reached: int
    runs: int


def time_to_goal(setting: Setting) -> TimeToGoal | None:
    """How long the runs of a setting took to its goal, or to the condition under which they stop;
    None where there is no such thing, or nothing was measured."""
    if not setting.conditions:
        return None
    _, work, reached = _times(setting)
    if not len(work):
        return None
    after, share = kaplan_meier(work, reached)
    return TimeToGoal(after, share, half_after(after, share), int(reached.sum()), len(work))


def kaplan_meier(
    times: Any, reached: Any, confidence: float = CONFIDENCE
) -> tuple[np.ndarray, Interval]:
    """The share of runs that have reached their goal by a time: the times [T] at which it may
    change, and the shares with pointwise intervals.

    The intervals are Greenwood's on the scale of log(-log). Where all runs or none have reached it,
    that formula gives none; they are Wilson's (1927).

    Args:
      times: [S], when each run reached it, or until when it had not.
      reached: bool [S], whether it did.
      confidence: of the intervals.
    """
    from scipy.stats import CensoredData, ecdf  # half a second, which help and errors do not need

    times, reached = np.asarray(times, np.float64), np.asarray(reached, np.bool_)
    not_yet = ecdf(CensoredData.right_censored(times, ~reached)).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the two cases that Wilson's are for
        bounds = not_yet.confidence_interval(confidence, method="log-log")
    share = 1 - np.asarray(not_yet.probabilities)
    low = 1 - np.asarray(bounds.high.probabilities)
    high = 1 - np.asarray(bounds.low.probabilities)
    sure = (share <= 0) | (share >= 1)
    _, wilson_low, wilson_high = wilson(share, len(times), confidence)
    low, high = np.where(sure, wilson_low, low), np.where(sure, wilson_high, high)
    return np.asarray(not_yet.quantiles), Interval(share, low, high)


def half_after(after: np.ndarray, share: Interval) -> Interval:
    """The time after which half of the runs had reached their goal, infinite where they had not.

    The interval holds the times at which a half is in the pointwise interval of the share
    (Brookmeyer and Crowley, 1982).
    """
    return Interval(*(_first_half(after, one) for one in (share.estimate, share.high, share.low)))


def _first_half(after: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The first time at which a share is a half or more; infinite where it never is."""
    there = share >= 0.5 - 1e-9
    return np.asarray(after[there][0] if there.any() else math.inf)


def work_to_goal(setting: Setting, horizon: float = math.inf) -> pd.Series:
    """The work that each run of a setting took to its goal: seed -> work, and `horizon` for a run
    that took longer or never reached it, as where it diverged; at most the setting's own.

    Up to a horizon that all runs were watched until, these are plain numbers, which can be averaged
    and compared like scores: the restricted time to an event (Royston and Parmar, 2011).
    """
    seeds, work, reached = _times(setting)
    end = min(horizon, setting.horizon)
    return pd.Series(np.where(reached, np.minimum(work, end), end), seeds, np.float64)


def watched_until(found: Sequence[Setting]) -> float:
    """The end of the stretch of work, from 0 on, in which it is known of every run of some settings
    whether it had reached its goal."""
    ends = [one.horizon for one in found if not all(_times(one).reached)]
    return min(ends, default=max(one.horizon for one in found))


def typical_work(setting: Setting, work: pd.Series | None = None) -> float:
    """The interquartile mean of the work that the runs of a setting took to what stops them; of
    `work`, if it is given. Infinite where nothing stops them."""
    if work is None and setting.stops_there:
        work = work_to_goal(setting)
    return math.inf if work is None or not len(work) else float(interquartile_mean(work))


def half_in_words(found: TimeToGoal) -> str:
    """The work after which half of the runs had reached their goal, with its interval."""
    estimate, low, high = (float(one) for one in found.half)
    if math.isinf(estimate) and math.isinf(low):
        return "not reached"
    middle = "not reached" if math.isinf(estimate) else f"{estimate:,.0f}"
    if found.runs == 1:
        return middle
    return f"{middle} [{low:,.0f}, {'…' if math.isinf(high) else f'{high:,.0f}'}]"


def conditions_in_words(conditions: Sequence[Condition]) -> str:
    """What counts as having reached the goal."""
    return " or ".join(condition.words for condition in conditions)


class _Times(NamedTuple):
    """When each run of a setting reached its goal, or until when it had not, in work; and whether
    it did. Runs that were not evaluated yet are left out."""

    seeds: list[int]
    work: np.ndarray
    reached: np.ndarray


def _times(setting: Setting) -> _Times:
    rows = setting.rows
    works = rows.drop_duplicates("step").set_index("step")["work"]
    end = float(works.max()) if len(works) else 1.0
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for condition in setting.conditions:
        if condition.metric not in rows:
            continue
        wide = rows.pivot(index="step", columns="run", values=condition.metric).sort_index()
        wide = wide.dropna(axis="index", how="all")
        at = works.reindex(wide.index).to_numpy(np.float64)
        values = wide.to_numpy(np.float64, na_value=np.nan)
        held = condition.holds(values) if len(values) else np.zeros(values.shape, np.bool_)
        for place, run in enumerate(wide.columns.tolist()):
            if held[:, place].any():
                first[run] = min(first.get(run, math.inf), float(at[np.argmax(held[:, place])]))
            measured = np.flatnonzero(~np.isnan(values[:, place]))
            if len(measured):
                last[run] = max(last.get(run, 0.0), float(at[measured[-1]]))
    last |= dict.fromkeys(set(setting.stopped) & set(last), end)
    runs = sorted({*first, *last})
    times = [first.get(run, last.get(run, end)) for run in runs] + [end] * len(setting.lost)
    reached = [run in first for run in runs] + [False] * len(setting.lost)
    of_run = rows.drop_duplicates("run").set_index("run")["seed"]
    seeds = [*of_run.reindex(runs).tolist(), *setting.lost]
    return _Times(seeds, np.array(times, np.float64), np.array(reached, np.bool_))
