"""The history of a run under a scheduler: whose state it took over, when, and what it was trained
with, from the decisions that a run folder records."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd


class Segment(NamedTuple):
    """A stretch of the history of a state.

    Attributes:
      run: the number of the run that was trained.
      start: the step before its first one.
      stop: its last step.
      hparams: field -> value, what was decided there; None: what the run began with.
    """

    run: int
    start: int
    stop: int
    hparams: Mapping[str, Any] | None


def lineage(
    decisions: pd.DataFrame, run: int, stop: int, names: Sequence[str], start: int = 0
) -> list[Segment]:
    """Returns the history of the state that a run had after step `stop`, the oldest stretch first.

    Args:
      decisions: as recorded; rows without a parent are of runs that stopped.
      run: its number.
      stop: a step; decisions at it and after it do not count.
      names: of the hyper-parameters.
      start: the step at which all runs began.
    """
    moves = decisions[decisions["parent"].notna()]
    rows = {(row["run"], row["step"]): row for row in moves.to_dict("records")}
    steps: dict[int, list[int]] = {}
    for one, step in sorted(rows):
        steps.setdefault(one, []).append(step)
    found = []
    while True:
        before = [step for step in steps.get(run, ()) if step < stop]
        if not before:
            return [Segment(run, start, stop, None), *found]
        row = rows[run, before[-1]]
        hparams = {name: row[name] for name in names}
        found.insert(0, Segment(run, before[-1], stop, hparams))
        run, stop = int(row["parent"]), before[-1]
