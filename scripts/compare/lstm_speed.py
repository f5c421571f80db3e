"""Training throughput of LSTM language models: ours, flax's under the same engine, PyTorch's.

    scripts/run scripts/compare/lstm_speed.py --torch PYTHON

PYTHON is an interpreter that has torch; without one, PyTorch is left out. For each shape, precision
and number of runs the three take turns, and tokens per second of all runs together are printed. All
do the same work: random tokens, the state carried from window to window, SGD on gradients of
bounded norm. A single run of PyTorch has all threads; of several, each core has a process of its
own with one, whatever their number.
"""

import dataclasses
import statistics
import subprocess
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from flax_lm import make_flax_task

from research.errors import UserError, plain_exit, shortlist
from research.lm import ZERO_IS_OFF, Config, HParams, make_task
from research.lm.data import Heldout, TextData
from research.sweep import Cadence, compile_program, make_runs, plan_chunks, start_blocks, train
from research.sweep.machine import configure_jax, device_facts, usable_cores, versions
from research.task import Problem

LOOP = Path(__file__).with_name("torch_lm_loop.py")
# Symbols, layers, streams, window.
SHAPES = {
    "word-200": (10_000, (200, 200), 20, 20),
    "char-128": (65, (128, 128), 64, 64),
    "word-650": (10_000, (650, 650), 20, 35),
}
CHUNK = {"word-200": 10, "char-128": 10, "word-650": 4}  # updates a call; sweeps take more


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Training throughput of LSTM language models beside flax's and PyTorch's."""

    torch: Annotated[str | None, tyro.conf.arg(help="a Python interpreter that has torch")] = None
    shapes: tuple[str, ...] = tuple(SHAPES)
    compute: Annotated[tuple[str, ...], tyro.conf.arg(help="float32, bfloat16")] = ("float32",)
    runs: tuple[int, ...] = (1, 8, 32)
    turns: int = 3
    seconds: Annotated[float, tyro.conf.arg(help="of one turn, about")] = 5.0


def random_text(shape: str) -> TextData:
    """50 windows of tokens that nothing can be learned from."""
    symbols, _, batch, window = SHAPES[shape]
    tokens = np.random.default_rng(0).integers(symbols, size=(50 * window + 1, batch))
    tokens = tokens.astype(np.uint16)
    heldout = Heldout(tokens[: window + 1], np.ones((window, batch), np.float32), np.float32(1))
    return TextData(tokens, heldout, None, symbols)


def make_turn(make: Any, shape: str, compute: str, runs: int, seconds: float) -> Any:
    """A function that trains for a turn and returns tokens per second of all runs together."""
    _, hidden, batch, window = SHAPES[shape]
    config = Config(
        hidden=hidden, embedding_size=hidden[0], batch_size=batch, window=window, optimizer="sgd",
        schedule="constant", compute=compute, off=ZERO_IS_OFF,
    )  # fmt: skip
    problem = Problem(make(config), random_text(shape))
    hparams = make_runs(HParams(learning_rate=0.1, max_grad_norm=5.0), {}, range(runs))
    chunk = CHUNK[shape]
    cadence = Cadence(log_every=chunk, eval_every=3 * chunk, chunk_every=chunk)
    program = compile_program(problem, hparams, plan_chunks(3 * chunk, cadence))

    def timed(calls):
        never = 100 * calls * chunk
        clock = []
        blocks = start_blocks(program, hparams)
        train(program, blocks, plan_chunks(calls * chunk, Cadence(chunk, never, chunk)),
              lambda record: clock.append(record.seconds))  # fmt: skip
        # The first call warms up; the last is followed by an evaluation.
        return (calls - 2) * chunk / (clock[-2] - clock[0])

    calls = max(3, 2 + round(timed(3) * seconds / chunk))
    return lambda: timed(calls) * runs * batch * window


def torch_turn(python: str, shape: str, compute: str, runs: int, seconds: float) -> float:
    """Tokens per second of a process with all threads, or of one a core."""
    symbols, hidden, batch, window = SHAPES[shape]
    processes = 1 if runs == 1 else usable_cores()
    threads = usable_cores() // processes
    sizes = [symbols, hidden[0], len(hidden), batch, window, threads]
    command = [python, str(LOOP), *map(str, sizes), str(seconds), compute]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    return sum(float(process.communicate()[0]) for process in started)


def measure(args: Arguments, shape: str, compute: str, runs: int) -> None:
    """Prints a line: the medians of what each reaches, and of ours over theirs."""
    turns = {
        "ours": make_turn(lambda config: make_task(config, 50), shape, compute, runs, args.seconds),
        "flax": make_turn(make_flax_task, shape, compute, runs, args.seconds),
    }
    if args.torch:
        python = args.torch
        turns["torch"] = lambda: torch_turn(python, shape, compute, runs, args.seconds)
    rates = [{name: turn() for name, turn in turns.items()} for _ in range(args.turns)]
    line = f"{shape} {compute} {runs} runs:"
    for name in turns:
        line += f" {name} {statistics.median(rate[name] for rate in rates):,.0f}"
    for name in list(turns)[1:]:
        ratio = statistics.median(rate["ours"] / rate[name] for rate in rates)
        line += f"; {ratio:.2f}x {name}"
    print(line, flush=True)


def main(args: Arguments) -> None:
    """Prints a line for each shape, precision and number of runs."""
    if odd := [shape for shape in args.shapes if shape not in SHAPES]:
        raise UserError(f"--shapes {odd[0]}: there are {shortlist(SHAPES)}")
    print(device_facts(), versions(), "tokens/s", flush=True)
    for shape in args.shapes:
        for compute in args.compute:
            for runs in args.runs:
                measure(args, shape, compute, runs)
                jax.clear_caches()


if __name__ == "__main__":
    with plain_exit():
        given = tyro.cli(Arguments, description=__doc__)
        configure_jax()
        main(given)
