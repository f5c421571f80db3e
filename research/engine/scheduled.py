"""Trains runs under a scheduler, which is asked between chunks."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from research.engine.blocks import Block
from research.engine.cadence import Chunk
from research.engine.exchange import take_over, with_hparams
from research.engine.loop import train
from research.engine.metrics import Record, value
from research.engine.program import Program
from research.engine.schedule import Decision, Scheduler, Seen, Standing


def train_scheduled(
    program: Program,
    blocks: Sequence[Block],
    chunks: Sequence[Chunk],
    scheduler: Scheduler,
    standing: Standing,
    on_record: Callable[[Record], None],
    on_decision: Callable[[Seen, Decision], None],
    **pauses: Any,
) -> list[Block]:
    """Trains all blocks through the chunks as `train` does, and carries out what the scheduler
    decides on the way.

    What is decided depends on the step and on what is known by then, so that neither the length of
    chunks nor a stop changes it. At a stop, what is due at that step has not been decided yet.

    Args:
      program: what to run; compiled with `exchanges` where the scheduler moves states.
      blocks: all runs.
      chunks: which steps.
      scheduler: is asked where it is due, but not before the first step.
      standing: of the runs; changed on the way.
      on_record: takes the records.
      on_decision: takes what was known and what was decided, before it is carried out.
      pauses: as `train` has them.
    """
    began = time.perf_counter() - pauses.pop("seconds", 0.0)

    def note(record: Record) -> None:
        standing.diverged = record.diverged
        if record.evaluated:
            key_metric = record.evaluated[program.task.key_metric]
            standing.evaluated(record.chunk.end, value(key_metric))
        on_record(record)

    blocks = list(blocks)
    for stretch in stretches(chunks, scheduler.due):
        if (step := stretch[0].start) and scheduler.due(step):
            seen = standing.seen(step)
            decision = scheduler.decide(seen, (scheduler.seed, step))
            on_decision(seen, decision)
            standing.follow(decision)
            if scheduler.moves:
                blocks = take_over(program, blocks, decision.parents)
            blocks = with_hparams(program, blocks, decision.hparams)
        seconds = time.perf_counter() - began
        blocks = train(program, blocks, stretch, note, seconds=seconds, **pauses)
    return blocks


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
