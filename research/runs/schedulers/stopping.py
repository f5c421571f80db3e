"""Stops runs early: at the goal, under a condition on a metric, or where they no longer improve.

It is asked at every evaluation before the end. A run that has diverged stops at once.
"""

from collections.abc import Sequence

import numpy as np

from research.engine.schedule import Decision, Key, Scheduler, Seen, go_on
from research.errors import UserError, shortlist
from research.plain_text import shortened
from research.runs.early_stop import EarlyStop, conditions_of
from research.task import Task


def check_early_stop(
    early_stop: EarlyStop, task: Task, evaluated: Sequence[str], eval_every: int, steps: int
) -> None:
    """Checks that runs of a task can be stopped so.

    Args:
      early_stop: when they stop.
      task: of the runs.
      evaluated: the names of the metrics that evaluations report.
      eval_every: the steps between these.
      steps: that a run takes.

    Raises:
      UserError: if the task has no such goal or metric, or is not evaluated before the end.
    """
    if early_stop.at_goal and task.goal is None:
        raise UserError(
            "--stop-at-goal: nothing says which score solves this problem; say it with "
            f'--stop-when, such as "{task.key_metric} >= 1"'
        )
    when = early_stop.when
    if when is not None and when.metric not in evaluated:
        raise UserError(
            f"--stop-when {shortened(repr(when.words), 60)}: evaluations do not report "
            f"{shortened(when.metric, 40)}; they report {shortlist(evaluated)}"
        )
    if eval_every >= steps:
        raise UserError(
            f"{_flags_of(early_stop)}: runs stop at evaluations, and the only one is at the end; "
            "evaluate more often with --eval-every"
        )


def _flags_of(early_stop: EarlyStop) -> str:
    """The flags that ask for it, in one line."""
    words = ["--stop-at-goal"] * early_stop.at_goal
    words += ["--stop-when"] * (early_stop.when is not None)
    return " ".join(words + ["--stop-patience"] * (early_stop.patience is not None))


def check_alone(early_stop: EarlyStop, others: Sequence[str]) -> None:
    """Raises a `UserError` if other schedulers, named by their flags, decide on the same runs."""
    if others:
        raise UserError(
            f"{_flags_of(early_stop)} {others[0]}: both say which runs go on; choose one"
        )


def make_stopping(early_stop: EarlyStop, task: Task, eval_every: int) -> Scheduler:
    """Returns the scheduler that stops runs early.

    Args:
      early_stop: when.
      task: of the runs.
      eval_every: the steps between evaluations.
    """
    higher = task.higher_is_better
    conditions = conditions_of(early_stop, task.key_metric, higher, task.goal)

    def decide(seen: Seen, key: Key) -> Decision:
        del key  # nothing is drawn
        if not seen.is_evaluated:
            return go_on(seen)
        reasons: list[tuple[str, np.ndarray]] = [("diverged", seen.diverged)]
        for why, condition in conditions.items():
            values = seen.others.get(condition.metric, seen.scores)
            reasons.append((why, condition.holds(values)[-1]))
        if early_stop.patience is not None:
            since = evaluations_since_best(seen.scores, higher)
            reasons.append(("patience", since >= early_stop.patience))
        why_R = [next((why for why, so in reasons if so[run]), "") for run in range(len(seen.runs))]
        stops = np.array([bool(why) for why in why_R]) & ~seen.stopped
        named = [why if stop else "" for why, stop in zip(why_R, stops, strict=True)]
        return go_on(seen)._replace(stops=stops, why=named)

    others = {one.metric for one in conditions.values()} - {task.key_metric}
    return Scheduler(
        decide,
        lambda step: step % eval_every == 0,
        exchanges=False,
        changes=False,
        stops=True,
        others=tuple(sorted(others)),
    )


def evaluations_since_best(scores: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Returns how many evaluations there were since the last new best score, int [R], from scores
    float32 [E, R]; all of them where no score was defined."""
    merit = np.where(np.isnan(scores), -np.inf, scores if higher_is_better else -scores)
    before = np.full((1, merit.shape[1]), -np.inf)
    return len(merit) - np.argmax(np.concatenate([before, merit]), axis=0)
