"""What a training program needs of a device that is not there, and how fast it would be at best.

A prediction is the largest of these: kernels times what each takes to start, floating-point
operations, bytes that move, and the cycles that a TPU's compiler estimates. Nothing is run; but for
that estimate no real step is faster, and most are slower.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from research.accelerators.devices import Device, mesh_of
from research.accelerators.launches import count_launches
from research.engine.axes import Runs
from research.engine.cadence import Chunk
from research.engine.memory import Cost, byte_count
from research.engine.one_run import trace_one_run
from research.engine.program import compile_calls
from research.task import Problem

LOGS, LOG_EVERY = 10, 100  # of a program that stands for any number of steps


class StepLaunches(NamedTuple):
    """What one step of all runs launches, on average over the program.

    Attributes:
      kernels, copies, cycles: as in `Launches`, of a step.
      waits: loops of the whole program that wait for the host.
    """

    kernels: float
    copies: float
    waits: int
    cycles: float = 0.0


class Needs(NamedTuple):
    """What the program of R runs needs of a device, and what it could do there.

    Attributes:
      seconds: how long tracing and compiling took.
      launches: of a step.
      cost: what the engine measures of every program.
      per_run_bytes: memory that one more run needs.
      bound: what bounds a step: launches, FLOPs, memory or cycles.
      step_seconds: how long a step of all runs takes at best.
    """

    seconds: float
    launches: StepLaunches
    cost: Cost
    per_run_bytes: int
    bound: str
    step_seconds: float


def measure_needs(
    problem: Problem,
    runs: Runs,
    precision: str,
    device: Device,
    chunks: Sequence[Chunk] = (Chunk(0, LOGS, LOG_EVERY, evaluate=False),),
    most_lanes: int | None = None,
    width: int | None = None,
    keep_best: bool = False,
) -> Needs:
    """Compiles the programs that train and evaluate runs on one device, and returns their needs.

    Args:
      problem: task and data.
      runs: that are trained together.
      precision: of the matrix products.
      device: need not be there.
      chunks: that the runs go through; the longest of them stands for all in counts of launches.
        If none is given, evaluations are left out.
      most_lanes, width, keep_best: as in `compile_program`.

    Raises:
      UserError: if the JAX here has no compiler for the device.
    """
    began = time.perf_counter()
    devices = list(mesh_of(device).devices.flat)
    calls = compile_calls(problem, runs, chunks, devices, most_lanes, width, True, keep_best)
    seconds, cost, layout = time.perf_counter() - began, calls.cost, calls.layout
    logs, log_every = max(calls.by_name["train"], key=lambda shape: shape[0] * shape[1])
    counted = count_launches(calls.by_name["train"][logs, log_every].as_text())
    evaluate: Any = calls.by_name["evaluate"]
    launches = StepLaunches(
        layout.blocks * counted.kernels / (logs * log_every),
        layout.blocks * counted.copies / (logs * log_every),
        counted.waits + (count_launches(evaluate.as_text()).waits if evaluate else 0),
        layout.blocks * counted.cycles / (logs * log_every),
    )
    all_lanes = layout.width * layout.blocks
    state = trace_one_run(problem, runs).state
    moved = 2 * byte_count([getattr(state, name, ()) for name in ("params", "opt_state")])
    flops = cost.flops_per_step * all_lanes
    bound, step_seconds = predict(launches, flops, moved * all_lanes, precision, device)
    per_run = max(1, (cost.peak_bytes - cost.shared_bytes) // all_lanes)
    return Needs(seconds, launches, cost, per_run, bound, step_seconds)


def predict(
    launches: StepLaunches, flops: float, moved: float, precision: str, device: Device
) -> tuple[str, float]:
    """Returns what bounds a step of all runs, and how many seconds it takes at least.

    Args:
      launches: of the step.
      flops: its floating-point operations.
      moved: bytes of params and optimizer state that it reads and writes.
      precision: of the matrix products.
      device: the facts that the bounds are computed from.
    """
    clock = device.cycles_per_second
    bounds = {
        "cycles": launches.cycles / clock if clock else 0.0,
        "launches": (launches.kernels + launches.copies) * device.launch_seconds,
        "FLOPs": flops / device.flops_per_second[precision],
        "memory": moved / device.bytes_per_second,
    }
    bound = max(bounds, key=bounds.__getitem__)
    return bound, bounds[bound]


def assumptions(device: Device) -> str:
    """Returns the constants behind predictions for a device, in a sentence."""
    flops = ", ".join(
        f"{rate:.3g} FLOP/s in {name}" for name, rate in device.flops_per_second.items()
    )
    launch = device.launch_seconds
    start = f"{launch * 1e6:g} microseconds a kernel, " if launch else ""
    if device.cycles_per_second:
        start = f"the compiler's estimate at {device.cycles_per_second / 1e9:g} GHz, "
    return (
        f"{device.description}: {start}{flops}, {device.bytes_per_second:.3g} bytes/s, "
        f"{device.memory_bytes / 2**30:.1f} GiB ({device.source})"
    )
