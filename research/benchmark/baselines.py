"""What else trains the same, for `scripts/bench` to time beside ours: each a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from bench_cases import LSTMS, lstm

from research.benchmark.timing import Case
from research.cli.local_workers import keep_to, shares_of_cores
from research.errors import UserError
from research.runs.session import usable_cores

MLPS = {"mlp-small": ("10-5-1", False), "mlp-digits": ("64-128-10", True)}  # whether it classifies
LOOPS = Path(__file__).parents[1] / "scripts" / "compare"


class Peer(NamedTuple):
    """Other code that trains what a case does.

    Attributes:
      name: of it.
      package: that its interpreter must have.
      loop: the script, and what it is given before the number of seconds.
      batch: what an update of it must be of.
      extra_params: that it has beside ours, such as a second bias of PyTorch's LSTM.
      after: what the loop is given after the number of seconds.
      runs: that one process trains at once.
      apart: whether it cannot run beside this project's own packages.
    """

    name: str
    package: str
    loop: Sequence[str]
    batch: int
    extra_params: int = 0
    after: Sequence[str] = ()
    runs: int = 1
    apart: bool = False


def peers_of(
    case: Case, threads: int, data: Path, purejaxrl: str | None = None, runs: int = 1
) -> Iterator[Peer]:
    """Those that train what a case does.

    Args:
      case: of `scripts/bench`.
      threads: that each process may use.
      data: where the examples of an MLP lie.
      purejaxrl: a checkout of it, if there is one.
      runs: for each process of those that train several at once.
    """
    if case.name not in LSTMS and case.precision != "float32":
        return
    if case.name in MLPS:
        shape, classifies = MLPS[case.name]
        yield Peer("PyTorch", "torch", ("torch_loop.py", str(data), shape, str(threads)), 64)
        if classifies:
            hidden = shape.split("-")[1]
            yield Peer("scikit-learn", "sklearn", ("sklearn_loop.py", str(data), hidden), 64)
    elif case.name == "dqn-cartpole":
        yield Peer("Stable-Baselines3", "stable_baselines3", ("sb3_loop.py", str(threads)), 128)
        if purejaxrl is not None:
            loop = ("purejaxrl_loop.py", purejaxrl, str(runs))
            yield Peer("purejaxrl", "flashbax", loop, 128, runs=runs, apart=True)
    elif case.name in LSTMS:
        symbols, hidden, batch, window = LSTMS[case.name]
        sizes = (symbols, hidden[0], len(hidden), batch, window, threads)
        loop = ("torch_lm_loop.py", *map(str, sizes))
        yield Peer("PyTorch", "torch", loop, batch, 4 * sum(hidden), (case.precision,))


def has_package(python: str, package: str) -> bool:
    """Whether an interpreter could import it."""
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", look], capture_output=True).returncode == 0


def run_peer(python: str, peer: Peer, case: Case, processes: int, seconds: float) -> float:
    """Units a second of so many processes together.

    Raises:
      UserError: if one fails, or trains something else than we do.
    """
    script, *words = peer.loop
    command = [python, str(LOOPS / script), *words, str(seconds), *peer.after]
    results = _run_at_once(command, processes, peer.name)
    check_same_work(peer, case, results)
    return sum(result["units_per_second"] for result in results)


def run_ours(case: Case, runs: int, processes: int, seconds: float) -> float:
    """Units a second of the case itself by so many processes, as under `scripts/launch`.

    Args:
      runs: of each process.

    Raises:
      UserError: if one fails.
    """
    loop = str(LOOPS / "case_rate.py"), str(LOOPS.parents[1])
    command = [sys.executable, *loop, case.name, case.precision, str(runs), str(seconds)]
    return sum(_run_at_once(command, processes, "Seedbed"))


def _run_at_once(command: Sequence[str], processes: int, name: str) -> list[Any]:
    """What so many processes print, as JSON in the last line; each keeps to cores of its own.

    Raises:
      UserError: if one fails.
    """
    threads = usable_cores() // processes
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PJRT_NPROC")  # the last is JAX's
    env = {**os.environ, **{name: str(threads) for name in names}}
    started = []
    for cores in shares_of_cores(processes):
        with keep_to(cores):
            started.append(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
                )
            )
    answers = [process.communicate() for process in started]
    if failed := [said for process, (_, said) in zip(started, answers, strict=True)
                  if process.returncode]:  # fmt: skip
        last = (failed[0].strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"{name} failed: {last}")
    return [json.loads(answer.strip().splitlines()[-1]) for answer, _ in answers]


def check_same_work(peer: Peer, case: Case, results: Sequence[Mapping[str, Any]]) -> None:
    """Whether they trained what we do.

    Raises:
      UserError: if not.
    """
    params = count_params(case) + peer.extra_params
    for result in results:
        if result["params"] != params or result["batch"] != peer.batch or result["updates"] < 1:
            raise UserError(
                f"{peer.name} trains {result['params']:,} params by batches of {result['batch']}, "
                f"and {case.name} {params:,} by batches of {peer.batch}"
            )


def describe_work(peer: Peer, case: Case) -> str:
    """What is found equal by `check_same_work`."""
    more = f" ({peer.extra_params:,} of them a second bias)" if peer.extra_params else ""
    return f"{count_params(case) + peer.extra_params:,} params{more}, batch {peer.batch}"


def count_params(case: Case) -> int:
    """Of one run."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    task, shared = case.problem.task, case.problem.shared
    state = jax.eval_shape(task.init, shared, case.hparams, key)
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(state.params))


def write_examples(case: Case, folder: str) -> Path:
    """The training part of an MLP's data, for the others to read; a path where there is none."""
    path = Path(folder) / "examples.npz"
    if case.name in MLPS:
        train: Any = case.problem.shared.train
        np.savez(path, x=np.asarray(train.x), y=np.asarray(train.y))
    return path


def flax_case(case: Case) -> Case | None:
    """The same language model as one writes it with flax's own LSTM; None of another case."""
    if case.name not in LSTMS:
        return None
    sys.path.append(str(LOOPS))
    from flax_lm import make_flax_task  # pyright: ignore[reportMissingImports]

    return lstm(case.name, case.precision, lambda config, windows: make_flax_task(config))
