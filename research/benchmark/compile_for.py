"""Compiles cases for an accelerator that is not there, and predicts how fast it trains them.

    scripts/bench compile --for h100                     every case, for 8, 64 and 512 runs
    scripts/bench compile --for h100 v5e --cases dqn-cartpole --runs 64 1024

For each it says how long compiling took, how many kernels and copies one step launches, how many
loops wait for the host, what the program needs of the device's memory, how many runs would fit, and
a predicted throughput: the least of what launches, floating-point operations and memory bandwidth
allow. Nothing is run, and a prediction is an upper bound. JAX has to come with the compiler of the
device, which the script sees to: jax[cuda13] or jax[tpu] in an environment of its own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from research.benchmark.cases import CASES
from research.benchmark.devices import EXTRAS, Device, mesh_of, read_device
from research.benchmark.launches import Launches, count_launches
from research.benchmark.timing import Case
from research.console import print_text
from research.engine import make_runs
from research.engine.layout import plan_layout
from research.engine.memory import byte_count, measure_memory
from research.engine.one_run import trace_one_run
from research.engine.program import compile_keys, compile_training, program_shapes
from research.errors import UserError, plain_exit

LOGS, LOG_EVERY = 10, 100  # of the program that is compiled: 1,000 steps
RUNS = (8, 64, 512)
MARK = "compiled: "  # begins the lines of results among those of compilers
ROOT = Path(__file__).parents[2]


class CompiledCase(NamedTuple):
    """What a program of R runs needs on a device, and what it could do there.

    Attributes:
      case, precision, runs, unit: what was compiled, and the unit of its work.
      seconds: how long tracing and compiling took.
      kernels, copies: launches of a step of all runs.
      waits: loops that wait for the host.
      temp_bytes, peak_bytes: of the device's memory.
      most_runs: how many runs fit the device.
      bound: what bounds the throughput: launches, FLOPs or memory.
      units_per_second: the throughput that is predicted at most.
    """

    case: str
    precision: str
    runs: int
    unit: str
    seconds: float
    kernels: float
    copies: float
    waits: int
    temp_bytes: int
    peak_bytes: int
    most_runs: int
    bound: str
    units_per_second: float


def compile_case(case: Case, runs: int, device: Device) -> CompiledCase:
    """Compiles the training program of R runs for one device.

    Raises:
      UserError: if the JAX here has no compiler for it.
    """
    began, mesh = time.perf_counter(), mesh_of(device)
    all_runs, problem = make_runs(case.hparams, {}, range(runs)), case.problem
    layout = plan_layout(runs, 1)
    shapes = program_shapes(problem, all_runs, layout, mesh)
    _, keys = compile_keys(mesh, shapes.seeds)
    program: Any = compile_training(problem.task, mesh, shapes, keys, LOGS, LOG_EVERY)
    seconds = time.perf_counter() - began
    launches = count_launches(program.as_text())
    shared, carried = byte_count(shapes.shared), byte_count((shapes.states, shapes.hparams))
    memory = measure_memory([program], layout.blocks, carried, shared)
    one = trace_one_run(problem, all_runs)
    moved = 2 * byte_count([getattr(one.state, name, ()) for name in ("params", "opt_state")])
    bound, step_seconds = predict(
        launches, one.flops_per_step * runs, moved * runs, case.precision, device
    )
    per_run = max(1, (memory["peak_bytes"] - shared) // runs)
    steps = LOGS * LOG_EVERY
    return CompiledCase(
        case=case.name,
        precision=case.precision,
        runs=runs,
        unit=problem.task.work_unit,
        seconds=seconds,
        kernels=launches.kernels / steps,
        copies=launches.copies / steps,
        waits=launches.waits,
        temp_bytes=memory["temp_bytes"],
        peak_bytes=memory["peak_bytes"],
        most_runs=max(0, (device.memory_bytes - shared) // per_run),
        bound=bound,
        units_per_second=problem.task.work_per_step * runs / step_seconds,
    )


def predict(
    launches: Launches, flops: float, moved: float, precision: str, device: Device
) -> tuple[str, float]:
    """Returns what bounds a step of all runs, and how many seconds it takes at least.

    Args:
      launches: of `LOGS` times `LOG_EVERY` steps.
      flops: floating-point operations of a step of all runs.
      moved: bytes of params and optimizer state that it reads and writes.
      precision: of the matrix products.
      device: the facts that the three bounds are computed from.
    """
    count = (launches.kernels + launches.copies) / (LOGS * LOG_EVERY)
    bounds = {
        "launches": count * device.launch_seconds,
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
    return (
        f"{device.description}: {start}{flops}, {device.bytes_per_second:.3g} bytes/s, "
        f"{device.memory_bytes / 2**30:.1f} GiB ({device.source})"
    )


def compile_elsewhere(
    names: Sequence[str], precision: str, runs: Sequence[int], device: Device
) -> Iterator[CompiledCase]:
    """Yields the cases, compiled by a process in the environment that has the device's compiler.

    `scripts/run` sets that environment up, once: `.venv-cuda13` or `.venv-tpu`.

    Raises:
      UserError: if the process cannot compile.
    """
    extra, script = EXTRAS[device.platform], ROOT / "scripts" / "run"
    if not script.is_file():
        raise UserError(f"compile: a checkout of the repository is needed; there is no {script}")
    variables = {
        "SEEDBED_VENV": str(ROOT / f".venv-{extra}"),
        "SEEDBED_EXTRA": extra,
        "JAX_PLATFORMS": "cpu",  # no device of the platform is there
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
        "TPU_SKIP_MDS_QUERY": "1",
    }
    call = [str(script), "-m", __name__, device.name, precision, ",".join(map(str, runs)), *names]
    with subprocess.Popen(
        call, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                yield CompiledCase(**json.loads(line.removeprefix(MARK)))
        _, errors = process.communicate()
    if process.returncode:
        reason = (errors.strip().splitlines() or ["it ended without a word"])[-1]
        raise UserError(reason.removeprefix("error: "))


def work(words: Sequence[str]) -> None:
    """Compiles what the words name and prints each case as JSON: the other side of the above."""
    device, (precision, runs) = read_device(words[0]), words[1:3]
    for name in words[3:]:
        for count in map(int, runs.split(",")):
            compiled = compile_case(CASES[name](precision), count, device)
            print_text(MARK + json.dumps(compiled._asdict()))


if __name__ == "__main__":
    with plain_exit():
        work(sys.argv[1:])
