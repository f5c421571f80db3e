"""The engine: `vmap` over runs, `scan` over steps, sharded over devices, one host loop.

From a notebook, without files:

    from research.engine import sweep
    metrics, states, diverged = sweep(task, shared, HParams(), seeds=64, steps=1000,
                                      axes={"learning_rate": [1e-3, 1e-2]})
"""

from research.engine.axes import Runs, make_groups, make_runs
from research.engine.blocks import gather_states, start_blocks
from research.engine.cadence import Cadence, plan_chunks
from research.engine.loop import Swept, sweep, train
from research.engine.program import Program, compile_program

__all__ = [
    "Cadence",
    "Program",
    "Runs",
    "Swept",
    "compile_program",
    "gather_states",
    "make_groups",
    "make_runs",
    "plan_chunks",
    "start_blocks",
    "sweep",
    "train",
]
