"""Trains runs under a scheduler, which is asked between chunks."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from research.engine.axes import Runs
from research.engine.cadence import Chunk
from research.engine.exchange import take_over, with_hparams
from research.engine.lanes import Lanes
from research.engine.loop import train
from research.engine.metrics import Record, value
from research.engine.program import Program
from research.engine.schedule import Decision, Scheduler, Seen, Standing


def train_scheduled(
    lanes: Lanes,
    chunks: Sequence[Chunk],
    scheduler: Scheduler,
    standing: Standing,
    compile_for: Callable[[Runs, int, Sequence[Chunk]], Program],
    on_record: Callable[[Record], None],
    on_decision: Callable[[Seen, Decision], None],
    *,
    on_pause: Callable[[int], None] = lambda step: None,
    **pauses: Any,
) -> None:
    """Trains runs through the chunks as `train` does, and carries out what the scheduler decides on
    the way, until all chunks are trained or all runs have stopped.

    What is decided depends on the step and on what is known by then, so that neither the length of
    chunks nor a stop changes it. At a stop, what is due at that step has not been decided yet.

    Args:
      lanes: all runs; changed on the way. Their program is compiled with `exchanges` or `stops`,
        whichever the scheduler does.
      chunks: which steps.
      scheduler: is asked where it is due, but not before the first step.
      standing: of the runs; changed on the way.
      compile_for: (runs, how many lanes, chunks) -> the program that trains on where runs have
        stopped.
      on_record: takes the records, without the runs that have stopped.
      on_decision: takes what was known and what was decided, before it is carried out.
      on_pause: takes the step of a pause, at which `lanes` are.
      pauses: the rest as `train` has it.
    """
    began = time.perf_counter() - pauses.pop("seconds", 0.0)

    def note(record: Record) -> None:
        record = lanes.of_running(record)
        _follow(standing, record, scheduler, lanes.program.task.key_metric)
        on_record(record)

    def pause(step: int, blocks: Sequence[Any]) -> None:
        lanes.blocks = list(blocks)
        on_pause(step)

    for stretch in stretches(chunks, scheduler.due):
        if (step := stretch[0].start) and scheduler.due(step):
            seen = standing.seen(step)
            decision = scheduler.decide(seen, (scheduler.seed, step))
            _check(decision, scheduler)
            on_decision(seen, decision)
            standing.follow(decision)
            _carry_out(lanes, decision, scheduler)
        if not lanes.running.any():
            return
        rest = [chunk for chunk in chunks if chunk.start >= step]
        new = lambda runs, width: compile_for(runs, width, rest)  # noqa: B023
        lanes.narrow(standing.runs, standing.diverged, step, new)
        pauses["seconds"] = time.perf_counter() - began
        lanes.blocks = train(lanes.program, lanes.blocks, stretch, note, on_pause=pause, **pauses)


def _check(decision: Decision, scheduler: Scheduler) -> None:
    """Raises a `ValueError` for a decision that its scheduler has not said it may take."""
    moves = decision.parents != np.arange(len(decision.parents))
    if (decision.stops.any() and not scheduler.stops) or (moves.any() and not scheduler.exchanges):
        raise ValueError(
            f"a scheduler with exchanges={scheduler.exchanges} and stops={scheduler.stops} decided "
            f"that {decision.stops.sum()} runs stop and {moves.sum()} take over from others"
        )


def _carry_out(lanes: Lanes, decision: Decision, scheduler: Scheduler) -> None:
    if scheduler.exchanges:
        lanes.blocks = take_over(lanes.program, lanes.blocks, decision.parents)
    if scheduler.changes:
        lanes.blocks = with_hparams(lanes.program, lanes.blocks, decision.hparams)
    if scheduler.stops and decision.stops.any():
        lanes.stop(np.flatnonzero(decision.stops))


def _follow(standing: Standing, record: Record, scheduler: Scheduler, key_metric: str) -> None:
    """Takes over what a record says of the runs that have not stopped."""
    places = slice(None) if record.places is None else record.places
    standing.diverged = standing.diverged.copy()
    standing.diverged[places] = record.diverged
    if not record.evaluated:
        return

    def of_all(name: str) -> np.ndarray:
        values = np.full(len(standing.runs), np.nan, np.float32)
        values[places] = value(record.evaluated[name])
        return values

    others = {name: of_all(name) for name in scheduler.others}
    standing.evaluated(record.chunk.end, of_all(key_metric), others)


def stretches(chunks: Sequence[Chunk], due: Callable[[int], bool]) -> Iterator[list[Chunk]]:
    """Yields the chunks between one step at which a decision is due and the next."""
    some: list[Chunk] = []
    for chunk in chunks:
        if some and due(chunk.start):
            yield some
            some = []
        some.append(chunk)
    if some:
        yield some
