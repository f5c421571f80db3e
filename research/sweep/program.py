"""From a task and its runs to compiled programs, with what they cost."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from research.errors import UserError, shortlist
from research.sweep.axes import Runs
from research.sweep.chunk import evaluate_runs, init_runs, make_keys, start_status, train_chunk
from research.sweep.flops import count_flops
from research.sweep.machine import jax_settings
from research.sweep.plan import Chunk, Layout, cache_lanes, plan_layout
from research.task import Problem, Task, make_key

USUAL_STEPS = 10_000  # over which FLOPs are averaged where the task does not say how many it takes


class Cost(NamedTuple):
    """What the compiler says of the training program.

    Attributes:
      compile_seconds: tracing and compiling all programs of the group, wall time.
      cache_hits: how many of them came from the compilation cache.
      flops_per_step: of one step of one run, on average; see `count_flops`.
      argument_bytes: arguments of one call on one device: data, states, hyper-parameters.
      temp_bytes: what one call needs beside arguments and results, on one device.
      shared_bytes: the data, on every device.
      peak_bytes: all that one device has to hold at once, the blocks that wait included.
    """

    compile_seconds: float
    cache_hits: int
    flops_per_step: float
    argument_bytes: int
    temp_bytes: int
    shared_bytes: int
    peak_bytes: int


class Block(NamedTuple):
    """The runs of one call, on the devices; every leaf is [layout.width, ...]. `diverged` is their
    status, as of `Logged`."""

    hparams: Any
    keys: Any
    states: Any
    diverged: Any


@dataclasses.dataclass(frozen=True)
class Program:
    """The compiled programs of one group of runs.

    Attributes:
      make_keys: `seeds -> keys`.
      init: `(shared, hparams, seeds) -> states`; None if all runs are resumed.
      train: (logs, log_every) -> `(shared, hparams, states, diverged, keys, start) -> (states,
        Logged)`; the states given are consumed.
      evaluate: `(shared, hparams, states, diverged, keys, t) -> Logged`.
      shared: on every device.
      sharding: of what has a run axis.
      replicated: the sharding of what has none.
    """

    task: Task
    shared: Any
    layout: Layout
    sharding: NamedSharding
    replicated: NamedSharding
    make_keys: Callable[..., Any]
    init: Callable[..., Any] | None
    train: dict[tuple[int, int], Callable[..., Any]]
    evaluate: Callable[..., Any]
    cost: Cost

    @property
    def devices(self) -> list[Any]:
        return list(np.asarray(self.sharding.mesh.devices).flat)


def compile_program(
    problem: Problem,
    runs: Runs,
    chunks: Sequence[Chunk],
    *,
    devices: Sequence[Any] | None = None,
    most_lanes: int | None = None,
    width: int | None = None,
    resumed: bool = False,
) -> Program:
    """Compiles, ahead of time, all that `runs` need to go through `chunks`.

    Args:
      problem: task and data.
      runs: to train.
      chunks: that they go through.
      devices: to shard the runs over; all local ones if not given.
      most_lanes: runs that advance in lockstep on one device at most. If not given: all of them
        on an accelerator, as many as fit its cache on a CPU core.
      width: for how many runs to make the programs, if more than there are.
      resumed: whether the runs have states to start from, so that `init` is not needed.

    Raises:
      UserError: as `metric_names`.
    """
    began = time.perf_counter()
    task = problem.task
    devices = jax.local_devices() if devices is None else devices
    one = _look_at_one_run(problem, runs)
    if most_lanes is None and devices[0].platform == "cpu":
        most_lanes = cache_lanes(_bytes(one.state.params))
    layout = plan_layout(len(runs), len(devices), most_lanes, width)
    mesh = Mesh(np.asarray(devices[: layout.devices]), ("run",))
    sharding, replicated = NamedSharding(mesh, P("run")), NamedSharding(mesh, P())
    shared = jax.device_put(problem.shared, replicated)
    hparams, seeds = _shapes(_block_of(runs, layout, 0), sharding)

    data = _shapes(shared, replicated)
    states = jax.tree.map(partial(_with_run_axis, layout.width, sharding), one.state)
    diverged = jax.ShapeDtypeStruct(seeds.shape, np.int32, sharding=sharding)
    t = jax.ShapeDtypeStruct((), np.int32, sharding=replicated)
    specs = [P(), *[P("run")] * 4, P()]
    with _CacheHits() as cache:
        new_keys, keys = _compile(mesh, (make_keys,), [P("run")], (seeds,))
        init = None
        if not resumed:
            args = (data, hparams, seeds)
            init, _ = _compile(mesh, (init_runs, task), [P(), P("run"), P("run")], args)
        train = {}
        for shape in sorted({(chunk.logs, chunk.log_every) for chunk in chunks}):
            call, args = (_train_by_run, task, *shape), (data, hparams, states, diverged)
            train[shape], _ = _compile(mesh, call, specs, (*args, keys.step, t), donate=(2,))
        args = (data, hparams, states, diverged, keys.evaluate, t)
        evaluate, _ = _compile(mesh, (evaluate_runs, task), specs, args)
    carried = _bytes((hparams, keys, states, diverged)) // layout.devices
    programs = (evaluate, *train.values())
    memory = _measure_memory(programs, layout.blocks, carried, _bytes(shared))
    return Program(
        task=task,
        shared=shared,
        layout=layout,
        sharding=sharding,
        replicated=replicated,
        make_keys=new_keys,
        init=init,
        train=train,
        evaluate=evaluate,
        cost=Cost(
            compile_seconds=time.perf_counter() - began,
            cache_hits=cache.hits,
            flops_per_step=one.flops_per_step,
            **memory,
        ),
    )


def _compile(
    mesh: Mesh,
    call: tuple[Any, ...],
    specs: Sequence[P],
    args: tuple[Any, ...],
    donate: tuple[int, ...] = (),
) -> tuple[Callable[..., Any], Any]:
    """A compiled function, and the shapes of what it returns.

    Kept in memory: a second sweep of the same task, as in a notebook, compiles only what differs.

    Args:
      mesh: the devices to shard the run axis over.
      call: a function, then its static arguments.
      specs: which of its other arguments have a run axis.
      args: their shapes.
      donate: which of them it may overwrite.
    """
    leaves, treedef = jax.tree.flatten(args)
    settings = tuple(jax_settings().items())
    return _compile_once(mesh, call, tuple(specs), treedef, tuple(leaves), donate, settings)


@lru_cache(maxsize=64)
def _compile_once(mesh, call, specs, treedef, leaves, donate, settings):
    del settings  # of JAX, which tracing and compiling read
    args = jax.tree.unflatten(treedef, leaves)
    # shard_map, not a sharded vmap: each device runs the plain program on its own lanes, so no
    # collective can arise.
    mapped = jax.shard_map(
        partial(*call), mesh=mesh, in_specs=specs, out_specs=P("run"), check_vma=False
    )
    lowered = jax.jit(mapped, donate_argnums=donate).lower(*args)
    return lowered.compile(), _shapes(lowered.out_info, NamedSharding(mesh, P("run")))


def start_blocks(
    program: Program, runs: Runs, states: Any = None, diverged: Any = None
) -> list[Block]:
    """All runs at their beginning; or with `states`, a pytree of host arrays [R, ...], there, and
    with the status `diverged`, int32 [R]; nobody has diverged if it is not given."""
    status = start_status(len(runs)) if diverged is None else diverged
    blocks = []
    for index in range(program.layout.blocks):
        rows = _rows(program.layout, index)
        put = lambda tree: jax.device_put(
            jax.tree.map(lambda leaf: np.asarray(leaf)[rows], tree),  # noqa: B023
            program.sharding,
        )
        hparams, seeds = put((runs.hparams, runs.seeds))
        if states is not None:
            block_states = put(states)
        else:
            assert program.init is not None
            block_states = program.init(program.shared, hparams, seeds)
        blocks.append(Block(hparams, program.make_keys(seeds), block_states, put(status)))
    return blocks


def gather_states(program: Program, blocks: Sequence[Block]) -> Any:
    """The states of all runs as host arrays [R, ...], padding left out."""
    return join_blocks(program.layout, [jax.device_get(block.states) for block in blocks])


def join_blocks(layout: Layout, parts: Sequence[Any]) -> Any:
    """Concatenates what each block gave along the run axis and drops the padding lanes."""

    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: layout.runs], *parts)


def state_shapes(problem: Problem, runs: Runs) -> Any:
    """What `gather_states` gives, as `jax.ShapeDtypeStruct` [R, ...]; nothing is compiled."""
    one = _look_at_one_run(problem, runs)
    return jax.tree.map(partial(_with_run_axis, len(runs), None), one.state)


def metric_names(problem: Problem, runs: Runs) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that `step` and `evaluate` report, found without compiling.

    Raises:
      UserError: if they overlap, the key metric is not among the evaluated ones, or a
        hyper-parameter that takes several values is used nowhere.
    """
    one = _look_at_one_run(problem, runs)
    return tuple(one.step_metrics), tuple(one.evaluate_metrics)


