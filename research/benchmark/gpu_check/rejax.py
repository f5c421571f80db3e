"""Part 5: the DQN on Breakout of rejax's chart.

Its settings are those of benchmark/breakout_1m.yaml of keraJLi/rejax: one environment, a batch of
100 and an update after every environment step, a replay of 100,000, Adam with 5e-4, gradients
clipped to 10, the target network copied every 1,000 steps, epsilon from 1 to 0.05 over half of a
million steps, discount 1. Ours differs in these:
  - ReLU, where theirs is tanh; our network: 16 filters of 3x3, then 128 units;
  - 1,000 random steps before the first update, theirs 20,000, none of which is timed here;
  - evaluations are left out, theirs are in the time of the chart.
"""

import dataclasses
from collections.abc import Sequence

from research.benchmark.cases import HAS_GYMNAX
from research.benchmark.gpu_check.processes import Found
from research.benchmark.gpu_check.results import PartResults
from research.benchmark.timing import Case
from research.plain_text import count_of, human
from research.task import always_zero

NAME = "rejax-breakout"
PUBLISHED = {"units_per_second": 1_350, "agents": 50, "device": "A100"}


def make_case(precision: str) -> Case:
    """Returns the DQN as near to rejax's as this project's settings allow."""
    from research import dqn  # gymnax is not everywhere

    preset = dqn.PRESETS["minatar"]
    hparams = preset.hparams.replace(
        learning_rate=5e-4, max_grad_norm=10.0, gamma=1.0, epsilon_end=0.05, epsilon_fraction=0.5
    )
    config = dataclasses.replace(
        preset.config, env_steps=1_000_000, batch_size=100, learning_starts=1_000, loss="squared",
        compute=precision, off=always_zero(hparams),
    )  # fmt: skip
    return Case(NAME, precision, dqn.make_problem(config), hparams, 100)


def measure(part: PartResults) -> None:
    """Times it with each number of agents."""
    if not HAS_GYMNAX:
        part.add({"skipped": "all of it: gymnax is not installed"})
        return
    points = [(NAME, part.plan.precisions[0], agents, "training") for agents in part.plan.agents]
    part.collect("rates", {"points": points, "repeats": part.plan.repeats}, published=PUBLISHED)


def describe(results: Sequence[Found]) -> list[str]:
    """Returns a line for each number of agents, beside what was published."""
    theirs = f"published: {PUBLISHED['units_per_second']:,} env steps/s for {PUBLISHED['agents']} "
    theirs += f"agents on an {PUBLISHED['device']}"
    return [
        f"{count_of(one['runs'], 'agent')}: {human(one['units_per_second'])} env steps/s of all "
        f"together, {human(one['units_per_second'] / one['runs'])} of each ({theirs})"
        for one in results
    ]
