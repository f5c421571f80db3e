"""Compiles cases for an accelerator that is not there, and predicts how fast it trains them.

    scripts/bench compile --for h100                     every case, for 8, 64 and 512 runs
    scripts/bench compile --for h100 v5e --cases dqn-cartpole --runs 64 1024
    scripts/bench compile --for h100 v5e --out FOLDER    compile.json and compile.png there, too

For each it says how long compiling took, how many kernels and copies one step launches, how many
loops wait for the host, what the program needs of the device's memory, how many runs would fit, and
a predicted throughput: the least of what launches, floating-point operations and memory bandwidth
allow, and on a TPU of the cycles that its compiler estimates. Nothing is run, evaluations are left
out, and a prediction is what would be possible at best. JAX has to come with the compiler of the
device, which the script sees to: jax[cuda13] or jax[tpu] in an environment of its own.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax

from research.accelerators.devices import Device, read_device
from research.accelerators.elsewhere import run_elsewhere, send
from research.accelerators.needs import StepLaunches, measure_needs
from research.benchmark.cases import CASES
from research.benchmark.timing import Case
from research.engine import make_runs
from research.engine.memory import is_out_of_memory
from research.errors import plain_exit

RUNS = (8, 64, 512)
NO_FIT = "does not fit"


class CompiledCase(NamedTuple):
    """What a program of R runs needs on a device, and what it could do there.

    Attributes:
      device: the name of the device.
      case, precision, runs, unit: what was compiled, and the unit of its work.
      seconds: how long tracing and compiling took.
      kernels, copies: launches of a step of all runs.
      waits: loops that wait for the host.
      cycles: of a step, as a TPU's compiler estimates them.
      temp_bytes, peak_bytes: of the device's memory.
      most_runs: how many runs fit the device.
      bound: what bounds the throughput: launches, FLOPs, memory or cycles; "does not fit" where the
        compiler refused the program for its memory, so that nothing else is known.
      units_per_second: the throughput that is predicted at most.
    """

    device: str
    case: str
    precision: str
    runs: int
    unit: str
    seconds: float
    kernels: float
    copies: float
    waits: int
    cycles: float
    temp_bytes: int
    peak_bytes: int
    most_runs: int
    bound: str
    units_per_second: float

    @property
    def fits(self) -> bool:
        """Whether the device's memory holds that many runs."""
        return self.bound != NO_FIT and self.runs <= self.most_runs


def compile_case(case: Case, runs: int, device: Device) -> CompiledCase:
    """Compiles the training program of R runs for one device.

    Raises:
      UserError: if the JAX here has no compiler for it.
    """
    problem, all_runs = case.problem, make_runs(case.hparams, {}, range(runs))
    began = time.perf_counter()
    try:
        needs = measure_needs(problem, all_runs, case.precision, device)
    except jax.errors.JaxRuntimeError as error:  # as a TPU's, which knows what fits
        if not is_out_of_memory(error):
            raise
        return CompiledCase(
            device.name, case.name, case.precision, runs, problem.task.work_unit,
            time.perf_counter() - began, **StepLaunches(0, 0, 0)._asdict(), temp_bytes=0,
            peak_bytes=0, most_runs=0, bound=NO_FIT, units_per_second=0.0,
        )  # fmt: skip
    room = device.memory_bytes - needs.cost.shared_bytes
    return CompiledCase(
        device=device.name,
        case=case.name,
        precision=case.precision,
        runs=runs,
        unit=problem.task.work_unit,
        seconds=needs.seconds,
        **needs.launches._asdict(),
        temp_bytes=needs.cost.temp_bytes,
        peak_bytes=needs.cost.peak_bytes,
        most_runs=max(0, room // needs.per_run_bytes),
        bound=needs.bound,
        units_per_second=problem.task.work_per_step * runs / needs.step_seconds,
    )


def compile_elsewhere(
    names: Sequence[str], precisions: Sequence[str], runs: Sequence[int], device: Device
) -> Iterator[CompiledCase]:
    """Yields the cases, compiled by a process in the environment that has the device's compiler.

    Raises:
      UserError: if the process cannot compile.
    """
    words = ["-m", __name__, device.name, ",".join(precisions), ",".join(map(str, runs)), *names]
    for facts in run_elsewhere(words, device):
        yield CompiledCase(**facts)


def work(words: Sequence[str]) -> None:
    """Compiles what the words name and sends each case: the other side of `compile_elsewhere`."""
    device, (precisions, runs) = read_device(words[0]), words[1:3]
    for name in words[3:]:
        for precision in precisions.split(","):
            for count in map(int, runs.split(",")):
                send(compile_case(CASES[name](precision), count, device)._asdict())


if __name__ == "__main__":
    with plain_exit():
        work(sys.argv[1:])