class _OneRun(NamedTuple):
    """Shapes of what one run carries and reports, and its functions, traced."""

    state: Any
    step_metrics: Any
    evaluate_metrics: Any
    flops_per_step: float
    traces: tuple[Any, Any, Any]  # init, step, evaluate


def _look_at_one_run(problem: Problem, runs: Runs) -> _OneRun:
    shared = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(*_shape(leaf)), problem.shared)
    hparams = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((), leaf.dtype), runs.hparams)
    leaves, treedef = jax.tree.flatten((shared, hparams))
    one = _look_once(problem.task, treedef, tuple(leaves), tuple(jax_settings().items()))
    _check_swept_are_used(problem, runs, one.traces)
    return one


@lru_cache(maxsize=64)
def _look_once(task: Task, treedef: Any, leaves: tuple[Any, ...], settings: Any) -> _OneRun:
    del settings  # of JAX, which tracing reads
    shared, hparams = jax.tree.unflatten(treedef, leaves)
    key = jax.eval_shape(lambda: make_key(0))
    t = jax.ShapeDtypeStruct((), np.int32)
    init = jax.jit(task.init).trace(shared, hparams, key)
    state = init.out_info
    step = jax.jit(task.step).trace(shared, hparams, state, key, t)
    evaluate = jax.jit(task.evaluate).trace(shared, hparams, state, key)
    step_metrics, evaluate_metrics = step.out_info[1], evaluate.out_info
    if both := sorted(set(step_metrics) & set(evaluate_metrics)):
        raise UserError(f"step and evaluate both report {shortlist(both)}: rename one")
    if task.key_metric not in evaluate_metrics:
        known = shortlist(evaluate_metrics)
        raise UserError(f"the key metric {task.key_metric!r} is not evaluated; there are {known}")
    flops = count_flops(step.jaxpr, task.steps or USUAL_STEPS)
    return _OneRun(state, step_metrics, evaluate_metrics, flops, (init, step, evaluate))


