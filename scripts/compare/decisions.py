"""Times what a scheduler costs: a decision about a population, and the exchange of states, as a
share of the training between two decisions.

    scripts/run scripts/compare/decisions.py

A DQN on CartPole with the settings of `experiments/dqn.py`, 256 members. Training between two
decisions, a decision (population-based training, truncation), and the exchange that it asks for are
timed in turns; the median of each is given. A fifth of the members takes over from others, replay
buffers and environments included.
"""

import dataclasses
import statistics
import time
from typing import Annotated

import jax
import numpy as np
import tyro

from research import dqn
from research.cli.machine import configure_jax
from research.console import print_text
from research.engine import compile_program, make_runs, start_blocks
from research.engine.cadence import Cadence, plan_chunks
from research.engine.chunk import start_status
from research.engine.exchange import take_over, with_hparams
from research.engine.loop import train
from research.engine.schedule import Standing
from research.errors import plain_exit
from research.runs.schedulers.explore import make_explore
from research.runs.schedulers.population import Population, make_population
from research.runs.session import device_facts, versions
from research.task import always_zero

AXES = {"learning_rate": (1e-5, 1e-1), "gamma": (0.9, 0.999)}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """How many members, and how often to time."""

    members: int = 256
    decisions: Annotated[int, tyro.conf.arg(help="that are timed")] = 15


def main(arguments: Arguments) -> None:
    """Prints the three times and their ratio."""
    preset = next(iter(dqn.PRESETS.values()))
    hparams = dataclasses.replace(preset.hparams, learning_rate=1e-3)
    config = dataclasses.replace(preset.config, off=always_zero(hparams))
    problem = dqn.make_problem(config)
    task = problem.task
    assert task.steps is not None
    cadence = Cadence.of(task.steps)
    rates = np.geomspace(1e-4, 1e-2, arguments.members).tolist()
    runs = make_runs(hparams, {"learning_rate": rates}, 1)
    chunks = plan_chunks(cadence.eval_every, cadence)
    program = compile_program(problem, runs, chunks, exchanges=True)
    blocks = start_blocks(program, runs)
    numbers = np.arange(len(runs))
    standing = Standing(runs, numbers, numbers, start_status(len(runs)))
    good = lambda hparams: np.ones(len(hparams.gamma), np.bool_)
    explore = make_explore(hparams, AXES, (0.8, 1.2), 0.25, good)
    every = cadence.eval_every
    scheduler = make_population(Population(), explore, every, 0, task.higher_is_better)
    random, times, moved = np.random.default_rng(0), [], 0
    for step in range(every, (arguments.decisions + 2) * every, every):
        began = time.perf_counter()
        blocks = train(program, blocks, chunks, lambda record: None)
        jax.block_until_ready([block.states for block in blocks])
        trained = time.perf_counter()
        standing.evaluated(step, random.normal(size=len(runs)))
        decision = scheduler.decide(standing.seen(step), (0, step))
        decided = time.perf_counter()
        moved = int(np.sum(decision.parents != numbers))
        blocks = take_over(program, blocks, decision.parents)
        blocks = with_hparams(program, blocks, decision.hparams)
        jax.block_until_ready([block.states for block in blocks])
        times.append((trained - began, decided - trained, time.perf_counter() - decided))
    training, deciding, exchanging = map(statistics.median, zip(*times[1:], strict=True))
    share = (deciding + exchanging) / training
    device = device_facts()
    print_text(
        f"{arguments.members} members, {every} steps between decisions, {moved} take over, "
        f"{device['count']} x {device['kind']} ({device['processor']}), jax {versions()['jax']}\n"
        f"training {training:.3f} s, decision {1e3 * deciding:.2f} ms, exchange "
        f"{1e3 * exchanging:.2f} ms: {share:.2%} of the training between two decisions\n"
    )


if __name__ == "__main__":
    with plain_exit():
        configure_jax()
        main(tyro.cli(Arguments, description=__doc__))
