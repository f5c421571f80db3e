"""Trains runs along a schedule of hyper-parameters that is given, such as one that a population
found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from research.engine.schedule import Decision, Key, Scheduler, Seen, go_on
from research.errors import UserError
from research.task import HParams

Changes = Sequence[tuple[int, Mapping[str, Any]]]  # step -> hyper-parameters from there on


def check_changes(changes: Changes, hparams: HParams, per: int, eval_every: int) -> None:
    """Checks that a schedule can be followed.

    Args:
      changes: the schedule.
      hparams: of the runs.
      per: how many units of the flags one step is.
      eval_every: the steps between evaluations, at which alone hyper-parameters change.

    Raises:
      UserError: naming what does not fit.
    """
    for step, values in changes:
        if unknown := sorted(set(values) - set(vars(hparams))):
            raise UserError(f"--follow: it changes {unknown[0]}, which is no hyper-parameter here")
        if step % eval_every:
            raise UserError(
                f"--follow: it changes hyper-parameters at {step * per}, which must be a multiple "
                f"of --eval-every {eval_every * per}; evaluate as often as that sweep did"
            )


def make_follower(changes: Changes) -> Scheduler:
    """Returns the scheduler that gives all runs the hyper-parameters of a schedule."""
    by_step = dict(changes)

    def decide(seen: Seen, key: Key) -> Decision:
        del key
        columns = dict(vars(seen.hparams))
        for name, value in by_step[seen.step].items():
            columns[name] = np.full_like(columns[name], value)
        hparams = type(seen.hparams)(**columns)
        return go_on(seen)._replace(hparams=hparams)

    return Scheduler(decide, by_step.__contains__, exchanges=False)
