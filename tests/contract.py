"""What must hold of every workload under the engine. Each workload's tests call all of these.

A workload is given as a `Case`: small enough that every check takes seconds.
"""

from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import numpy as np
import pytest

from research.sweep import Cadence, Swept, sweep
from research.sweep.tensors import load_tree, save_tree
from research.task import Problem


class Case(NamedTuple):
    """A workload, and runs of it to try the engine on.

    Attributes:
      problem: task and data.
      hparams: its hyper-parameters.
      axes: at least one of them, with two values or more.
    """

    problem: Problem
    hparams: Any
    axes: dict[str, list[float]]


def run(case: Case, steps: int, seeds: Any = 3, **options: Any) -> Swept:
    """Sweeps the case; on one device and logging every step, if not told otherwise."""
    options.setdefault("devices", jax.local_devices()[:1])
    options.setdefault("cadence", Cadence(log_every=1, eval_every=steps, chunk_every=steps))
    options.setdefault("axes", case.axes)
    task, shared = case.problem.task, case.problem.shared
    return sweep(task, shared, case.hparams, seeds, steps, **options)


def check_a_lane_is_a_lone_run(case: Case, steps: int, atol: float) -> None:
    """A run of a sweep ends, to a tolerance, where it ends when it is run alone: the first run, and
    one between others under the second value of the first axis."""
    together = run(case, steps)
    ((name, values),) = list(case.axes.items())[:1]
    others = {axis: [values[0]] for axis, values in case.axes.items()}
    for setting, seed in ((0, 0), (1, 1)):
        alone = run(case, steps, seeds=[seed], axes=others | {name: [values[setting]]})
        index = setting * 3 * _settings_after_first(case) + seed
        lane = jax.tree.map(lambda leaf: leaf[index], together.states)  # noqa: B023
        chex.assert_trees_all_close(_only(alone.states), lane, atol=atol, rtol=0)


def check_place_changes_no_bit(case: Case, steps: int) -> None:
    """A run ends at the same bits wherever it stands among as many others."""
    first, second = run(case, steps, seeds=[0, 1, 2]), run(case, steps, seeds=[2, 0, 1])
    settings = len(first.metrics["run"].unique()) // 3
    moved = np.roll(np.arange(3 * settings).reshape(settings, 3), 1, axis=1).ravel()
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[moved], first.states), second.states)


def check_resumes_bit_for_bit(case: Case, folder: Path, steps: int = 10) -> None:
    """10 steps, or so many, are 5 steps, a file, and 5 more: states and metrics."""
    half = steps // 2
    whole, before = run(case, steps), run(case, half)
    save_tree(folder / "states.safetensors", before.states)
    states = load_tree(folder / "states.safetensors", before.states)
    cadence = Cadence(log_every=1, eval_every=steps, chunk_every=half)
    resumed = run(case, steps, start=half, states=states, cadence=cadence)
    chex.assert_trees_all_equal(resumed.states, whole.states)
    later = whole.metrics[whole.metrics["step"] > half].reset_index(drop=True)
    assert resumed.metrics.equals(later)


def check_chunk_length_changes_no_bit(case: Case, steps: int, lengths: tuple[int, ...]) -> None:
    """States and logged metrics are the same however often the host looks."""
    swept = [
        run(case, steps, cadence=Cadence(log_every=1, eval_every=steps, chunk_every=length))
        for length in lengths
    ]
    for other in swept[1:]:
        chex.assert_trees_all_equal(other.states, swept[0].states)
        assert other.metrics.equals(swept[0].metrics)


def check_sharded_is_unsharded(case: Case, steps: int, atol: float) -> None:
    """Eight devices end, to a tolerance, where one does; with runs to spare on none of them."""
    one = run(case, steps, seeds=5)
    eight = run(case, steps, seeds=5, devices=jax.local_devices()[:8])
    chex.assert_trees_all_close(eight.states, one.states, atol=atol, rtol=0)


def check_seeds_differ_and_repeat(case: Case, steps: int) -> None:
    """Another seed starts from other params and learns from other data; the same seed repeats."""
    first, again = run(case, steps), run(case, steps)
    chex.assert_trees_all_equal(first.states, again.states)
    start = _initial_params(case, seeds=(0, 1, 2))
    kernels = [leaf for leaf in jax.tree.leaves(start) if leaf.ndim > 2]
    assert kernels
    for leaf in kernels:
        assert len(np.unique(leaf.reshape(len(leaf), -1), axis=0)) == 3


def check_every_hparam_changes_the_outcome(case: Case, swept: Any, steps: int) -> None:
    """Two values of each hyper-parameter, name -> values, end at other weights in every layer."""
    for name, values in swept.items():
        params = run(case._replace(axes={name: values}), steps, seeds=[0]).states.params
        kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 2]
        assert kernels
        assert all(np.abs(kernel[0] - kernel[1]).max() > 1e-7 for kernel in kernels), name


def variants(workload: str, *names: str) -> Any:
    """Calls a test with each name, all checks of one in the same process, where they share
    compiled programs."""
    mark = lambda name: pytest.mark.xdist_group(f"{workload}-{name}")
    return pytest.mark.parametrize(
        "variant", [pytest.param(name, marks=mark(name)) for name in names]
    )


def check_traced_once(case: Case) -> None:
    """Neither another learning rate nor more chunks trace the task again."""
    task = case.problem.task
    counts = []
    for steps, chunk in ((8, 8), (64, 8)):
        count = _Counter(task.step)
        counted = Case(case.problem._replace(task=task._replace(step=count)), *case[1:])
        run(counted, steps, cadence=Cadence(1, steps, chunk))
        counts.append(count.traces)
    assert counts[0] == counts[1]


def check_keys_are_used_once(case: Case) -> None:
    """No key is used twice inside a function of the task (`jax_debug_key_reuse` raises)."""
    task, shared = case.problem.task, case.problem.shared
    assert jax.config.jax_debug_key_reuse
    state = jax.jit(task.init)(shared, case.hparams, jax.random.key(0))
    t = np.int32(0)
    state, _ = jax.jit(task.step)(shared, case.hparams, state, jax.random.key(1), t)
    jax.jit(task.evaluate)(shared, case.hparams, state, jax.random.key(2))


class _Counter:
    """A function that counts how often it is traced."""

    def __init__(self, function):
        self.function, self.traces = function, 0

    def __call__(self, *args):
        self.traces += 1
        return self.function(*args)


def _initial_params(case: Case, seeds: tuple[int, ...]) -> Any:
    def init(seed):
        return case.problem.task.init(case.problem.shared, case.hparams, jax.random.key(seed))

    states = [init(seed) for seed in seeds]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *[state.params for state in states])


def _settings_after_first(case: Case) -> int:
    return int(np.prod([len(values) for values in list(case.axes.values())[1:]], dtype=int))


def _only(states: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], states)
