"""Successive halving: at the end of a rung, the best settings go on and the others stop.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
2016; the rungs are those of a bracket of Hyperband (Li et al., 2018). It is asked when a rung ends
or, in asynchronous halving (ASHA; Li et al., 2020), whenever a process looks for work, by what has
ended so far: `asynchronous.py`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from research.engine.schedule import Decision, Key, Seen
from research.runs.ranking import Rank, rank


def make_halving(
    factor: int,
    problems: Mapping[int, str],
    higher_is_better: bool,
    complete: Collection[str] | None = None,
) -> Callable[[Seen, Key], Decision]:
    """Returns what decides on the runs that have ended a rung: of the settings of each problem, the
    best one in `factor` go on, with all their seeds.

    Args:
      factor: eta in the papers.
      problems: setting -> the name of its problem, such as an environment: others are not ranked
        with it.
      higher_is_better: of the key metric.
      complete: the problems of which no more settings come to this rung, so that one goes on
        however few there are; None: all.
    """

    def decide(seen: Seen, key: Key) -> Decision:
        del key  # nothing is drawn
        kept = best_settings(in_order(seen, problems, higher_is_better), factor, complete)
        stops = ~np.isin(seen.settings, kept)
        why = ["rung" if stop else "" for stop in stops.tolist()]
        return Decision(stops, np.arange(len(stops)), seen.hparams, why)

    return decide


def best_settings(
    order: Mapping[str, Sequence[int]], factor: int, complete: Collection[str] | None = None
) -> list[int]:
    """Returns the best one in `factor` settings of each problem, the best first.

    Args:
      order: problem -> its settings, the best first.
      factor, complete: as of `make_halving`.
    """
    kept: list[int] = []
    for name, ranked in order.items():
        least = 1 if complete is None or name in complete else 0
        kept += ranked[: max(least, len(ranked) // factor)]
    return kept


def in_order(
    seen: Seen, problems: Mapping[int, str], higher_is_better: bool
) -> dict[str, list[int]]:
    """Returns the settings of each problem, the best first; of equal ones, the first."""
    ranks = setting_ranks(seen, higher_is_better)
    found: dict[str, list[int]] = {}
    for setting in sorted(ranks, key=lambda one: (ranks[one], one)):
        found.setdefault(problems[setting], []).append(setting)
    return found


def setting_ranks(seen: Seen, higher_is_better: bool) -> dict[int, Rank]:
    """Returns the rank of each setting by the last scores of its runs, of which those that have
    diverged are worst whatever they score."""
    runs: dict[int, list[tuple[Any, bool]]] = {}
    last = seen.scores[-1].tolist()
    for setting, score, lost in zip(
        seen.settings.tolist(), last, seen.diverged.tolist(), strict=True
    ):
        runs.setdefault(setting, []).append((None if np.isnan(score) else score, lost))
    ranks = {}
    for setting, found in runs.items():
        finite = [score for score, lost in found if not lost]
        ranks[setting] = rank(finite, len(found) - len(finite), higher_is_better)
    return ranks
