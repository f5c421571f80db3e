"""Kills sweeps at random instants, resumes them, and compares them with sweeps never killed.

    scripts/run scripts/compare/kills.py

For each workload, one sweep is left alone; the process of another is killed (SIGKILL) again and
again and started with --resume, until it has been killed often enough and ends. Then everything in
the two run folders is compared bit for bit: metrics, final params and whole states (optimizer,
replay buffer, environments, carry of the LSTM, and whatever else the workload has). A kill that
leaves a half-written checkpoint behind came during a save. The exit status is 1 if a bit differs,
or if params did not change between the last two checkpoints, since the comparison would then prove
nothing.
"""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro

from research.errors import UserError, plain_exit, shortlist
from research.runs.tensors import load_tensors

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
# About twenty seconds of training on two cores each, with many checkpoints.
WORKLOADS = {
    "mlp": "mlp.py --seeds 32 --steps 15000 --hidden 32 --chunk-every 20 --log-every 20 "
    "--eval-every 600",
    "dqn": "dqn.py --seeds 32 --env-steps 200000 --chunk-every 1200 --log-every 600",
    "population": "dqn.py --population pbt --search 16 --learning-rate 1e-5 1e-1 --gamma 0.8 0.999 "
    "--seeds 2 --env-steps 200000 --chunk-every 1200 --log-every 600 --eval-every 6000 "
    "--eval-episodes 2",
    "lm": "lstm_lm.py --seeds 2 --hidden 64 --steps 5000 --sample 0 --chunk-every 4 --log-every 4 "
    "--eval-every 1000",
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which workloads to kill, how often, and when."""

    workloads: tuple[str, ...] = tuple(WORKLOADS)
    kills: int = 20
    seconds: Annotated[float, tyro.conf.arg(help="most that it may train before a kill")] = 3.0
    seed: Annotated[int, tyro.conf.arg(help="of the instants")] = 0


def compare_after_kills(
    flags: str, folder: Path, kills: int, seconds: float, seed: int = 0
) -> dict[str, Any]:
    """Runs a sweep without kills and one with kills, and returns how they compare.

    Args:
      flags: a script of `experiments/` and what to give it.
      folder: to work in.
      kills: how many.
      seconds: most that a process trains before it is killed; every fourth is killed while it
        starts.
      seed: of the instants.

    Returns:
      How many kills there were and how many of them during a save, the line of the last resume,
      how many arrays were compared, the names of those that differ, and the names of params that
      did not change at the end, whose equality therefore proves nothing.
    """
    instants = random.Random(seed)  # noqa: S311
    script, *words = flags.split()
    words += ["--checkpoint-every", "0.002", "--keep-states"]
    make = [sys.executable, str(EXPERIMENTS / script), *words]
    _finish([*make, "--name", "whole"], folder)

    def command() -> list[str]:
        there = (folder / "runs" / "killed").exists()
        return [*make[:2], "--resume", "runs/killed"] if there else [*make, "--name", "killed"]

    during_save = 0
    for number in range(kills):
        if not _killed(command(), folder, instants.uniform(0, seconds), number % 4 == 3):
            raise UserError(f"{script} ended before it was killed {kills} times: make it longer")
        for partial in (folder / "runs/killed/checkpoints").glob("*/.*.partial"):
            during_save += 1
            shutil.rmtree(partial)  # not to be counted again
    text = _finish(command(), folder)
    whole, killed = (_arrays(folder / "runs" / name) for name in ("whole", "killed"))
    differ = [name for name in {**whole, **killed} if not _same(whole.get(name), killed.get(name))]
    resumed = [line for line in text.splitlines() if "resuming from" in line]
    return {
        "kills": kills,
        "during a save": during_save,
        "last": resumed[-1] if resumed else "",
        "compared": len(whole),
        "differ": differ,
        "still": _still(folder / "runs" / "whole"),
    }


def _finish(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def _killed(command: list[str], folder: Path, after: float, starting: bool) -> bool:
    """Starts a process and kills it some time after its start, or after its first checkpoint.
    Returns whether it was still running."""
    before = _checkpoints(folder)
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if not starting:
            next((line for line in process.stdout if "compiled in" in line), None)
            while process.poll() is None and _checkpoints(folder) <= before:
                time.sleep(0.05)
        time.sleep(after)
        if process.poll() is None:
            process.kill()
            return True
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {process.returncode}")
    return False


def _checkpoints(folder: Path) -> set[Path]:
    return set((folder / "runs" / "killed" / "checkpoints").glob("*/[0-9]*"))


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    """Everything in a run folder: metrics and decisions by column, params and states by name."""
    found = {}
    for kind in ("metrics", "decisions"):
        if (folder / kind).is_dir():
            rows = pd.read_parquet(folder / kind).sort_values(["run", "step"])
            found |= {f"{kind}/{name}": _plain(rows[name].to_numpy()) for name in rows}
    for path in (folder / "params").iterdir():
        found |= {f"params/{path.stem}/{k}": v for k, v in load_tensors(path).items()}
    for state in (folder / "checkpoints").glob("*/*/state"):
        if state.parent == max(state.parents[1].iterdir()):
            found |= {f"{state.parents[1].name}/{k}": v for k, v in _state(state).items()}
    return found


def _plain(column: np.ndarray) -> np.ndarray:
    """A column of which the bytes say what is in it, unlike one of Python's own texts."""
    return column.astype(str) if column.dtype == object else column


def _still(folder: Path) -> list[str]:
    """The params that are the same in the last two checkpoints of every job."""
    moved: dict[str, bool] = {}
    for job in (folder / "checkpoints").iterdir():
        before, last = sorted(path for path in job.iterdir() if path.name.isdecimal())[-2:]
        facts = json.loads((last / "facts.json").read_text(encoding="utf-8"))
        old, new = _state(before / "state"), _state(last / "state")
        for index, name in enumerate(facts["content"]["leaves"]):
            if name.removeprefix("kept/").startswith("params"):
                key = f"{index:05}"
                moved[name] = moved.get(name, False) or not _same(old[key], new[key])
    return [name for name, it_did in moved.items() if not it_did]


def _state(path: Path) -> dict[str, np.ndarray]:
    import orbax.checkpoint

    with orbax.checkpoint.PyTreeCheckpointer() as reader:
        restored = reader.restore(path.absolute())
    return {name: np.asarray(leaf) for name, leaf in restored.items()}


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


def main(arguments: Arguments) -> None:
    """Prints a line for each workload."""
    if unknown := set(arguments.workloads) - set(WORKLOADS):
        raise UserError(f"--workloads {shortlist(unknown)}: there are {shortlist(WORKLOADS)}")
    wrong = False
    for name in arguments.workloads:
        with tempfile.TemporaryDirectory() as folder:
            found = compare_after_kills(
                WORKLOADS[name], Path(folder), arguments.kills, arguments.seconds, arguments.seed
            )
        wrong |= bool(found["differ"] or found["still"])
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in found.items()), flush=True)
    raise SystemExit(int(wrong))


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "100")
    with plain_exit():
        main(tyro.cli(Arguments, description=__doc__))
