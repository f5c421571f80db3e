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
from research.engine.blocks import Block, gather_states, start_blocks
from research.engine.cadence import Chunk, plan_chunks
from research.engine.chunk import forget_steps, init_runs, make_keys, start_status, train_chunk
from research.engine.loop import train
from research.engine.program import Program, compile_program
from research.runs.tensors import load_tree, save_tree
from research.task import Problem, as_split

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


def last_states(case: Case, steps: int, **options: Any) -> Any:
    """The states with which `run` ends. It compiles no evaluation, which would take as long as
    half of the training program."""
    program, blocks, chunks = _begin(case, steps, **options)
    return gather_states(program, train(program, blocks, chunks, lambda record: None))


def _begin(
    case: Case, steps: int, seeds: Any = SEEDS, axes: Any = None, devices: Any = None
) -> tuple[Program, list[Block], list[Chunk]]:
    """The programs of runs that are not evaluated, the runs before their first step, and the chunks
    to train them through."""
    runs = make_runs(case.hparams, axes or case.axes, seeds)
    planned = plan_chunks(steps, Cadence(log_every=1, eval_every=steps, chunk_every=CHUNK))
    chunks = [chunk._replace(evaluate=False) for chunk in planned]
    devices = devices or jax.local_devices()[:1]
    program = compile_program(case.problem, runs, chunks, devices=devices)
    return program, start_blocks(program, runs), chunks


def check_a_lane_is_a_lone_run(case: Case, steps: int, atol: float) -> None:
    """A run in a sweep ends within a tolerance of the same run alone. Compares the first run, and
    one in the middle with the second value of the axis."""
    together = last_states(case, steps)
    ((name, values),) = case.axes.items()
    for setting, seed in ((0, 0), (1, 1)):
        alone = last_states(case, steps, seeds=[seed], axes={name: [values[setting]]})
        lane = jax.tree.map(lambda leaf: leaf[setting * SEEDS + seed], together)  # noqa: B023
        chex.assert_trees_all_close(_only(alone), lane, atol=atol, rtol=0)


def check_place_changes_no_bit(case: Case, steps: int) -> None:
    """A run ends with the same bits whatever its place among the same number of runs."""
    order = np.roll(np.arange(SEEDS), 1)
    first, second = last_states(case, steps), last_states(case, steps, seeds=order.tolist())
    moved = np.concatenate([order, SEEDS + order])
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[moved], first), second)


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
    one = last_states(case, steps)
    eight = last_states(case, steps, devices=jax.local_devices()[:8])
    chex.assert_trees_all_close(eight, one, atol=atol, rtol=0)


def check_seeds_differ_and_repeat(case: Case, steps: int) -> None:
    """Different seeds start from different params, and the same seed repeats every bit."""
    chex.assert_trees_all_equal(last_states(case, steps), last_states(case, steps))
    program, blocks, _ = _begin(case, steps)
    start = gather_states(program, blocks).params
    kernels = [leaf[:SEEDS] for leaf in jax.tree.leaves(start) if leaf.ndim > 2]
    assert kernels
    for leaf in kernels:
        assert len(np.unique(leaf.reshape(len(leaf), -1), axis=0)) == SEEDS


def check_every_hparam_changes_the_outcome(case: Case, swept: Any, steps: int) -> None:
    """Two values of each hyper-parameter end with different weights in every layer."""
    for name, values in swept.items():
        params = last_states(case, steps, axes={name: values}).params
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


def _only(states: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], states)


def check_program_of_accelerators(
    case: Case, monkeypatch: Any, platform: str = "cuda", trained: bool = True
) -> None:
    """The program for GPUs or TPUs, which differs from that for CPUs in layouts and in the order of
    sums, gives the same params and metrics after some updates, computed here.

    Args:
      case: what to train.
      monkeypatch: pytest's.
      platform: "cuda" or "tpu".
      trained: whether other checks train the case, so that the program for CPUs is compiled.
    """
    task, shared, taken = case.problem.task, case.problem.shared, []
    split = as_split(task.step)
    runs = make_runs(case.hparams, case.axes, SEEDS)

    def train_chunk_of(platform, hparams, seeds):
        begun, keys = init_runs(task, shared, hparams, seeds), make_keys(seeds).step
        args: Any = shared, hparams, begun, start_status(len(seeds)), keys, np.int32(0)
        # One log, within which it draws ahead.
        states, logged = train_chunk(task, 1, CHUNK, *args, platform=platform)
        metrics = jax.tree.map(lambda leaf_1xR: leaf_1xR[0], logged.metrics)
        fixed = split.fixed_of(begun), split.fixed_of(states)
        return (states.params, logged._replace(metrics=metrics)), fixed

    def after_a_chunk(platform):  # traced anew, or `jit` would take the other's trace
        forget_steps()
        train = jax.jit(partial(train_chunk_of, platform))
        after, (before, now) = jax.device_get(train(runs.hparams, runs.seeds))
        chex.assert_trees_all_equal(now, before)  # or what is drawn ahead would be of the past
        return after

    def as_elsewhere(*args, default, **by_platform):
        taken.append(by_platform.get(platform))
        return by_platform.get(platform, default)(*args)

    here = _after_a_chunk(case) if trained else after_a_chunk("cpu")
    with monkeypatch.context() as patch:
        patch.setattr(lax, "platform_dependent", as_elsewhere)
        there = after_a_chunk(platform)
    forget_steps()
    assert any(taken)
    chex.assert_trees_all_close(there, here, rtol=1e-4, atol=1e-5)


def _after_a_chunk(case: Case) -> Any:
    """The params of the runs of a case after one chunk, their status and the sums of their
    metrics."""
    program, (block,), _ = _begin(case, CHUNK)
    hparams, keys, states, diverged, _ = block
    call = program.train[CHUNK, 1]
    states, logged = call(program.shared, hparams, states, diverged, keys.step, np.int32(0))
    sums = jax.tree.map(lambda leaf_RxL: leaf_RxL.sum(axis=1), logged.metrics)
    return jax.device_get((states.params, logged._replace(metrics=sums)))
