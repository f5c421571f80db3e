"""Training throughput of a DQN sweep beside purejaxrl's DQN, in one run.

    scripts/run scripts/compare/dqn_speed.py
    scripts/run scripts/compare/dqn_speed.py --python PYTHON --purejaxrl FOLDER

FOLDER is a checkout of github.com/luchris429/purejaxrl, PYTHON an interpreter that has what it
needs: jax, flax, optax, gymnax 0.0.9, flashbax. Without them ours is timed alone.

Both train CartPole with purejaxrl's setting: 10 environments a run, a 120-84 network, a batch of
128, one update every 10 environment steps, a buffer of 10,000. Timed is a whole training, its
10,000 steps of warm-up included and compiling left out; ours ends with an evaluation, which
purejaxrl's has not. Its runs are under one `vmap`, as in its README. The two take turns.

    scripts/run scripts/compare/dqn_speed.py --setting breakout --runs 1 8 50

times ours with the setting of rejax's own benchmark, MinAtar Breakout with one environment a run
and an update of a batch of 100 at every environment step, warm-up left out. rejax's chart of DQN
(1M steps, an A100) has 20m23s for one agent and 12m19s an agent for 50: 818 and 1,350 env steps/s.
"""

import dataclasses
import statistics
import subprocess
import time
from pathlib import Path
from typing import Annotated

import jax
import tyro

from research.dqn import PRESETS, HParams, make_problem
from research.errors import UserError, plain_exit, shortlist
from research.sweep import Cadence, compile_program, make_runs, plan_chunks, start_blocks, train
from research.sweep.machine import configure_jax, device_facts, versions

LOOP = Path(__file__).with_name("purejaxrl_loop.py")
SETTINGS = {
    "cartpole": PRESETS["cleanrl"].config,
    "breakout": dataclasses.replace(
        PRESETS["minatar"].config, learning_starts=20_000, batch_size=100
    ),
}
ENV_STEPS = {1: 200_000, 8: 60_000, 32: 30_000, 128: 20_000}  # runs -> a few seconds of training


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Training throughput of a DQN sweep beside purejaxrl's."""

    purejaxrl: Annotated[str | None, tyro.conf.arg(help="a checkout of it")] = None
    python: Annotated[str, tyro.conf.arg(help="an interpreter that has what it needs")] = "python3"
    runs: tuple[int, ...] = tuple(ENV_STEPS)
    turns: int = 3
    scale: Annotated[int, tyro.conf.arg(help="longer by this factor, for a GPU")] = 1
    setting: Annotated[str, tyro.conf.arg(help="cartpole, or breakout (ours alone)")] = "cartpole"


def our_training(setting: str, runs: int, env_steps: int):
    """A function that trains once and returns env steps per second of all runs together."""
    config = dataclasses.replace(SETTINGS[setting], env_steps=env_steps)
    problem, steps = make_problem(config), config.updates
    chunks = plan_chunks(steps, Cadence(steps // 10, steps, steps // 2))
    all_runs = make_runs(HParams(), {}, range(runs))
    program = compile_program(problem, all_runs, chunks)

    def turn():
        began, counted = time.perf_counter(), env_steps
        blocks = jax.block_until_ready(start_blocks(program, all_runs))
        if setting == "breakout":
            began, counted = time.perf_counter(), env_steps - config.learning_starts
        blocks = train(program, blocks, chunks, lambda record: None)
        jax.block_until_ready(blocks)
        return runs * counted / (time.perf_counter() - began)

    return turn


def their_training(python: str, folder: str, runs: int, env_steps: int) -> float:
    """Env steps per second of purejaxrl's DQN, all runs together."""
    command = [python, "-W", "ignore", str(LOOP), folder, str(runs), str(env_steps)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main(given: Arguments) -> None:
    """Prints a line a turn, then the median for each number of runs."""
    if given.setting not in SETTINGS or (given.purejaxrl and given.setting != "cartpole"):
        raise UserError(f"--setting {given.setting}: there are {shortlist(SETTINGS)}, the first "
                        "beside purejaxrl")  # fmt: skip
    print(device_facts(), versions())
    for runs in given.runs:
        env_steps = ENV_STEPS.get(runs, min(ENV_STEPS.values())) * given.scale
        if given.setting == "breakout":  # an update a step: fewer of them, after the warm-up
            env_steps = 20_000 + env_steps // 20
        turn = our_training(given.setting, runs, env_steps)
        turn()  # the first is slower: pages are touched, threads started
        ours, ratios = [], []
        for _ in range(given.turns):
            ours.append(turn())
            line = f"{runs} runs: {ours[-1]:,.0f} env steps/s"
            if given.purejaxrl:
                theirs = their_training(given.python, given.purejaxrl, runs, env_steps)
                ratios.append(ours[-1] / theirs)
                line += f", purejaxrl {theirs:,.0f}: {ratios[-1]:.2f}x"
            print(line, flush=True)
        line = f"{runs} runs: median {statistics.median(ours):,.0f} env steps/s"
        if ratios:
            middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
            line += f", {middle:.2f}x purejaxrl (from {low:.2f}x to {high:.2f}x)"
        print(line, flush=True)


if __name__ == "__main__":
    with plain_exit():
        given = tyro.cli(Arguments, description=__doc__)
        configure_jax()
        main(given)
