"""The runs that a program trains, some of which stop on the way.

What a run had when it stopped is taken to the host and kept. Its lane goes on idly until those that
run fit half of the lanes; then they go on in fewer blocks, or in a program that is compiled for so
many, if that pays.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from research.engine.axes import Runs
from research.engine.blocks import Block, gather_best, gather_states, start_blocks
from research.engine.exchange import lane_numbers, lanes_moved
from research.engine.layout import Layout, fewer_lanes
from research.engine.metrics import Record
from research.engine.program import Program

# FLOPs that a narrower program has to save before it is compiled: about what a machine does in the
# seconds that compiling takes.
MIN_SAVED = {"cpu": 3e11}
MIN_SAVED_BY_ACCELERATORS = 1e14


class Lanes:
    """R runs, of which those that have not stopped are on the devices.

    Attributes:
      program: that trains them.
      blocks: of the runs that have lanes.
      places: int [N], which of the R runs these are, in increasing order.
      running: bool [R], those that have not stopped. The others may still have lanes.
    """

    def __init__(
        self,
        program: Program,
        blocks: Sequence[Block],
        runs: int,
        places: np.ndarray | None = None,
        left: tuple[np.ndarray, Any] | None = None,
    ):
        """
        Args:
          program, blocks, places: as the attributes; all runs have lanes if not given.
          runs: R.
          left: the runs that have stopped, and their (states, best) on the host; None: none has.
        """
        self.program, self.blocks = program, list(blocks)
        self.places = np.arange(runs) if places is None else np.asarray(places)
        self.running = np.ones(runs, np.bool_)
        self._left: list[tuple[np.ndarray, Any]] = []
        if left is not None and len(left[0]):
            self._leave(*left)

    def held(self) -> tuple[Any, Any]:
        """Returns the states and the best evaluations of all runs as host arrays [R, ...]; of those
        that have stopped, as they were then."""
        here = gather_states(self.program, self.blocks), gather_best(self.program, self.blocks)
        if len(self.places) == len(self.running) and not self._left:
            return here
        on = np.flatnonzero(self.running[self.places])
        pieces = [(self.places[on], jax.tree.map(lambda leaf: leaf[on], here)), *self._left]
        return _joined(len(self.running), pieces)

    def stop(self, runs: np.ndarray) -> None:
        """Keeps some runs on the host as they are, and trains them no longer.

        Args:
          runs: int [K], their places among all runs.
        """
        take_out = self.program.take_out
        assert take_out is not None
        for block, lanes in self._lanes_of(runs):
            tree = self.blocks[block].states, self.blocks[block].best
            rows = jax.device_get(take_out(tree, lane_numbers(self.program, lanes)))
            first = block * self.program.layout.width
            some = jax.tree.map(lambda leaf: leaf[: len(lanes)], rows)  # noqa: B023
            self._leave(self.places[first + lanes], some)

    def narrow(
        self, runs: Runs, diverged: np.ndarray, step: int, compile_for: Callable[..., Program]
    ) -> None:
        """Goes on with fewer lanes, if those that run fit half of them.

        A narrower program is compiled once its lanes save enough work over as many steps as there
        have been. How many are still to come does not count, so that a sweep that is made longer
        later goes through the same widths, and its numbers are the same to the bit.

        Args:
          runs: all R.
          diverged: their status.
          step: where they are.
          compile_for: (runs, how many lanes) -> the program that trains these on as many.
        """
        program, layout = self.program, self.program.layout
        on = np.flatnonzero(self.running[self.places])
        fewer = fewer_lanes(layout, len(on))
        if fewer is None or (fewer.width < layout.width and not _pays(program, fewer, step)):
            return
        here = gather_states(program, self.blocks), gather_best(program, self.blocks)
        self.blocks = []  # before others take their memory
        states, best = jax.tree.map(lambda leaf: leaf[on], here)
        self.places = self.places[on]
        some = runs.take(self.places)
        if fewer.width == layout.width:
            self.program = dataclasses.replace(program, layout=fewer)
        else:
            self.program = compile_for(some, fewer.width)
        status = diverged[self.places]
        self.blocks = start_blocks(self.program, some, states, status, best)

    def of_running(self, record: Record) -> Record:
        """Returns a record of the runs that have lanes without those that have stopped."""
        on = self.running[self.places]
        if len(self.places) == len(self.running) and on.all():
            return record
        take = lambda leaf: np.asarray(leaf)[..., on]
        logged, evaluated = jax.tree.map(take, (record.logged, record.evaluated))
        return record._replace(
            logged=logged,
            evaluated=evaluated,
            diverged=record.diverged[on],
            places=self.places[on],
        )

    def _leave(self, runs: np.ndarray, tree: Any) -> None:
        self.running[runs] = False
        self._left.append((runs, tree))

    def _lanes_of(self, runs: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The lanes of some runs, as many as one call moves, and the block that they are of."""
        width = self.program.layout.width
        most = lanes_moved(width, self.program.devices[0])
        at = np.flatnonzero(np.isin(self.places, runs))
        for block in np.unique(at // width).tolist():
            lanes = at[at // width == block] % width
            for first in range(0, len(lanes), most):
                yield block, lanes[first : first + most]


def _pays(program: Program, fewer: Layout, step: int) -> bool:
    """Whether fewer lanes would have saved more by this step than compiling for them costs."""
    saved = program.layout.width * program.layout.blocks - fewer.width
    least = MIN_SAVED.get(program.devices[0].platform, MIN_SAVED_BY_ACCELERATORS)
    return saved * step * program.cost.flops_per_step >= least


def _joined(runs: int, pieces: Sequence[tuple[np.ndarray, Any]]) -> Any:
    """Trees of some runs each as one of all runs."""

    def join(*leaves: np.ndarray) -> np.ndarray:
        whole = np.empty((runs, *leaves[0].shape[1:]), leaves[0].dtype)
        for (places, _), leaf in zip(pieces, leaves, strict=True):
            whole[places] = leaf
        return whole

    return jax.tree.map(join, *(tree for _, tree in pieces))
