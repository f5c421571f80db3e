"""Compares the validation loss of our character models of tiny Shakespeare with PyTorch's.

Both train with the same recipe, on the same windows, for the same number of updates.

    scripts/run scripts/compare/lm_against_torch.py --torch PYTHON --corpus input.txt

PYTHON is an interpreter that has torch. The recipe is the preset "shakespeare": 2 x 128 units, 50
streams, windows of 50, Adam. PyTorch trains one seed after the other in as many processes as there
are cores; ours are one program.
"""

import dataclasses
import json
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from research.cli.machine import configure_jax
from research.engine import Cadence, sweep
from research.errors import plain_exit
from research.lm import PRESETS, make_problem
from research.lm.config import Config
from research.lm.data import TextData
from research.report.statistics import iqm_interval
from research.runs.session import device_facts, usable_cores, versions
from research.task import always_zero

TRAINING = Path(__file__).with_name("torch_lm_training.py")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to train, and which interpreter has torch."""

    torch: Annotated[str, tyro.conf.arg(help="a Python interpreter that has torch")]
    corpus: Annotated[str, tyro.conf.arg(help="a text, or tinyshakespeare")] = "tinyshakespeare"
    epochs: int = PRESETS["shakespeare"].config.epochs
    seeds: int = 4


def torch_results(args: Arguments, config: Config, shared: TextData) -> list[dict[str, float]]:
    """The validation loss and training seconds of every seed in PyTorch."""
    recipe = {
        "symbols": shared.symbols,
        "units": config.hidden[0],
        "layers": len(config.hidden),
        "window": config.window,
        "epochs": config.epochs,
        "learning_rate": PRESETS["shakespeare"].hparams.learning_rate,
        "max_grad_norm": PRESETS["shakespeare"].hparams.max_grad_norm,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(
            path, train=shared.train.astype(np.int64),
            validation=shared.validation.tokens.astype(np.int64),
            counts=shared.validation.counts, recipe=json.dumps(recipe),
        )  # fmt: skip

        def train(seed: int) -> dict[str, float]:
            command = [args.torch, str(TRAINING), str(path), str(seed), "1"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return json.loads(done.stdout)

        with ThreadPoolExecutor(usable_cores()) as pool:
            return list(pool.map(train, range(args.seeds)))


def tell(name: str, losses: Any, seconds: float) -> None:
    """Prints the losses of one of the two."""
    iqm, low, high = map(float, iqm_interval(np.asarray(losses)))
    shown = " ".join(f"{loss:.4f}" for loss in sorted(losses))
    print(f"{name}: {shown}; IQM {iqm:.4f} [{low:.4f}, {high:.4f}]; {seconds:.0f} s", flush=True)


def main(args: Arguments) -> None:
    """Prints the losses of both, with the seconds that all seeds took together."""
    preset = PRESETS["shakespeare"]
    off = always_zero(preset.hparams)
    config = dataclasses.replace(preset.config, corpus=args.corpus, epochs=args.epochs, off=off)
    task, shared, *_ = make_problem(config)
    print(device_facts(), versions(), "validation loss in nats a character", flush=True)
    began = time.perf_counter()
    steps = task.steps or 0
    cadence = Cadence(steps, steps, steps)
    swept = sweep(task, shared, preset.hparams, args.seeds, steps, cadence=cadence)
    losses = swept.metrics["validation_loss"].dropna()
    tell("ours", losses[-args.seeds :], time.perf_counter() - began)
    began = time.perf_counter()
    results = torch_results(args, config, shared)
    tell("torch", [result["loss"] for result in results], time.perf_counter() - began)


if __name__ == "__main__":
    with plain_exit():
        given = tyro.cli(Arguments, description=__doc__)
        configure_jax()
        main(given)
