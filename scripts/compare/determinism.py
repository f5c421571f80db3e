"""Measures which changes to a sweep keep every bit of its final params, and how much others differ.

    scripts/run scripts/compare/determinism.py
    scripts/run scripts/compare/determinism.py --deterministic     # on a GPU, run both

Sweeps each workload several times, each time with another change, and prints the largest difference
of any number in the final params from those of the first sweep; "bits" where there is none.
"""

import dataclasses
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from research import dqn, lm, mlp
from research.cli.machine import configure_jax
from research.engine import Cadence, sweep
from research.errors import UserError, plain_exit, shortlist
from research.runs.session import device_facts, versions
from research.task import always_zero

RUNS = 8
# Module, config, hyper-parameters and steps.
WORKLOADS = {
    "mlp": (mlp, mlp.Config(hidden=(64,), off=always_zero(mlp.HParams())), mlp.HParams(), 200),
    "dqn": (dqn, *dqn.PRESETS["cartpole"], 400),
    "lm": (lm, lm.Config(hidden=(64,)), lm.HParams(), 40),
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which workloads to sweep, and whether with deterministic kernels."""

    workloads: tuple[str, ...] = tuple(WORKLOADS)
    deterministic: Annotated[bool, tyro.conf.arg(help="as the flag of experiments")] = False


def ways(steps: int) -> dict[str, dict[str, Any]]:
    """The name of each change -> the arguments of `sweep` that differ."""
    return {
        "nothing": {},
        "chunks of another length": {"cadence": Cadence(1, steps, steps // 4)},
        "stopped half way, and resumed": {"halves": True},
        "place among the runs": {"seeds": [*range(RUNS - 1, -1, -1)]},
        "blocks of 2 runs that take turns": {"most_lanes": 2},
        "one device instead of all": {"devices": jax.local_devices()[:1]},
        "each run alone": {"alone": True},
    }


def final_params(name: str, change: dict[str, Any]) -> Any:
    """The final params of all runs in the order of their seeds, after a sweep with a change."""
    workload, config, hparams, steps = WORKLOADS[name]
    problem = workload.make_problem(config)
    change = {"seeds": [*range(RUNS)], "cadence": Cadence(1, steps, steps), **change}
    seeds, halves = change.pop("seeds"), change.pop("halves", False)

    def run(seeds, steps=steps, **more):
        swept = sweep(problem.task, problem.shared, hparams, seeds, steps, **change, **more)
        return swept.states

    if change.pop("alone", False):
        states = [run([seed], devices=jax.local_devices()[:1]) for seed in seeds]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *[s.params for s in states])
    states = run(seeds, steps // 2) if halves else None
    states = run(seeds, start=steps // 2, states=states) if halves else run(seeds)
    order = np.argsort(seeds)
    return jax.tree.map(lambda leaf: leaf[order], states.params)


def difference(one: Any, other: Any) -> str:
    """The largest difference of any number; "bits" if there is none."""
    pairs = list(zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))
    if all(a.tobytes() == b.tobytes() for a, b in pairs):
        return "bits"
    return f"{max(np.abs(a.astype(np.float64) - b.astype(np.float64)).max() for a, b in pairs):.1e}"


def main(arguments: Arguments) -> None:
    """Prints a table in Markdown."""
    if unknown := set(arguments.workloads) - set(WORKLOADS):
        raise UserError(f"--workloads {shortlist(unknown)}: there are {shortlist(WORKLOADS)}")
    configure_jax(arguments.deterministic)
    print(device_facts(), versions())
    first = {name: final_params(name, {}) for name in arguments.workloads}
    print("| what differs | " + " | ".join(arguments.workloads) + " |")
    print("|---" * (1 + len(first)) + "|")
    for what in ways(4):
        cells = [
            difference(first[name], final_params(name, ways(WORKLOADS[name][3])[what]))
            for name in arguments.workloads
        ]
        print(f"| {what} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    with plain_exit():
        main(tyro.cli(Arguments, description=__doc__))