def _check_swept_are_used(problem: Problem, runs: Runs, traces: Sequence[Any]) -> None:
    """A hyper-parameter that takes several values makes a difference somewhere.

    Raises:
      UserError: naming one that none of the task's functions reads.
    """
    before = len(jax.tree.leaves(problem.shared))
    for index, (name, column) in enumerate(vars(runs.hparams).items()):
        if len(np.unique(column)) > 1 and not any(_reads(t, before + index) for t in traces):
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag}: nothing uses it under this config; give it one value")


def _reads(traced: Any, argument: int) -> bool:
    """Whether a traced function has any use for its argument of that number, counting leaves."""
    jaxpr = traced.jaxpr.jaxpr
    variable = jaxpr.invars[argument]
    readers = (*jaxpr.outvars, *(given for eqn in jaxpr.eqns for given in eqn.invars))
    return any(given is variable for given in readers)


def _train_by_run(task, logs, log_every, *args):
    """`train_chunk` with the run axis first in everything it returns, as `shard_map` cuts it."""
    states, logged = train_chunk(task, logs, log_every, *args)
    by_run = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), logged.metrics)
    return states, logged._replace(metrics=by_run)


def _rows(layout: Layout, index: int) -> np.ndarray:
    """Which runs a block holds; the last run again where there are no more."""
    rows = index * layout.width + np.arange(layout.width)
    return np.minimum(rows, layout.runs - 1)


def _block_of(runs: Runs, layout: Layout, index: int) -> tuple[Any, np.ndarray]:
    rows = _rows(layout, index)
    return jax.tree.map(lambda leaf: leaf[rows], runs.hparams), runs.seeds[rows]


def _shapes(tree: Any, sharding: NamedSharding) -> Any:
    """What to compile for, instead of arrays that would take memory."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def _with_run_axis(runs: int, sharding: NamedSharding | None, leaf: Any) -> Any:
    """The shape of one leaf of so many runs."""
    return jax.ShapeDtypeStruct((runs, *leaf.shape), leaf.dtype, sharding=sharding)


def _shape(leaf: Any) -> tuple[tuple[int, ...], Any]:
    return np.shape(leaf), jax.numpy.result_type(leaf)


def _bytes(shapes: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def _measure_memory(
    programs: Sequence[Any], blocks: int, carried: int, shared: int
) -> dict[str, int]:
    """The bytes of `Cost`.

    Args:
      programs: compiled.
      blocks: that take turns; while one is worked on, the states of the others wait.
      carried: bytes of one block on one device.
      shared: bytes of the data.
    """
    temp, working = 0, 0
    for program in programs:
        if analysis := program.memory_analysis():  # some backends give none
            new = max(0, analysis.output_size_in_bytes - analysis.alias_size_in_bytes)
            temp = max(temp, analysis.temp_size_in_bytes)
            working = max(working, analysis.temp_size_in_bytes + new)
    return {
        "argument_bytes": shared + carried,
        "temp_bytes": temp,
        "shared_bytes": shared,
        "peak_bytes": shared + blocks * carried + working,
    }


class _CacheHits:
    """Counts, while open, the programs that the compilation cache gave."""

    def __enter__(self):
        self.hits = 0
        jax.monitoring.register_event_listener(self._listen)
        return self

    def __exit__(self, *_):
        jax.monitoring.unregister_event_listener(self._listen)

    def _listen(self, event: str, **_):
        self.hits += event == "/jax/compilation_cache/cache_hits"
