"""Training throughput of a sweep beside a plain PyTorch loop of the same net, in one run.

    scripts/run scripts/compare/mlp_against_torch.py --torch PYTHON

PYTHON is an interpreter that has torch. For either net, the sweep of 128 runs and one PyTorch
process a core take turns; the ratio of aggregate optimizer steps per second is printed for each
turn. Both do the same work: batches of 64, an order drawn anew every epoch, Adam, float32.
"""

import dataclasses
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from research.errors import plain_exit
from research.mlp import PRESETS, ZERO_IS_OFF, HParams, make_problem
from research.sweep import Cadence, compile_program, make_runs, plan_chunks, start_blocks, train
from research.sweep.machine import configure_jax, device_facts, usable_cores, versions

LOOP = Path(__file__).with_name("torch_loop.py")
STEPS = {"digits": 1_000, "article": 20_000}  # of the sweep in one turn: a few seconds


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Training throughput of a sweep beside a plain PyTorch loop of the same net."""

    torch: Annotated[str, tyro.conf.arg(help="a Python interpreter that has torch")]
    runs: int = 128
    turns: int = 5
    seconds: float = 4.0


def sweep_throughput(preset: str, runs: int):
    """A function that trains for one turn and returns steps per second of all runs together."""
    problem = make_problem(dataclasses.replace(PRESETS[preset].config, off=ZERO_IS_OFF))
    steps = STEPS[preset]
    cadence = Cadence(log_every=steps // 10, eval_every=2 * steps, chunk_every=steps // 2)
    chunks = plan_chunks(2 * steps, cadence)
    all_runs = make_runs(HParams(), {}, range(runs))
    program = compile_program(problem, all_runs, chunks)

    def turn():
        clock = []
        train(program, start_blocks(program, all_runs), chunks, lambda r: clock.append(r.seconds))
        return steps * runs / (clock[2] - clock[0])  # neither the first chunk nor the evaluation

    return turn


def torch_throughput(python: str, preset: str, seconds: float) -> float:
    """Steps per second of one PyTorch process a core, together."""
    shared = make_problem(PRESETS[preset].config).shared
    x, y = np.asarray(shared.train.x), np.asarray(shared.train.y)
    outputs = max(1, shared.classes)
    sizes = [x.shape[1], *PRESETS[preset].config.hidden, outputs]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/data.npz"
        np.savez(path, x=x, y=y)
        command = [python, str(LOOP), path, "-".join(map(str, sizes)), str(seconds)]
        processes = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for _ in range(usable_cores())
        ]
        return sum(float(process.communicate()[0]) for process in processes)


def main(args: Arguments) -> None:
    """Prints a line a turn, then the medians."""
    print(device_facts(), versions())
    for preset in STEPS:
        turn = sweep_throughput(preset, args.runs)
        ratios = []
        for _ in range(args.turns):
            ours, theirs = turn(), torch_throughput(args.torch, preset, args.seconds)
            ratios.append(ours / theirs)
            print(f"{preset}: sweep {ours:,.0f}, torch {theirs:,.0f} steps/s: {ratios[-1]:.1f}x")
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(f"{preset}: median {middle:.1f}x (from {low:.1f}x to {high:.1f}x)")


if __name__ == "__main__":
    with plain_exit():
        given = tyro.cli(Arguments, description=__doc__)
        configure_jax()
        main(given)
