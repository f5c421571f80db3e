"""Every preset and every structural variant of each workload, compiled for a device.

    scripts/run -m tests.accelerators.programs h100 [NAME...]

sends what each program needs; `tests/accelerators/test_programs.py` reads it. Data is random where
a corpus would have to be downloaded: no program hangs on what it reads.
"""

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from research import dqn, lm, mlp
from research.accelerators.devices import Device, mesh_of, read_device
from research.accelerators.elsewhere import send
from research.accelerators.launches import count_launches
from research.accelerators.needs import LOG_EVERY, LOGS
from research.accelerators.whole_arrays import whole_arrays
from research.benchmark.cases import CASES, WINDOWS, random_text
from research.engine import make_runs
from research.engine.axes import Runs
from research.engine.cadence import Chunk
from research.engine.one_run import trace_one_run
from research.engine.program import compile_calls
from research.errors import plain_exit
from research.task import Problem, SplitStep, always_zero, make_key

RUNS = 6  # of programs whose size does not matter
SYMBOLS = {"character": 65, "word": 10_000}


class Program(NamedTuple):
    """A program to compile: what makes its problem and hyper-parameters, for how many runs, and
    whether `init` and `evaluate` are compiled as well, as they are for presets."""

    make: Callable[[], tuple[Problem, Any]]
    runs: int = RUNS
    whole: bool = False


def _prepared(presets: Any, make_problem: Callable, name: str, changes: dict[str, Any]) -> Any:
    """The problem and hyper-parameters of a preset, with changes of either."""
    preset = presets[name]
    fields = {field.name for field in dataclasses.fields(preset.hparams)}
    traced = {name: value for name, value in changes.items() if name in fields}
    static = {name: value for name, value in changes.items() if name not in fields}
    hparams = dataclasses.replace(preset.hparams, **traced)
    config = dataclasses.replace(preset.config, **static, off=always_zero(hparams))
    return make_problem(config), hparams


def _lm_problem(config: lm.Config) -> Problem:
    text = random_text(SYMBOLS[config.level], config.batch_size, config.window)
    return Problem(lm.make_task(config, WINDOWS), text)


WORKLOADS: dict[str, tuple[Any, Callable[[Any], Problem]]] = {
    "mlp": (mlp.PRESETS, mlp.make_problem),
    "dqn": (dqn.PRESETS, dqn.make_problem),
    "pqn": (dqn.PQN_PRESETS, dqn.make_pqn_problem),
    "lm": (lm.PRESETS, _lm_problem),
}

DROPOUTS = {
    f"{where}_dropout": 0.1
    for where in ("embedding", "input", "layer", "output", "state", "weight")
}
# Workload, preset -> the name of a variant -> what it changes.
VARIANTS: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("mlp", "digits"): {
        "sgd": {"optimizer": "sgd"},
        "dropout": {"dropout": 0.1, "label_noise": 0.1},
        "normalized": {"hidden": (64, 64), "layer_norm": True, "residual": True},
        "convolution": {"channels": (16, 32)},
        "adversarial": {"adversarial_steps": 2, "adversarial_radius": 0.1},
        "balanced": {"class_weights": "balanced"},
        "linear": {"hidden": ()},
        "bfloat16": {"compute": "bfloat16"},
        "convolution-bfloat16": {"channels": (16, 32), "compute": "bfloat16"},
    },
    ("dqn", "cartpole"): {
        "one-step": {"n_step": 1},
        "double": {"double": True},
        "dueling": {"dueling": True},
        "prioritized": {"replay": "prioritized"},
        "categorical": {"values": "categorical"},
        "quantile": {"values": "quantile"},
        "iqn": {"values": "iqn"},
        "munchausen": {"munchausen": True, "n_step": 1},
        "huber": {"loss": "huber"},
        "layer-norm": {"layer_norm": True},
        "bfloat16": {"compute": "bfloat16"},
        "rainbow": {
            "double": True, "dueling": True, "replay": "prioritized", "values": "categorical",
        },
    },
    ("dqn", "minatar"): {
        "asterix": {"env": "Asterix-MinAtar"},
        "freeway": {"env": "Freeway-MinAtar"},
        "seaquest": {"env": "Seaquest-MinAtar"},
        "space-invaders": {"env": "SpaceInvaders-MinAtar"},
        "original": {"protocol": "original"},
        "bfloat16": {"compute": "bfloat16"},
    },
    ("pqn", "cartpole"): {
        "plain": {"layer_norm": False},
        "bfloat16": {"compute": "bfloat16"},
    },
    ("lm", "topics"): {
        "tied": {"tied": True},
        "coupled": {"coupled": True},
        "dropout": DROPOUTS,
        "locked": {"locked": True, **DROPOUTS},
        "penalties": {"activation_penalty": 1.0, "slowness_penalty": 1.0, "l2_penalty": 1e-4},
        "sgd": {"optimizer": "sgd", "schedule": "decay", "loss_over": "time"},
        "constant": {"schedule": "constant"},
        "plateau": {"schedule": "plateau"},
        "ema": {"averaging": "ema"},
        "asgd": {"averaging": "asgd", "optimizer": "sgd", "schedule": "constant"},
        "frozen": {"frozen": True},
        "softmax-chunk": {"softmax_chunk": 256},
        "bfloat16": {"compute": "bfloat16"},
    },
}  # fmt: skip
# Cases of the benchmark whose launches are pinned, for so many runs.
PINNED = {
    "mlp-small": 64, "mlp-digits": 64, "dqn-cartpole": 64, "dqn-breakout": 32, "lstm-char-128": 8,
    "lstm-word-200": 8, "lstm-word-650": 8,
}  # fmt: skip


