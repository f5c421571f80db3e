"""The engine: `vmap` over runs, `scan` over steps, sharded over devices, one host loop.

From a notebook, without files:

    from research.sweep import sweep
    metrics, states, diverged = sweep(task, shared, HParams(), seeds=64, steps=1000,
                                      axes={"learning_rate": [1e-3, 1e-2]})
"""

from research.sweep.axes import Runs, make_groups, make_runs
from research.sweep.engine import Swept, sweep, train
from research.sweep.plan import Cadence, plan_chunks
from research.sweep.program import Program, compile_program, gather_states, start_blocks

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
