"""The host loop around the compiled chunks: the one place where a sweep meets the host."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from research.engine.axes import Runs, check_requirements, make_runs
from research.engine.blocks import Block, gather_states, join_blocks, start_blocks
from research.engine.cadence import Cadence, Chunk, plan_chunks
from research.engine.metrics import Diverged, Record, as_status, diverged_runs
from research.engine.program import Program, compile_program
from research.engine.schedule import Decision, Scheduler, Seen, Standing
from research.limits import as_int
from research.task import HParams, Problem, Shared, Task

if TYPE_CHECKING:
    import pandas as pd  # which training can do without


def train(
    program: Program,
    blocks: Sequence[Block],
    chunks: Iterable[Chunk],
    on_record: Callable[[Record], None],
    *,
    due: Callable[[], bool] = lambda: False,
    on_pause: Callable[[int, Sequence[Block]], None] = lambda step, blocks: None,
    seconds: float = 0.0,
) -> list[Block]:
    """Trains all blocks through the chunks and passes each chunk's record to `on_record`.

    A record is fetched only after the next chunk has been dispatched, so that the devices do not
    wait for the host.

    Args:
      program: what to run.
      blocks: all runs.
      chunks: which steps.
      on_record: takes the records.
      due: asked after each chunk whether to pause.
      on_pause: called then, when all records up to a step have been handed over, with the step and
        the blocks there. What it raises ends the training.
      seconds: that the runs have been trained for before.

    Returns:
      The blocks after the last chunk. The states of those given are consumed.
    """
    began = time.perf_counter() - seconds
    blocks = list(blocks)
    pending = None
    for chunk in chunks:
        results = _dispatch(program, blocks, chunk)
        if pending:
            on_record(_fetch(program, *pending, began))
        pending = chunk, results
        if due():
            on_record(_fetch(program, *pending, began))
            pending = None
            on_pause(chunk.end, blocks)
    if pending:
        on_record(_fetch(program, *pending, began))
    return blocks


class Swept(NamedTuple):
    """What `sweep` returns.

    Attributes:
      metrics: one row a run and logged step, with seed and hyper-parameters as columns.
      states: the final states, a pytree of host arrays [R, ...].
      diverged: the runs that became non-finite.
    """

    metrics: "pd.DataFrame"
    states: Any
    diverged: list[Diverged]


def sweep(
    task: Task,
    shared: Shared,
    hparams: HParams,
    seeds: int | Sequence[int],
    steps: int,
    *,
    axes: dict[str, Sequence[Any]] | None = None,
    cadence: Cadence | None = None,
    start: int = 0,
    states: Any = None,
    diverged: Sequence[Diverged] = (),
    devices: Sequence[Any] | None = None,
    most_lanes: int | None = None,
    scheduler: Scheduler | None = None,
    on_decision: Callable[[Seen, Decision], None] = lambda seen, decision: None,
) -> Swept:
    """Trains every seed under every setting of `axes` in one program, without files.

    Args:
      task: what a run is.
      shared: what all runs read.
      hparams: the values of the hyper-parameters that `axes` does not name.
      seeds: a count, or the seeds themselves.
      steps: up to which step to train.
      axes: hyper-parameter -> its values; the grid is their product.
      cadence: when to log and evaluate.
      start: the step that `states` have reached.
      states, diverged: to resume from, as an earlier sweep of the same runs returned them.
      devices: to shard the runs over; all local ones if not given.
      most_lanes: runs in lockstep on one device at most.
      scheduler: decides on the way what becomes of the runs. The columns of the metrics keep the
        hyper-parameters that they began with.
      on_decision: takes what the scheduler knew and what it decided.

    Returns:
      Metrics, final states and the runs that diverged. The same bits whatever the chunk length,
      and whether in one go or in parts.

    Raises:
      UserError: for an unknown axis, a value that does not fit its field, a setting that the task
        does not allow, or cadences that do not divide.
    """
    import pyarrow as pa

    from research.engine import rows
    from research.engine.lanes import Lanes
    from research.engine.scheduled import train_scheduled

    steps, start = as_int("--steps", steps, low=1), as_int("--start", start, low=0)
    runs = make_runs(hparams, axes or {}, seeds)
    check_requirements(task, runs)
    problem = Problem(task, shared)
    chunks = plan_chunks(steps, cadence or Cadence.of(steps), start)
    program = compile_program(
        problem,
        runs,
        chunks,
        devices=devices,
        most_lanes=most_lanes,
        resumed=states is not None,
        exchanges=scheduler is not None and scheduler.exchanges,
        stops=scheduler is not None and scheduler.stops,
    )
    records: list[Record] = []
    status = as_status(diverged, len(runs))
    blocks = start_blocks(program, runs, states, status)
    if scheduler is None:
        blocks = train(program, blocks, chunks, records.append)
        gathered = gather_states(program, blocks)
        status = records[-1].diverged if records else status
    else:

        def compile_for(some: Runs, width: int, rest: Sequence[Chunk]) -> Program:
            how = {"devices": program.devices, "most_lanes": most_lanes, "width": width}
            return compile_program(problem, some, rest, **how, resumed=True, stops=True)

        numbers = np.arange(len(runs))
        standing = Standing(runs, numbers, numbers // len(np.unique(runs.seeds)), status)
        lanes = Lanes(program, blocks, len(runs))
        train_scheduled(
            lanes, chunks, scheduler, standing, compile_for, records.append, on_decision
        )
        gathered, status = lanes.held()[0], standing.diverged
    names = dict.fromkeys(
        name for record in records for name in (*record.logged, *record.evaluated)
    )
    schema = rows.table_schema(runs.hparams, {}, tuple(names))
    labels = rows.row_labels(runs, np.arange(len(runs)))
    tables = [
        rows.record_table(record, rows.labels_of(labels, record), schema, task.work_after)
        for record in records
    ]
    return Swept(
        pa.concat_tables(tables or [schema.empty_table()]).to_pandas(),
        gathered,
        diverged_runs(status),
    )


def _dispatch(program: Program, blocks: list[Block], chunk: Chunk) -> list[Any]:
    """Starts a chunk of every block without waiting, and replaces the block's states by the new
    ones."""
    start = jax.device_put(np.int32(chunk.start), program.replicated)
    end = jax.device_put(np.int32(chunk.end), program.replicated)
    run_chunk = program.train[chunk.logs, chunk.log_every]
    results = []
    for index, (hparams, keys, states, diverged, best) in enumerate(blocks):
        states, (logged, diverged) = run_chunk(
            program.shared, hparams, states, diverged, keys.step, start
        )
        evaluated = {}
        if chunk.evaluate:
            assert program.evaluate is not None
            evaluated, diverged = program.evaluate(
                program.shared, hparams, states, diverged, keys.evaluate, end
            )
            if program.keep_best is not None:
                score = evaluated[program.task.key_metric]
                best = program.keep_best(best, states.params, score, diverged, end)
        blocks[index] = Block(hparams, keys, states, diverged, best)
        results.append((logged, evaluated, diverged))
    return results


def _fetch(program: Program, chunk: Chunk, results: Sequence[Any], began: float) -> Record:
    """Waits for a chunk of all blocks and concatenates its metrics over the runs."""
    logged, evaluated, diverged = join_blocks(program.layout, jax.device_get(results))
    by_step = jax.tree.map(np.transpose, logged)
    return Record(chunk, by_step, evaluated, diverged, time.perf_counter() - began)
