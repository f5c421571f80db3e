"""When runs stop before the end, as the user asks for it, and what is recorded of them."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from research.errors import UserError
from research.limits import MOST_INT, as_int, short
from research.plain_text import count_of, shortened

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
        found["goal"] = Condition(key_metric, ">=" if higher_is_better else "<=", goal)
    if early_stop.when is not None:
        found["condition"] = early_stop.when
    return found


def stops_in_words(reasons: Sequence[str], runs: int, saved: float) -> str:
    """Returns why how many of the runs stopped early, and the share of all steps that it saved."""
    counts = {why: reasons.count(why) for why in WORDS if why in reasons}
    stopped = f"{len(reasons)} of {count_of(runs, 'run')} stopped"
    if len(counts) == 1:
        how = f"{stopped} {WORDS[next(iter(counts))]}"
    else:
        how = f"{stopped} early, " + ", ".join(f"{n} {WORDS[why]}" for why, n in counts.items())
    return f"{how}; {saved:.0%} of the steps were saved"


def stopped_runs(
    stopped: Mapping[int, tuple[int, str]], numbers: Sequence[int]
) -> list[dict[str, Any]]:
    """Returns the runs that have stopped in JSON types, by number instead of place."""
    return [
        {"run": numbers[place], "step": step, "why": why}
        for place, (step, why) in sorted(stopped.items())
    ]


def stops_of(recorded: Sequence[Mapping[str, Any]]) -> dict[int, tuple[int, str]]:
    """Undoes `stopped_runs`: run -> the step at which it stopped, and why."""
    return {one["run"]: (one["step"], one["why"]) for one in recorded}
