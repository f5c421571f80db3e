"""What a checkpoint holds of runs: their states, and what else goes on with them."""

from typing import Any, NamedTuple

import jax

from research.engine.axes import Runs
from research.engine.best import Kept
from research.engine.one_run import kept_shapes, state_shapes
from research.task import Problem


class Scheduled(NamedTuple):
    """The hyper-parameters of runs under a scheduler that changes them, beside the rest."""

    kept: Any
    hparams: Any


class Held(NamedTuple):
    """What is held of R runs, every leaf [R, ...].

    Attributes:
      states: of the task.
      best: the best evaluations; None where these are not kept.
      hparams: as they are now; None where they never change.
    """

    states: Any
    best: Any = None
    hparams: Any = None

    def tree(self) -> Any:
        """As a checkpoint holds it. States alone are a checkpoint of states."""
        kept = self.states if self.best is None else Kept(self.states, self.best)
        return kept if self.hparams is None else Scheduled(kept, self.hparams)

    @classmethod
    def of(cls, tree: Any) -> "Held":
        """Undoes `tree`."""
        kept, hparams = tree if isinstance(tree, Scheduled) else (tree, None)
        states, best = kept if isinstance(kept, Kept) else (kept, None)
        return cls(states, best, hparams)


def held_shapes(problem: Problem, runs: Runs, keeps_best: bool, changes_hparams: bool) -> Any:
    """Returns the shapes of what a checkpoint of runs holds.

    Args:
      problem: of the runs.
      runs: R of them.
      keeps_best: whether the best evaluations are kept.
      changes_hparams: whether a scheduler changes hyper-parameters.
    """
    states = state_shapes(problem, runs)
    kept = kept_shapes(states) if keeps_best else states
    if not changes_hparams:
        return kept
    shape_of = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    return Scheduled(kept, jax.tree.map(shape_of, runs.hparams))
