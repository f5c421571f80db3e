"""Measures what checkpoints, metrics, progress and the host loop cost beside the bare scan.

    scripts/run scripts/compare/overhead.py

For each workload, two programs take turns. The bare scan calls the compiled chunks one after the
other and neither fetches nor writes anything. The engine trains the same chunks into a run folder,
with a checkpoint every minute, metrics on disk every two seconds and progress printed. Both
evaluate at the end only, and neither counts its first chunk. A turn lasts a little over a minute,
so that it has a checkpoint. Printed are steps/s of all runs together, and the median ratio over
turns.
"""

import dataclasses
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from rich.console import Console

from research import dqn, lm, mlp
from research.cli.machine import configure_jax
from research.cli.terminal import TerminalObserver
from research.engine import Cadence, compile_program, make_runs, plan_chunks, start_blocks
from research.engine.cadence import Intervals
from research.errors import UserError, plain_exit, shortlist
from research.runs.experiment import Experiment
from research.runs.opening import RunOptions
from research.runs.runner import run_experiment
from research.runs.session import device_facts, versions
from research.runs.training import TrainOptions
from research.task import always_zero

# Config, hyper-parameters, runs, steps of a chunk.
WORKLOADS = {
    "mlp": (mlp, mlp.Config(hidden=(64,), off=always_zero(mlp.HParams())), mlp.HParams(), 128, 500),
    "dqn": (dqn, *dqn.PRESETS["cartpole"], 64, 100),
    "lm": (lm, *lm.PRESETS["topics"][:2], 4, 50),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which workloads to time, and for how long."""

    workloads: tuple[str, ...] = tuple(WORKLOADS)
    turns: int = 2
    seconds: Annotated[float, tyro.conf.arg(help="of a turn, about")] = 75.0
    checkpoint_every: Annotated[float, tyro.conf.arg(help="minutes")] = 1.0


def make_experiment(name: str, steps: int) -> Experiment:
    """A sweep that evaluates at its end."""
    workload, _, hparams, runs, chunk = WORKLOADS[name]
    return Experiment(
        name=name,
        make_problem=workload.make_problem,
        config=config_of(name, steps),
        hparams=hparams,
        config_axes={},
        hparams_axes={},
        seeds=tuple(range(runs)),
        steps=steps,
        intervals=Intervals(log_every=chunk // 5, eval_every=steps, chunk_every=chunk),
    )


def config_of(name: str, steps: int) -> Any:
    """The config of a workload, for so many steps if the config has a number of steps."""
    config = WORKLOADS[name][1]
    if isinstance(config, dqn.Config):
        env_steps = config.learning_starts + steps * config.train_every
        return dataclasses.replace(config, env_steps=env_steps)
    return dataclasses.replace(config, steps=steps) if isinstance(config, lm.Config) else config


def bare_rate(name: str, steps: int) -> float:
    """Steps/s of all runs together in the bare scan."""
    workload, _, hparams, count, chunk = WORKLOADS[name]
    problem = workload.make_problem(config_of(name, steps))
    runs = make_runs(hparams, {}, range(count))
    chunks = plan_chunks(steps, Cadence(chunk // 5, steps, chunk))
    program = compile_program(problem, runs, chunks)
    blocks, began = start_blocks(program, runs), 0.0
    for chunk in chunks:
        start = jax.device_put(np.int32(chunk.start), program.replicated)
        run_chunk = program.train[chunk.logs, chunk.log_every]
        for index, block in enumerate(blocks):
            args = block.hparams, block.states, block.diverged, block.keys.step, start
            blocks[index] = block._replace(states=run_chunk(program.shared, *args)[0])
        if chunk.start == 0:
            jax.block_until_ready([block.states for block in blocks])
            began = time.perf_counter()
    jax.block_until_ready([block.states for block in blocks])
    return (steps - chunks[0].end) * count / (time.perf_counter() - began)


def engine_rate(name: str, steps: int, minutes: float) -> tuple[float, int]:
    """Steps/s of all runs together through the engine, and how many checkpoints were written."""
    with tempfile.TemporaryDirectory() as out:
        options = RunOptions(out, "run", train=TrainOptions(minutes))
        observer = TerminalObserver(Console(file=io.StringIO()))
        run_experiment(make_experiment(name, steps), options, observer)
        manifest = json.loads((Path(out) / "run" / "manifest.json").read_text())
    (result,) = manifest["results"]
    (first_step, first), *_, (last_step, last) = result["clock"]
    rate = (last_step - first_step) * WORKLOADS[name][3] / (last - first)
    return rate, result["checkpoints"]


def main(arguments: Arguments) -> None:
    """Prints a line for each workload."""
    if unknown := set(arguments.workloads) - set(WORKLOADS):
        raise UserError(f"--workloads {shortlist(unknown)}: there are {shortlist(WORKLOADS)}")
    configure_jax()
    print(device_facts(), versions())
    for name in arguments.workloads:
        chunk, runs = WORKLOADS[name][4], WORKLOADS[name][3]
        rough = bare_rate(name, 5 * chunk)
        steps = chunk * max(4, round(arguments.seconds * rough / runs / chunk))
        ratios, rates = [], []
        for _ in range(arguments.turns):
            bare = bare_rate(name, steps)
            whole, saved = engine_rate(name, steps, arguments.checkpoint_every)
            rates.append((bare, whole))
            ratios.append(whole / bare)
            print(f"  bare {bare:,.0f}, engine {whole:,.0f} steps/s, {saved} checkpoints")
        print(f"{name}, {runs} runs: {statistics.median(ratios):.3f} of the bare scan", flush=True)


if __name__ == "__main__":
    with plain_exit():
        main(tyro.cli(Arguments, description=__doc__))
