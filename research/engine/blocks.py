"""Puts the runs of a program on the devices, in blocks that take turns, and gets them back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from research.engine.axes import Runs
from research.engine.chunk import start_status
from research.engine.layout import Layout

if TYPE_CHECKING:
    from research.engine.program import Program


class Block(NamedTuple):
    """The runs of one call on the devices; every leaf is [layout.width, ...]. `diverged` is their
    status, as in `Logged`; `best` are their best evaluations, None where these are not kept."""

    hparams: Any
    keys: Any
    states: Any
    diverged: Any
    best: Any = None


def start_blocks(
    program: "Program",
    runs: Runs,
    states: Any = None,
    diverged: Any = None,
    best: Any = None,
    params: Any = None,
) -> list[Block]:
    """Returns all runs before their first step, or where they are resumed, on the devices.

    Args:
      program: that trains them.
      runs: all of them.
      states: to resume from, a pytree of host arrays [R, ...]; None: before the first step.
      diverged: their status there, int32 [R]; None: no run has diverged.
      best: their best evaluations before; None: there was none.
      params: to begin with, if they are given; host arrays [R, ...].
    """
    status = start_status(len(runs)) if diverged is None else diverged
    blocks = []
    for index in range(program.layout.blocks):
        put = lambda tree, where=program.sharding: jax.device_put(
            pad_rows(tree, program.layout, index),  # noqa: B023
            where,
        )
        hparams, seeds = put((runs.hparams, runs.seeds))
        if states is not None:
            block_states = put(states, program.state_places)
        else:
            assert program.init is not None
            block_states = program.init(program.shared, hparams, seeds)
            if params is not None:
                assert program.begin_with is not None
                block_states = program.begin_with(block_states, put(params))
        kept, block_status = None, put(status)
        if best is not None:
            kept = put(best)
        elif program.start_best is not None:
            kept = program.start_best(block_states, block_status)
        keys = program.make_keys(seeds)
        blocks.append(Block(hparams, keys, block_states, block_status, kept))
    return blocks


def gather_states(program: "Program", blocks: Sequence[Block]) -> Any:
    """Returns the states of all runs as host arrays [R, ...], without padding."""
    return join_blocks(program.layout, [jax.device_get(block.states) for block in blocks])


def gather_best(program: "Program", blocks: Sequence[Block]) -> Any:
    """Returns the best evaluations of all runs likewise; None where they are not kept."""
    return join_blocks(program.layout, [jax.device_get(block.best) for block in blocks])


def join_blocks(layout: Layout, parts: Sequence[Any]) -> Any:
    """Concatenates what each block gave along the run axis and drops the padding lanes."""

    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: layout.runs], *parts)


def pad_rows(tree: Any, layout: Layout, index: int) -> Any:
    """Returns what is of the runs of a block, [layout.width, ...], from host arrays [R, ...]."""
    rows = _rows(layout, index)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], tree)


def _rows(layout: Layout, index: int) -> np.ndarray:
    """The places of the runs that a block holds; padding repeats the last run."""
    rows = index * layout.width + np.arange(layout.width)
    return np.minimum(rows, layout.runs - 1)


def block_of(runs: Runs, layout: Layout, index: int) -> tuple[Any, np.ndarray]:
    """Returns hyper-parameters and seeds of the runs of a block, [layout.width] each."""
    rows = _rows(layout, index)
    return jax.tree.map(lambda leaf: leaf[rows], runs.hparams), runs.seeds[rows]
