"""The contract of a workload under the engine: checks that the tests of every workload call.

A workload is given as a `Case`, small enough that every check takes seconds. Nearly all of them are
compilation, so all checks of a case share its programs: `SEEDS` seeds of two settings, in chunks
of `CHUNK` steps.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import numpy as np
import pytest
from jax import lax

from research.engine import Cadence, Swept, make_runs, sweep
from research.engine.chunk import forget_steps, init_runs, make_keys, start_status, train_chunk
from research.runs.tensors import load_tree, save_tree
from research.task import Problem, SplitStep, whole_step

SEEDS = 5  # times two settings is more than the eight devices, and no multiple of them
CHUNK = 5


def slow(*values: Any) -> Any:
    """Values of a parametrized test that `scripts/test` leaves to `--all`."""
    return pytest.param(*values, marks=pytest.mark.slow)


class Case(NamedTuple):
    """A workload with a config small enough for tests.

    Attributes:
      problem: task and data.
      hparams: its hyper-parameters.
      axes: one of them, with two values.
    """

    problem: Problem
    hparams: Any
    axes: dict[str, list[float]]


def run(case: Case, steps: int, seeds: Any = SEEDS, chunk: int = CHUNK, **options: Any) -> Swept:
    """Sweeps the case, by default on one device and logging every step."""
    options.setdefault("devices", jax.local_devices()[:1])
    options.setdefault("cadence", Cadence(log_every=1, eval_every=steps, chunk_every=chunk))
    options.setdefault("axes", case.axes)
    task, shared = case.problem.task, case.problem.shared
    return sweep(task, shared, case.hparams, seeds, steps, **options)


def check_a_lane_is_a_lone_run(case: Case, steps: int, atol: float) -> None:
    """A run in a sweep ends within a tolerance of the same run alone. Compares the first run, and
    one in the middle with the second value of the axis."""
    together = run(case, steps)
    ((name, values),) = case.axes.items()
    for setting, seed in ((0, 0), (1, 1)):
        alone = run(case, steps, seeds=[seed], axes={name: [values[setting]]})
        lane = jax.tree.map(lambda leaf: leaf[setting * SEEDS + seed], together.states)  # noqa: B023
        chex.assert_trees_all_close(_only(alone.states), lane, atol=atol, rtol=0)


def check_place_changes_no_bit(case: Case, steps: int) -> None:
    """A run ends with the same bits whatever its place among the same number of runs."""
    order = np.roll(np.arange(SEEDS), 1)
    first, second = run(case, steps), run(case, steps, seeds=order.tolist())
    moved = np.concatenate([order, SEEDS + order])
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[moved], first.states), second.states)


def check_resumes_bit_for_bit(case: Case, folder: Path) -> None:
    """Two chunks give the states and metrics of one chunk, saving, loading, and another chunk."""
    whole, before = run(case, 2 * CHUNK), run(case, CHUNK)
    save_tree(folder / "states.safetensors", before.states)
    states = load_tree(folder / "states.safetensors", before.states)
    resumed = run(case, 2 * CHUNK, start=CHUNK, states=states)
    chex.assert_trees_all_equal(resumed.states, whole.states)
    later = whole.metrics[whole.metrics["step"] > CHUNK].reset_index(drop=True)
    assert resumed.metrics.equals(later)


def check_chunk_length_changes_no_bit(case: Case, steps: int, lengths: tuple[int, ...]) -> None:
    """States and logged metrics are bit for bit the same for every chunk length."""
    expected = run(case, steps)
    for length in lengths:
        other = run(case, steps, chunk=length)
        chex.assert_trees_all_equal(other.states, expected.states)
        assert other.metrics.equals(expected.metrics)


def check_sharded_is_unsharded(case: Case, steps: int, atol: float) -> None:
    """Runs sharded over eight devices end within a tolerance of those on one device."""
    one, eight = run(case, steps), run(case, steps, devices=jax.local_devices()[:8])
    chex.assert_trees_all_close(eight.states, one.states, atol=atol, rtol=0)


def check_seeds_differ_and_repeat(case: Case, steps: int) -> None:
    """Different seeds start from different params, and the same seed repeats every bit."""
    first, again = run(case, steps), run(case, steps)
    chex.assert_trees_all_equal(first.states, again.states)
    start = _initial_params(case, seeds=(0, 1, 2))
    kernels = [leaf for leaf in jax.tree.leaves(start) if leaf.ndim > 2]
    assert kernels
    for leaf in kernels:
        assert len(np.unique(leaf.reshape(len(leaf), -1), axis=0)) == 3


def check_every_hparam_changes_the_outcome(case: Case, swept: Any, steps: int) -> None:
    """Two values of each hyper-parameter end with different weights in every layer."""
    for name, values in swept.items():
        params = run(case._replace(axes={name: values}), steps).states.params
        kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 2]
        assert kernels
        assert all(np.abs(kernel[0] - kernel[SEEDS]).max() > 1e-7 for kernel in kernels), name


def check_traced_once(case: Case) -> None:
    """Other values of the hyper-parameters and more chunks trace nothing again."""
    ((name, values),) = case.axes.items()
    run(case, 2 * CHUNK)
    with _Traces() as traces:
        run(case, 6 * CHUNK, axes={name: [value / 2 for value in values]})
    assert traces.functions == []


def check_keys_are_used_once(case: Case) -> None:
    """No function of the task uses a key twice, since tracing it would raise."""
    task, shared = case.problem.task, case.problem.shared
    assert jax.config.jax_debug_key_reuse
    key, t = jax.eval_shape(lambda: jax.random.key(0)), np.int32(0)
    state = jax.jit(task.init).trace(shared, case.hparams, key).out_info
    jax.jit(task.step).trace(shared, case.hparams, state, key, t)
    jax.jit(task.evaluate).trace(shared, case.hparams, state, key)


class _Traces:
    """Records the functions that JAX traces while it is open."""

    def __enter__(self):
        self.functions = []
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *_):
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event: str, duration: float, **about: Any) -> None:
        del duration
        if event == "/jax/core/compile/jaxpr_trace_duration":
            self.functions.append(about.get("fun_name", "a function"))


def _initial_params(case: Case, seeds: tuple[int, ...]) -> Any:
    init = jax.jit(case.problem.task.init)
    states = [init(case.problem.shared, case.hparams, jax.random.key(seed)) for seed in seeds]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *[state.params for state in states])


def _only(states: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], states)


def check_program_of_accelerators(
    case: Case, monkeypatch: Any, platform: str = "cuda", steps: int = 3
) -> None:
    """The program for GPUs or TPUs, which differs from that for CPUs in layouts and in the order of
    sums, gives the same params and metrics after some updates, computed here."""
    task, shared = case.problem.task, case.problem.shared
    split = task.step if isinstance(task.step, SplitStep) else whole_step(task.step)
    runs = make_runs(case.hparams, case.axes, 1)

    def train(few_kernels, hparams, seeds):
        begun, keys = init_runs(task, shared, hparams, seeds), make_keys(seeds).step
        args: Any = shared, hparams, begun, start_status(len(seeds)), keys, np.int32(0)
        states, logged = train_chunk(task, 1, steps, *args, few_kernels=few_kernels)
        return (states.params, logged), split.fixed_of(begun), split.fixed_of(states)

    def trained(few_kernels):  # traced anew, or `jit` would take the trace of the other
        forget_steps()
        train_so = jax.jit(partial(train, few_kernels))
        trained, before, after = jax.device_get(train_so(runs.hparams, runs.seeds))
        chex.assert_trees_all_equal(after, before)  # or what is drawn ahead would be of the past
        return trained

    here, taken = trained(few_kernels=False), []

    def as_elsewhere(*args, default, **by_platform):
        taken.append(by_platform.get(platform))
        return by_platform.get(platform, default)(*args)

    monkeypatch.setattr(lax, "platform_dependent", as_elsewhere)
    there = trained(few_kernels=True)
    forget_steps()
    assert any(taken)
    chex.assert_trees_all_close(there, here, rtol=1e-4, atol=1e-5)
