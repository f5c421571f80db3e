"""The runs of a program on the devices, one block a call, and back on the host."""

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
    """The runs of one call, on the devices; every leaf is [layout.width, ...]. `diverged` is their
    status, as of `Logged`."""

    hparams: Any
    keys: Any
    states: Any
    diverged: Any


def start_blocks(
    program: "Program", runs: Runs, states: Any = None, diverged: Any = None
) -> list[Block]:
    """All runs at their beginning; or with `states`, a pytree of host arrays [R, ...], there, and
    with the status `diverged`, int32 [R]; nobody has diverged if it is not given."""
    status = start_status(len(runs)) if diverged is None else diverged
    blocks = []
    for index in range(program.layout.blocks):
        rows = _rows(program.layout, index)
        put = lambda tree: jax.device_put(
            jax.tree.map(lambda leaf: np.asarray(leaf)[rows], tree),  # noqa: B023
            program.sharding,
        )
        hparams, seeds = put((runs.hparams, runs.seeds))
        if states is not None:
            block_states = put(states)
        else:
            assert program.init is not None
            block_states = program.init(program.shared, hparams, seeds)
        blocks.append(Block(hparams, program.make_keys(seeds), block_states, put(status)))
    return blocks


def gather_states(program: "Program", blocks: Sequence[Block]) -> Any:
    """The states of all runs as host arrays [R, ...], padding left out."""
    return join_blocks(program.layout, [jax.device_get(block.states) for block in blocks])


def join_blocks(layout: Layout, parts: Sequence[Any]) -> Any:
    """Concatenates what each block gave along the run axis and drops the padding lanes."""

    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: layout.runs], *parts)


def _rows(layout: Layout, index: int) -> np.ndarray:
    """Which runs a block holds; the last run again where there are no more."""
    rows = index * layout.width + np.arange(layout.width)
    return np.minimum(rows, layout.runs - 1)


def block_of(runs: Runs, layout: Layout, index: int) -> tuple[Any, np.ndarray]:
    """Hyper-parameters and seeds of the runs of a block, [layout.width] each."""
    rows = _rows(layout, index)
    return jax.tree.map(lambda leaf: leaf[rows], runs.hparams), runs.seeds[rows]