def all_programs() -> dict[str, Program]:
    """Returns the programs by name: cases of the benchmark, then presets and variants."""
    programs = {
        f"case {name}": Program(partial(_case, name), runs) for name, runs in PINNED.items()
    }
    for workload, (presets, make_problem) in WORKLOADS.items():
        for preset in presets:
            make = partial(_prepared, presets, make_problem, preset, {})
            programs[f"{workload} {preset}"] = Program(make, whole=True)
    for (workload, preset), variants in VARIANTS.items():
        for variant, changes in variants.items():
            make = partial(_prepared, *WORKLOADS[workload], preset, changes)
            programs[f"{workload} {preset} {variant}"] = Program(make)
    return programs


def _case(name: str) -> tuple[Problem, Any]:
    case = CASES[name]("float32")
    return case.problem, case.hparams


def compile_one(program: Program, device: Device, mesh: Any) -> dict[str, Any]:
    """Returns what a program needs, in JSON types."""
    began = time.perf_counter()
    problem, hparams = program.make()
    runs = make_runs(hparams, {}, program.runs)
    chunks = [Chunk(0, LOGS, LOG_EVERY, evaluate=program.whole)]
    devices = list(mesh.devices.flat)
    calls = compile_calls(problem, runs, chunks, devices, resumed=not program.whole)
    text = calls.by_name["train"][LOGS, LOG_EVERY].as_text()
    counted, evaluate = count_launches(text), calls.by_name["evaluate"]
    state = trace_one_run(problem, runs).state
    of_all_runs = lambda name: [
        (program.runs, *leaf.shape) for leaf in jax.tree.leaves(getattr(state, name, ()))
    ]
    ring = {math.prod(shape) for shape in of_all_runs("replay")}
    others = of_all_runs("priorities") + _drawn_ahead(problem, runs, state)
    return {
        "runs": program.runs,
        "seconds": time.perf_counter() - began,
        "kernels": counted.kernels / (LOGS * LOG_EVERY),
        "copies": counted.copies / (LOGS * LOG_EVERY),
        "waits": counted.waits,
        "evaluate_waits": count_launches(evaluate.as_text()).waits if evaluate else None,
        "temp_bytes": calls.cost.temp_bytes,
        "peak_bytes": calls.cost.peak_bytes,
        "whole_rings": whole_arrays(text, ring, others),
    }


def _drawn_ahead(problem: Problem, runs: Runs, state: Any) -> list[tuple[int, ...]]:
    """The shapes of what all runs draw for some steps of a log at once, which may be as large."""
    step = problem.task.step
    if not isinstance(step, SplitStep):
        return []
    hparams = jax.tree.map(lambda leaf: leaf[0], runs.hparams)
    draw = lambda fixed: step.draw(problem.shared, hparams, fixed, make_key(0), np.int32(0))
    drawn = jax.eval_shape(draw, step.fixed_of(state))
    shapes = [leaf.shape for leaf in jax.tree.leaves(drawn)]
    blocks = [steps for steps in range(1, LOG_EVERY + 1) if LOG_EVERY % steps == 0]
    return [(steps, len(runs), *shape) for steps in blocks for shape in shapes]


def work(words: list[str]) -> None:
    """Compiles programs for the device that the first word names, all or those of the other words,
    and sends for each what it needs, or the error."""
    device, programs = read_device(words[0]), all_programs()
    mesh = mesh_of(device)
    for name in words[1:] or programs:
        try:
            send({"name": name} | compile_one(programs[name], device, mesh))
        except Exception as error:
            send(
                {"name": name, "error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
            )
        jax.clear_caches()


if __name__ == "__main__":
    with plain_exit():
        work(sys.argv[1:])
