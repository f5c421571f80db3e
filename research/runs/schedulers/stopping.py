"""Stops runs early: at the goal, under a condition on a metric, or where they no longer improve.

It is asked at every evaluation before the end. A run that has diverged stops at once.
"""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from research.engine.schedule import Decision, Key, Scheduler, Seen
from research.errors import UserError, shortlist
from research.limits import MOST_INT, as_int, short
from research.plain_text import count_of, shortened
from research.task import Task

Comparison = Literal[">=", "<=", ">", "<"]
Why = Literal["goal", "condition", "patience", "diverged"]
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
WORDS: dict[str, str] = {
    "goal": "at the goal", "condition": "where the condition held", "patience": "without progress",
    "diverged": "as they diverged",
}  # fmt: skip
FORM = 'give a metric, a comparison and a number, such as "evaluation_return >= 475 for 3"'
LARGEST = float(np.finfo(np.float32).max)
_WORDS = re.compile(r"\s*([^\s<>=]+)\s*(>=|<=|>|<)\s*(\S+)(?:\s+for\s+(\d+))?\s*")


class Condition(NamedTuple):
    """A condition on what evaluations find, such as `evaluation_return >= 475 for 3`.

    Attributes:
      metric: one that is evaluated.
      comparison: of it with the value.
      value: rounded to float32, as metrics are.
      evaluations: how many in a row must find it so.
    """

    metric: str
    comparison: Comparison
    value: float
    evaluations: int = 1

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Returns whether it holds after each evaluation, bool [E, ...], from the metric there,
        float32 [E, ...]; NaN, which is not defined, fulfils nothing."""
        compare, value = COMPARISONS[self.comparison], np.float32(self.value)
        in_a_row, found = np.zeros(values.shape[1:], np.int64), []
        for one in compare(values.astype(np.float32), value):
            in_a_row = np.where(one, in_a_row + 1, 0)
            found.append(in_a_row >= self.evaluations)
        return np.stack(found) if found else np.zeros(values.shape, np.bool_)

    @property
    def words(self) -> str:
        """As the user gives it."""
        often = f" for {self.evaluations}" if self.evaluations > 1 else ""
        return f"{self.metric} {self.comparison} {self.value:g}{often}"


class EarlyStop(NamedTuple):
    """When runs stop before the end, as the user asks for it: where any of these is so.

    Attributes:
      at_goal: at the goal of the task.
      when: where the condition holds.
      patience: after so many evaluations without a new best score.
    """

    at_goal: bool = False
    when: Condition | None = None
    patience: int | None = None


def read_early_stop(at_goal: bool, when: str | None, patience: int | None) -> EarlyStop | None:
    """Returns what `--stop-at-goal`, `--stop-when` and `--stop-patience` ask for; None for nothing.

    Raises:
      UserError: for a condition or a number that makes no sense.
    """
    if patience is not None and patience < 1:
        raise UserError(
            f"--stop-patience {short(patience)}: give a number of evaluations, at least 1"
        )
    if not at_goal and when is None and patience is None:
        return None
    condition = None if when is None else _read_condition(when)
    most = None if patience is None else as_int("--stop-patience", patience)
    return EarlyStop(at_goal, condition, most)


def _read_condition(text: str) -> Condition:
    line = f"--stop-when {shortened(repr(text), 60)}"
    found = _WORDS.fullmatch(text)
    try:
        metric, comparison, number, often = found.groups() if found else ("", "", "", None)
        value, evaluations = float(number), int(often or 1)
    except ValueError:
        raise UserError(f"{line}: {FORM}") from None
    if not np.isfinite(value) or abs(value) > LARGEST:
        raise UserError(f"{line}: {shortened(number, 30)} is no finite float32; {FORM}")
    if not 1 <= evaluations <= MOST_INT:
        raise UserError(f"{line}: needs 1 evaluation or more in a row; {FORM}")
    return Condition(metric, comparison, value, evaluations)  # pyright: ignore[reportArgumentType]


def conditions_of(
    early_stop: EarlyStop, key_metric: str, higher_is_better: bool, goal: float | None
) -> dict[Why, Condition]:
    """Returns the conditions that stop a run, by the reason that is recorded."""
    found: dict[Why, Condition] = {}
    if early_stop.at_goal and goal is not None:
        found["goal"] = at_goal(key_metric, higher_is_better, goal)
    if early_stop.when is not None:
        found["condition"] = early_stop.when
    return found


def at_goal(key_metric: str, higher_is_better: bool, goal: float) -> Condition:
    """Returns the condition that a run is at its goal."""
    return Condition(key_metric, ">=" if higher_is_better else "<=", goal)


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
        return Decision(stops, np.arange(len(seen.runs)), seen.hparams, named)

    others = {one.metric for one in conditions.values()} - {task.key_metric}
    return Scheduler(
        decide,
        lambda step: step % eval_every == 0,
        exchanges=False,
        others=tuple(sorted(others)),
    )


def stops_in_words(reasons: Sequence[str], runs: int, saved: float) -> str:
    """Returns why how many of the runs stopped early, and the share of all steps that it saved."""
    counts = {why: reasons.count(why) for why in WORDS if why in reasons}
    stopped = f"{len(reasons)} of {count_of(runs, 'run')} stopped"
    if len(counts) == 1:
        how = f"{stopped} {WORDS[next(iter(counts))]}"
    else:
        how = f"{stopped} early, " + ", ".join(f"{n} {WORDS[why]}" for why, n in counts.items())
    return f"{how}; {saved:.0%} of the steps were saved"


def evaluations_since_best(scores: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Returns how many evaluations there were since the last new best score, int [R], from scores
    float32 [E, R]; all of them where no score was defined."""
    merit = np.where(np.isnan(scores), -np.inf, scores if higher_is_better else -scores)
    before = np.full((1, merit.shape[1]), -np.inf)
    return len(merit) - np.argmax(np.concatenate([before, merit]), axis=0)
