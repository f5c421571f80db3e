"""Says when the program returns to the host: logs, evaluations and chunks."""

import math
from typing import NamedTuple

from research.errors import UserError

CHUNK_STEPS = 250  # with fewer steps a call, a small net waits for the host


class Intervals(NamedTuple):
    """The intervals that the user asks for; None leaves one to `Cadence.of`."""

    log_every: int | None = None
    eval_every: int | None = None
    chunk_every: int | None = None


class Cadence(NamedTuple):
    """Intervals in steps. Every interval is a multiple of `log_every`.

    Attributes:
      log_every: the steps that one logged value is the mean of.
      eval_every: the steps between evaluations; there is one at the end in any case.
      chunk_every: the most steps that one call of the program takes.
    """

    log_every: int
    eval_every: int
    chunk_every: int

    @classmethod
    def of(
        cls,
        steps: int,
        log_every: int | None = None,
        eval_every: int | None = None,
        chunk_every: int | None = None,
        per: int = 1,
        epoch: int | None = None,
    ) -> "Cadence":
        """Returns a cadence, with defaults for the intervals that are not given.

        The defaults are about 100 logs and 20 evaluations a run, and chunks of one log, or of as
        many logs as make `CHUNK_STEPS`, but no longer than from one evaluation to the next. Every
        evaluation falls on a log, and on the end of an epoch if there are 10 epochs or more.

        Args:
          steps: that a run takes.
          log_every, eval_every, chunk_every: in steps.
          per: how many units of the flags one step is; error messages multiply by it.
          epoch: the steps in which the data is read once; None if there are no epochs.

        Raises:
          UserError: if an interval is below 1, or no multiple of `log_every`. It is refused, not
            rounded: a cadence that silently became another would be a different experiment.
        """
        given = {
            "steps": steps,
            "log-every": log_every,
            "eval-every": eval_every,
            "chunk-every": chunk_every,
        }
        for flag, value in given.items():
            if value is not None and value < 1:
                raise UserError(f"--{flag} {value * per}: must be at least {per}")
        if epoch is not None and (steps < 10 * epoch or epoch % (log_every or 1)):
            epoch = None  # too few epochs, or logs do not divide them
        if eval_every is None and epoch is not None:
            eval_every = epoch * max(1, round(steps / 20 / epoch))
        within = math.gcd(eval_every or 0, chunk_every or 0)
        log = log_every or _divisor_near(within, max(1, steps // 100))
        for flag in ("eval-every", "chunk-every"):
            if (value := given[flag]) is not None and value % log:
                near = max(log, round(value / log) * log)
                raise UserError(
                    f"--{flag} {value * per}: must be a multiple of --log-every {log * per}, "
                    f"such as {near * per}"
                )
        evaluate = eval_every or log * max(1, steps // 20 // log)
        enough = (n for n in _divisors(evaluate // log) if n * log >= CHUNK_STEPS)
        return cls(log, evaluate, chunk_every or log * next(enough, max(1, evaluate // log)))


class Chunk(NamedTuple):
    """`logs` x `log_every` steps from step `start` on, in one call of the program."""

    start: int
    logs: int
    log_every: int
    evaluate: bool  # once the chunk has ended

    @property
    def end(self) -> int:
        """The step after the last one."""
        return self.start + self.logs * self.log_every


def plan_chunks(steps: int, cadence: Cadence, start: int = 0) -> list[Chunk]:
    """Returns the chunks that take a sweep from step `start` to step `steps`.

    Logs, evaluations and chunks fall on multiples of their intervals, wherever the sweep starts;
    what is left before the end is one shorter log.
    """
    chunks = []
    at = start
    while at < steps:
        stop = min(_next(at, cadence.eval_every), _next(at, cadence.chunk_every), steps)
        first_log = min(_next(at, cadence.log_every), stop)
        if at % cadence.log_every:  # only where a sweep resumes between two logs
            stop, logs, log_every = first_log, 1, first_log - at
        elif stop - at < cadence.log_every:
            logs, log_every = 1, stop - at
        else:
            logs, log_every = (stop - at) // cadence.log_every, cadence.log_every
            stop = at + logs * log_every
        evaluate = stop % cadence.eval_every == 0 or stop == steps
        chunks.append(Chunk(at, logs, log_every, evaluate))
        at = stop
    return chunks


def _divisor_near(number: int, wanted: int) -> int:
    """The divisor of `number` whose ratio to `wanted` is nearest to 1; any number divides 0."""
    if number == 0:
        return wanted
    return min(_divisors(number), key=lambda d: abs(math.log(d / wanted)))


def _divisors(number: int) -> list[int]:
    """All divisors of a number, in order."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def _next(step: int, interval: int) -> int:
    """The first multiple of `interval` after `step`."""
    return (step // interval + 1) * interval
