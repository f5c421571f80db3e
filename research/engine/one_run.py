"""Traces one run of a task: the shapes of what it carries and reports, and the FLOPs of a step."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from research.engine.axes import Runs
from research.engine.best import Kept, start_best
from research.engine.check_task import (
    check_evaluation,
    check_metric_names,
    check_signatures,
    check_state,
    check_step,
)
from research.engine.compiling import jax_settings
from research.engine.flops import count_flops
from research.engine.memory import byte_count, loop_bytes
from research.errors import UserError
from research.limits import flag_of
from research.task import Problem, Task, make_key

USUAL_STEPS = 10_000  # over which FLOPs are averaged where the task does not say how many it takes


def state_shapes(problem: Problem, runs: Runs) -> Any:
    """Returns the shapes that `gather_states` gives, `jax.ShapeDtypeStruct` [R, ...], without
    compiling."""
    one = trace_one_run(problem, runs)
    return jax.tree.map(lambda leaf: with_run_axis(leaf, len(runs)), one.state)


def kept_shapes(states: Any) -> Kept:
    """Returns the shapes of states [R, ...] and of the best evaluations of their runs."""
    status = jax.ShapeDtypeStruct(jax.tree.leaves(states)[0].shape[:1], np.int32)
    return Kept(states, jax.eval_shape(start_best, states, status))


def metric_names(problem: Problem, runs: Runs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the names that `step` and `evaluate` report, without compiling.

    Raises:
      UserError: if they overlap, the key metric is not among the evaluated ones, a
        hyper-parameter that takes several values is used nowhere, or a function of the task does
        not take or return what `research.task` says.
    """
    one = trace_one_run(problem, runs)
    return tuple(one.step_metrics), tuple(one.evaluate_metrics)


class TracedRun(NamedTuple):
    """What is known of one run once `init`, `step` and `evaluate` have been traced.

    Attributes:
      state, step_metrics, evaluate_metrics: the shapes of what it carries and reports.
      flops_per_step: on average.
      loop_bytes: of what the largest loop carries and stacks.
      read: the numbers of the arguments that any of the functions reads, counting the leaves of
        `shared` and of the hyper-parameters, which come first in each.
    """

    state: Any
    step_metrics: Any
    evaluate_metrics: Any
    flops_per_step: float
    loop_bytes: int
    read: frozenset[int]


def trace_one_run(problem: Problem, runs: Runs) -> TracedRun:
    """Returns the functions of a task, traced for the shapes of one run.

    Raises:
      UserError: as `metric_names`.
    """
    shared = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(*_shape(leaf)), problem.shared)
    hparams = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((), leaf.dtype), runs.hparams)
    leaves, treedef = jax.tree.flatten((shared, hparams))
    try:
        one = _trace_once(problem.task, treedef, tuple(leaves), tuple(jax_settings().items()))
    except MemoryError:  # of a constant in the program, such as zeros for each episode
        raise UserError(
            "one run alone does not fit the memory, not even its constants: make the net, the "
            "batch or the buffer smaller, or evaluate fewer episodes"
        ) from None
    _check_swept_are_used(problem, runs, one)
    return one


@lru_cache(maxsize=256)
def _trace_once(task: Task, treedef: Any, leaves: tuple[Any, ...], settings: Any) -> TracedRun:
    del settings  # of JAX, which tracing reads
    shared, hparams = jax.tree.unflatten(treedef, leaves)
    key = jax.eval_shape(lambda: make_key(0))
    t = jax.ShapeDtypeStruct((), np.int32)
    check_signatures(task)
    init = jax.jit(task.init).trace(shared, hparams, key)
    state = init.out_info
    check_state(state)
    step = jax.jit(task.step).trace(shared, hparams, state, key, t)
    check_step(state, step.out_info)
    evaluate = jax.jit(task.evaluate).trace(shared, hparams, state, key)
    check_evaluation(evaluate.out_info)
    step_metrics, evaluate_metrics = step.out_info[1], evaluate.out_info
    check_metric_names(task, step_metrics, evaluate_metrics)
    flops = count_flops(step.jaxpr, task.steps or USUAL_STEPS)
    traces = init, step, evaluate
    largest = max(loop_bytes(traced.jaxpr.jaxpr) for traced in traces)
    read = frozenset[int]().union(*map(_arguments_read, traces))
    return TracedRun(state, step_metrics, evaluate_metrics, flops, largest, read)


def least_bytes(problem: Problem, runs: Runs) -> int:
    """Returns how many bytes a device has to hold at least to train one of the runs: the data, and
    its state or the largest carry of a loop, which may be part of the state."""
    one = trace_one_run(problem, runs)
    return byte_count(problem.shared) + max(byte_count(one.state), one.loop_bytes)


def forget_traces() -> None:
    """Frees what is kept of every task that was traced."""
    _trace_once.cache_clear()


def _check_swept_are_used(problem: Problem, runs: Runs, one: TracedRun) -> None:
    """Checks that every hyper-parameter with several values is read somewhere.

    Raises:
      UserError: naming one that none of the task's functions reads.
    """
    for name in _unread(problem, runs, one):
        if len(np.unique(getattr(runs.hparams, name))) > 1:
            flag = flag_of(name)
            raise UserError(f"{flag}: nothing uses it under this config; give it one value")


def unread_hparams(problem: Problem, runs: Runs) -> set[str]:
    """Returns the names of the hyper-parameters that none of the task's functions reads."""
    return set(_unread(problem, runs, trace_one_run(problem, runs)))


def _unread(problem: Problem, runs: Runs, one: TracedRun) -> list[str]:
    before = len(jax.tree.leaves(problem.shared))
    return [name for index, name in enumerate(vars(runs.hparams)) if before + index not in one.read]


def _arguments_read(traced: Any) -> set[int]:
    """The numbers of the arguments that a traced function reads, counting leaves."""
    jaxpr = traced.jaxpr.jaxpr
    read = {id(given) for eqn in jaxpr.eqns for given in eqn.invars} | set(map(id, jaxpr.outvars))
    return {number for number, variable in enumerate(jaxpr.invars) if id(variable) in read}


def with_run_axis(leaf: Any, runs: int, sharding: Any = None) -> jax.ShapeDtypeStruct:
    """Returns the shape of a leaf of `runs` runs, from that of one."""
    return jax.ShapeDtypeStruct((runs, *leaf.shape), leaf.dtype, sharding=sharding)


def _shape(leaf: Any) -> tuple[tuple[int, ...], Any]:
    return np.shape(leaf), jax.numpy.result_type(leaf)
