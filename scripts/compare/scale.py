"""Measures the time of a step per run, with 1 to 1,024 runs in one program.

    scripts/run scripts/compare/scale.py

Prints, for each workload and number of runs, the microseconds of a step of one run (the time of all
runs divided by their number), the speed-up over a single run, the compile time, and the memory that
a run needs on the devices. Evaluations are left out.
"""

import dataclasses
import time
from typing import Annotated

import jax
import numpy as np
import tyro

from research import dqn, lm, mlp
from research.cli.machine import configure_jax
from research.engine import Cadence, Program, compile_program, make_runs, plan_chunks, start_blocks
from research.errors import UserError, plain_exit, shortlist
from research.runs.session import device_facts, versions
from research.task import always_zero

# Module, config, hyper-parameters, and the steps of one call.
WORKLOADS = {
    "mlp": (mlp, mlp.Config(hidden=(64,), off=always_zero(mlp.HParams())), mlp.HParams(), 50),
    "dqn": (dqn, *dqn.PRESETS["cartpole"], 50),
    "lm": (lm, *lm.PRESETS["topics"], 5),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which workloads and numbers of runs to time."""

    workloads: tuple[str, ...] = tuple(WORKLOADS)
    runs: tuple[int, ...] = (1, 4, 16, 64, 256, 1024)
    seconds: Annotated[float, tyro.conf.arg(help="of one measurement, at least")] = 4.0


def measure(name: str, count: int, seconds: float) -> tuple[Program, float]:
    """The program for so many runs, and the seconds that a step of all of them takes."""
    workload, config, hparams, steps = WORKLOADS[name]
    problem, runs = workload.make_problem(config), make_runs(hparams, {}, range(count))
    (chunk,) = plan_chunks(steps, Cadence(steps, steps, steps))
    program = compile_program(problem, runs, [chunk])
    blocks = start_blocks(program, runs)
    call = program.train[chunk.logs, chunk.log_every]
    calls, began = 0, time.perf_counter()
    while calls < 2 or time.perf_counter() - began < seconds:
        start = jax.device_put(np.int32(calls * steps), program.replicated)
        for index, block in enumerate(blocks):
            args = block.hparams, block.states, block.diverged, block.keys.step, start
            blocks[index] = block._replace(states=call(program.shared, *args)[0])
        jax.block_until_ready([block.states for block in blocks])
        calls += 1
        if calls == 1:  # warms up
            began = time.perf_counter()
    return program, (time.perf_counter() - began) / ((calls - 1) * steps)


def main(arguments: Arguments) -> None:
    """Prints a table in Markdown."""
    if unknown := set(arguments.workloads) - set(WORKLOADS):
        raise UserError(f"--workloads {shortlist(unknown)}: there are {shortlist(WORKLOADS)}")
    configure_jax()
    print(device_facts(), versions())
    print("| workload | runs | us per step and run | speed-up | compiled in | MB per run |")
    print("|---|---|---|---|---|---|")
    for name in arguments.workloads:
        alone = None
        for count in arguments.runs:
            program, seconds = measure(name, count, arguments.seconds)
            each = 1e6 * seconds / count
            alone = alone or each * count / arguments.runs[0]
            size = program.cost.peak_bytes - program.cost.shared_bytes
            size *= program.layout.devices / count / 1e6
            print(
                f"| {name} | {count:,} | {each:,.1f} | {alone / each:.2f} "
                f"| {program.cost.compile_seconds:.1f} s | {size:.3g} |",
                flush=True,
            )


if __name__ == "__main__":
    with plain_exit():
        main(tyro.cli(Arguments, description=__doc__))
