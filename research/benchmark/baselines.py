"""Baselines: other libraries that train what a case does, each timed in processes of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from research.benchmark.cases import LSTMS, lstm
from research.benchmark.timing import Case
from research.cli.local_workers import keep_to, shares_of_cores
from research.errors import UserError
from research.runs.session import usable_cores

MLPS = {"mlp-small": ("10-5-1", False), "mlp-digits": ("64-128-10", True)}  # whether it classifies
# Nets in a process with which torch.func is near its best on a CPU; it has more if ours are more.
LEAST_NETS = {"mlp-small": 256, "mlp-digits": 32}
LOOPS = Path(__file__).parents[2] / "scripts" / "compare"


class Baseline(NamedTuple):
    """A library that trains what a case does.

    Attributes:
      name: what it is called in tables.
      package: the package that its interpreter must have.
      loop: the script that trains, and its arguments before the number of seconds.
      batch: how many examples an update must have.
      extra_params: how many params it has beside ours, such as a second bias of PyTorch's LSTM.
      after: the script's arguments after the number of seconds.
      runs: how many runs one process trains at once.
      apart: whether it cannot be installed beside this project's own packages.
      on_gpu: whether it trains on the GPU, if there is one.
      compiler: the program without which it is slower; None if it needs none.
    """

    name: str
    package: str
    loop: Sequence[str]
    batch: int
    extra_params: int = 0
    after: Sequence[str] = ()
    runs: int = 1
    apart: bool = False
    on_gpu: bool = False
    compiler: str | None = None


def baselines_of(
    case: Case, threads: int, data: Path, purejaxrl: str | None = None, runs: int = 1
) -> Iterator[Baseline]:
    """Yields the baselines of a case, the strongest first.

    Args:
      case: what they must train.
      threads: how many each process may use.
      data: the file with the examples of an MLP.
      purejaxrl: a checkout of purejaxrl, if there is one.
      runs: how many runs a process trains, of baselines that train several at once.
    """
    if case.name not in LSTMS and case.precision != "float32":
        return
    if case.name in MLPS:
        shape, classifies = MLPS[case.name]
        nets = max(runs, LEAST_NETS[case.name])
        loop = ("torch_func_loop.py", str(data), shape, str(threads), str(nets))
        yield Baseline("torch.func", "torch", loop, 64, runs=nets, on_gpu=True, compiler="g++")
        yield Baseline("PyTorch", "torch", ("torch_loop.py", str(data), shape, str(threads)), 64)
        if classifies:
            hidden = shape.split("-")[1]
            yield Baseline("scikit-learn", "sklearn", ("sklearn_loop.py", str(data), hidden), 64)
    elif case.name == "dqn-cartpole":
        if purejaxrl is not None:
            loop = ("purejaxrl_loop.py", purejaxrl, str(runs))
            yield Baseline("purejaxrl", "flashbax", loop, 128, runs=runs, apart=True, on_gpu=True)
        yield Baseline("Stable-Baselines3", "stable_baselines3", ("sb3_loop.py", str(threads)), 128)
    elif case.name in LSTMS:
        symbols, hidden, batch, window = LSTMS[case.name]
        sizes = (symbols, hidden[0], len(hidden), batch, window, threads)
        loop = ("torch_lm_loop.py", *map(str, sizes))
        yield Baseline("PyTorch", "torch", loop, batch, 4 * sum(hidden), (case.precision,))


def has_package(python: str, package: str) -> bool:
    """Whether an interpreter has a package."""
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", look], capture_output=True).returncode == 0


def run_baseline(
    python: str, baseline: Baseline, case: Case, processes: int, seconds: float
) -> float:
    """Returns the units of work per second that several processes of a baseline do together.

    Raises:
      UserError: if one fails, or does not do the same work as the case.
    """
    script, *words = baseline.loop
    command = [python, str(LOOPS / script), *words, str(seconds), *baseline.after]
    results = _run_at_once(command, processes, baseline.name)
    check_same_work(baseline, case, results)
    return sum(result["units_per_second"] for result in results)


def run_ours(case: Case, runs: int, processes: int, seconds: float) -> float:
    """Returns the units of work per second of our own code in several processes, as a baseline.

    Args:
      runs: how many each process trains.

    Raises:
      UserError: if one fails.
    """
    loop = str(LOOPS / "case_rate.py"), str(LOOPS.parents[1])
    command = [sys.executable, *loop, case.name, case.precision, str(runs), str(seconds)]
    return sum(_run_at_once(command, processes, "Seedbed"))


def _run_at_once(command: Sequence[str], processes: int, name: str) -> list[Any]:
    """Runs a command in several processes, each on cores of its own, and returns the JSON that each
    prints in its last line.

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


def check_same_work(baseline: Baseline, case: Case, results: Sequence[Mapping[str, Any]]) -> None:
    """Checks that a baseline has as many params as the case, the same batch, and made updates.

    Raises:
      UserError: if not.
    """
    params = count_params(case) + baseline.extra_params
    for result in results:
        if result["updates"] < 1:
            raise UserError(f"{baseline.name} made no update")
        if result["params"] != params or result["batch"] != baseline.batch:
            raise UserError(
                f"{baseline.name} trains {result['params']:,} params by batches of "
                f"{result['batch']}, and {case.name} {params:,} by batches of {baseline.batch}"
            )


def describe_work(baseline: Baseline, case: Case) -> str:
    """Returns what `check_same_work` found equal, in words."""
    more = f" ({baseline.extra_params:,} of them a second bias)" if baseline.extra_params else ""
    return f"{count_params(case) + baseline.extra_params:,} params{more}, batch {baseline.batch}"


def count_params(case: Case) -> int:
    """Returns how many params one run of a case has."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    task, shared = case.problem.task, case.problem.shared
    state = jax.eval_shape(task.init, shared, case.hparams, key)
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(state.params))


def write_examples(case: Case, folder: str) -> Path:
    """Writes the training part of an MLP's data for the baselines and returns its path; other cases
    have no file there."""
    path = Path(folder) / "examples.npz"
    if case.name in MLPS:
        train: Any = case.problem.shared.train
        np.savez(path, x=np.asarray(train.x), y=np.asarray(train.y))
    return path


def flax_case(case: Case) -> Case | None:
    """Returns the same language model made of flax's own LSTM; None for other cases."""
    if case.name not in LSTMS:
        return None
    sys.path.append(str(LOOPS))
    from flax_lm import make_flax_task  # pyright: ignore[reportMissingImports]

    return lstm(case.name, case.precision, lambda config, windows: make_flax_task(config))
