"""Moves states between runs: a run takes over the state of another, on the devices.

Only lanes that change are copied, some at a time, whatever the size of a state. The two runs may be
of different blocks and lie on different devices: this is the one place where devices exchange
anything, between two calls of the training program, which has no collective.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from research.engine.blocks import Block, pad_rows

if TYPE_CHECKING:
    from research.engine.program import Program

# Lanes in one call, which copies so many even where fewer move. On a CPU, runs lie in blocks, so
# that few move from one to another: 51 of 256 DQNs in a quarter of the time with 4 instead of 64. A
# GPU has one block, and waits for the host at each call.
MOST_MOVED = {"cpu": 4}
MOST_MOVED_BY_ACCELERATORS = 64


def lanes_moved(width: int, device: Any) -> int:
    """Returns how many lanes one call moves in a program of that width, on such devices."""
    return min(width, MOST_MOVED.get(device.platform, MOST_MOVED_BY_ACCELERATORS))


def take_lanes(tree: Any, lanes: jax.Array) -> Any:
    """Returns the lanes [K] of a tree of arrays [R, ...], on every device."""
    return jax.tree.map(lambda leaf: leaf[lanes], tree)


def put_lanes(tree: Any, moved: Any, lanes: jax.Array) -> Any:
    """Returns the tree with what was moved in the lanes [K]; a lane beyond the last is none."""
    return jax.tree.map(lambda leaf, new: leaf.at[lanes].set(new, mode="drop"), tree, moved)


def take_over(program: "Program", blocks: Sequence[Block], parents: np.ndarray) -> list[Block]:
    """Returns the blocks in which each run has the state and the status of its parent.

    All parents are read before any run is written, so that two runs may trade places. Keys,
    hyper-parameters and best evaluations stay with the run.

    Args:
      program: of the blocks, whose states are consumed.
      blocks: all runs.
      parents: int [R], the place of the run that each takes over; its own: it stays as it is.
    """
    assert program.take is not None
    assert program.put is not None
    width, blocks = program.layout.width, list(blocks)
    moves = [
        (target, to, program.take(_carried(blocks[source]), lane_numbers(program, lanes)))
        for source, target, lanes, to in _moves(
            parents, width, lanes_moved(width, _device(program))
        )
    ]
    for target, to, moved in moves:
        lanes = lane_numbers(program, to, beyond=width)
        states, diverged = program.put(_carried(blocks[target]), moved, lanes)
        blocks[target] = blocks[target]._replace(states=states, diverged=diverged)
    return blocks


def with_hparams(program: "Program", blocks: Sequence[Block], hparams: Any) -> list[Block]:
    """Returns the blocks with other hyper-parameters, whose leaves are host arrays [R]."""
    return [
        block._replace(
            hparams=jax.device_put(pad_rows(hparams, program.layout, index), program.sharding)
        )
        for index, block in enumerate(blocks)
    ]


def _moves(
    parents: np.ndarray, width: int, most: int
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """The lanes that one call moves, `most` of them: blocks that they are of and that they go to,
    where they are and where they go."""
    children = np.flatnonzero(parents != np.arange(len(parents)))
    source, target = parents[children] // width, children // width
    for pair in sorted({*zip(source.tolist(), target.tolist(), strict=True)}):
        mine = children[(source == pair[0]) & (target == pair[1])]
        for first in range(0, len(mine), most):
            some = mine[first : first + most]
            yield *pair, parents[some] % width, some % width


def lane_numbers(program: "Program", lanes: np.ndarray, beyond: int = 0) -> Any:
    """Returns lanes as the programs take them, filled up with a lane of no effect."""
    filled = np.full(lanes_moved(program.layout.width, _device(program)), beyond, np.int32)
    filled[: len(lanes)] = lanes
    return jax.device_put(filled, program.replicated)


def _device(program: "Program") -> Any:
    return program.devices[0]


def _carried(block: Block) -> tuple[Any, Any]:
    return block.states, block.diverged


def exchange_calls(
    compile_whole: Callable[..., Any], states: Any, diverged: Any, state_places: Any, lanes: Any
) -> dict[str, Any]:
    """Returns the programs that move lanes, by their names in `Program`.

    Args:
      compile_whole: (function, arguments, places of arguments and results, which it may overwrite)
        -> the compiled function and the shapes of what it returns.
      states, diverged: their shapes.
      state_places: how states lie.
      lanes: the shape of the lanes; its sharding is that of what is on every device.
    """
    tree, places = (states, diverged), (state_places, diverged.sharding)
    everywhere = jax.tree.map(lambda leaf: lanes.sharding, tree)
    take, moved = compile_whole(take_lanes, (tree, lanes), ((places, lanes.sharding), everywhere))
    args = (tree, moved, lanes)
    put, _ = compile_whole(put_lanes, args, ((places, everywhere, lanes.sharding), places), (0,))
    return {"take": take, "put": put}
