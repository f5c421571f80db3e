"""Compiles the programs that train and evaluate a group of runs."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Format
from jax.experimental.layout import Layout as DeviceLayout
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from research.engine import best as best_params
from research.engine.axes import Runs
from research.engine.blocks import block_of
from research.engine.cadence import Chunk
from research.engine.chunk import begin_with, evaluate_runs, init_runs, make_keys, train_chunk
from research.engine.compiling import CacheHits, compile_sharded, shapes_of
from research.engine.exchange import exchange_calls, lanes_moved, take_lanes
from research.engine.layout import Layout, cache_lanes, plan_layout
from research.engine.memory import Cost, byte_count, measure_memory
from research.engine.one_run import trace_one_run, with_run_axis
from research.task import Mean, Problem, Task

FREE_LAYOUTS = ("tpu",)  # platforms whose compiler chooses how states lie in memory
_SPECS = (P(), *[P("run")] * 4, P())  # of shared, hparams, states, diverged, keys and the step


@dataclasses.dataclass(frozen=True)
class Program:
    """The compiled programs of one group of runs.

    Attributes:
      make_keys: `seeds -> keys`.
      init: `(shared, hparams, seeds) -> states`; None if all runs are resumed.
      train: (logs, log_every) -> `(shared, hparams, states, diverged, keys, start) -> (states,
        Logged)`; the states given are consumed.
      evaluate: `(shared, hparams, states, diverged, keys, t) -> Logged`; None if no chunk ends with
        an evaluation.
      begin_with: `(states, params) -> states`; None if runs begin with the params of `init`. The
        states given are consumed.
      start_best, keep_best: as in `research.engine.best`, without the task: `(states, diverged) ->
        Best` and `(best, params, key metric, diverged, t) -> Best`; None if only the last params
        are kept.
      take, put: as in `research.engine.exchange`: `((states, diverged), lanes) -> moved` and
        `((states, diverged), moved, lanes) -> (states, diverged)`, the former consumed; None if
        runs keep to themselves.
      take_out: `((states, best), lanes) -> those of the lanes`, on every device; None if no run
        stops on the way.
      shared: on every device.
      sharding: of what has a run axis.
      state_places: how the states lie: sharded likewise, and on a TPU in layouts of their own.
      replicated: the sharding of what has none.
    """

    task: Task
    shared: Any
    layout: Layout
    sharding: NamedSharding
    state_places: Any
    replicated: NamedSharding
    make_keys: Callable[..., Any]
    init: Callable[..., Any] | None
    train: dict[tuple[int, int], Callable[..., Any]]
    evaluate: Callable[..., Any] | None
    begin_with: Callable[..., Any] | None
    start_best: Callable[..., Any] | None
    keep_best: Callable[..., Any] | None
    take: Callable[..., Any] | None
    put: Callable[..., Any] | None
    take_out: Callable[..., Any] | None
    cost: Cost

    @property
    def devices(self) -> list[Any]:
        """The devices that the runs are sharded over, in order."""
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
    keep_best: bool = False,
    given_params: bool = False,
    exchanges: bool = False,
    stops: bool = False,
) -> Program:
    """Compiles, ahead of time, all programs that `runs` need to go through `chunks`.

    Args:
      problem: task and data.
      runs: to train.
      chunks: that they go through.
      devices: to shard the runs over; all local ones if not given.
      most_lanes: runs that advance in lockstep on one device at most. If not given: all of them
        on an accelerator, as many as fit its cache on a CPU core.
      width: for how many runs to make the programs, if more than there are.
      resumed: whether the runs have states to start from, so that `init` is not needed.
      keep_best: whether the params of the best evaluation of each run are kept, too.
      given_params: whether runs begin with params that are given.
      exchanges: whether runs may take over the states of others.
      stops: whether runs may stop on the way.

    Raises:
      UserError: as `metric_names`.
    """
    devices = jax.local_devices() if devices is None else devices
    options = most_lanes, width, resumed, keep_best, given_params, exchanges, stops
    calls = compile_calls(problem, runs, chunks, devices, *options)
    sharding, replicated = NamedSharding(calls.mesh, P("run")), NamedSharding(calls.mesh, P())
    return Program(
        task=problem.task,
        shared=jax.device_put(problem.shared, replicated),
        layout=calls.layout,
        sharding=sharding,
        state_places=sharding if calls.state_formats is None else calls.state_formats,
        replicated=replicated,
        **calls.by_name,
        cost=calls.cost,
    )


class Calls(NamedTuple):
    """The compiled programs of a group, by their names in `Program`; nothing is on a device yet.
    `state_formats` are the layouts of the states in memory; None: as JAX lays out any array."""

    mesh: Mesh
    layout: Layout
    by_name: dict[str, Any]
    state_formats: Any
    cost: Cost


def compile_calls(
    problem: Problem,
    runs: Runs,
    chunks: Sequence[Chunk],
    devices: Sequence[Any],
    most_lanes: int | None = None,
    width: int | None = None,
    resumed: bool = False,
    keep_best: bool = False,
    given_params: bool = False,
    exchanges: bool = False,
    stops: bool = False,
) -> Calls:
    """Returns what `compile_program` compiles; the devices need not exist.

    Raises:
      UserError: as `metric_names`.
    """
    began = time.perf_counter()
    one = trace_one_run(problem, runs)
    if most_lanes is None and devices[0].platform == "cpu":
        most_lanes = cache_lanes(byte_count(one.state.params))
    layout = plan_layout(len(runs), len(devices), most_lanes, width)
    mesh = Mesh(np.asarray(devices[: layout.devices]), ("run",))
    shapes = program_shapes(problem, runs, layout, mesh)
    with CacheHits() as cache:
        keys, formats, compiled = _compile(problem.task, mesh, shapes, chunks, resumed)
        best = _compile_best(problem.task, mesh, shapes, formats, compiled) if keep_best else None
        if given_params and not resumed:
            compiled["begin_with"] = _compile_begin(problem.task, mesh, shapes.states, formats)
        if exchanges:
            compiled |= _compile_exchange(mesh, shapes, formats, layout.width)
        if stops:
            compiled["take_out"] = _compile_take_out(mesh, shapes, formats, layout.width, best)
    per_run = shapes.hparams, keys, shapes.states, shapes.diverged, best
    evaluate = [compiled["evaluate"]] if compiled["evaluate"] else []
    memory = measure_memory(
        [*evaluate, *compiled["train"].values()],
        layout.blocks,
        byte_count(per_run) // layout.devices,
        byte_count(shapes.shared),
    )
    cost = Cost(
        compile_seconds=time.perf_counter() - began,
        cache_hits=cache.hits,
        flops_per_step=one.flops_per_step,
        **memory,
    )
    return Calls(mesh, layout, compiled, formats, cost)


class ProgramShapes(NamedTuple):
    """Shapes, types and shardings of what the programs of a group take."""

    shared: Any
    hparams: Any
    seeds: Any
    states: Any
    diverged: Any
    t: Any


def program_shapes(problem: Problem, runs: Runs, layout: Layout, mesh: Mesh) -> ProgramShapes:
    """Returns what programs are compiled for; the devices of the mesh need not exist.

    Raises:
      UserError: as `metric_names`.
    """
    one = trace_one_run(problem, runs)
    sharding, replicated = NamedSharding(mesh, P("run")), NamedSharding(mesh, P())
    hparams, seeds = shapes_of(block_of(runs, layout, 0), sharding)
    return ProgramShapes(
        shared=jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                np.shape(leaf), jnp.result_type(leaf), sharding=replicated
            ),
            problem.shared,
        ),
        hparams=hparams,
        seeds=seeds,
        states=jax.tree.map(lambda leaf: with_run_axis(leaf, layout.width, sharding), one.state),
        diverged=jax.ShapeDtypeStruct(seeds.shape, np.int32, sharding=sharding),
        t=jax.ShapeDtypeStruct((), np.int32, sharding=replicated),
    )


def compile_keys(mesh: Mesh, seeds: Any) -> tuple[Callable[..., Any], Any]:
    """Returns the program that makes the keys of runs, and their shapes."""
    return compile_sharded(mesh, (make_keys,), [P("run")], (seeds,))


def compile_training(
    task: Task,
    mesh: Mesh,
    shapes: ProgramShapes,
    keys: Any,
    logs: int,
    log_every: int,
    state_formats: Any = None,
) -> Callable[..., Any]:
    """Returns the program that trains for `logs` times `log_every` steps.

    Args:
      task: of the runs.
      mesh: the devices to shard them over.
      shapes, keys: what the program takes.
      logs, log_every: how often it logs, and the steps in between.
      state_formats: layouts of the states, which may be `AUTO`; None: as JAX lays out any array.
    """
    shared, hparams, _, states, diverged, t = shapes
    args = shared, hparams, states, diverged, keys.step, t
    call = _train_by_run, task, logs, log_every, mesh.devices.flat[0].platform
    places = state_formats and (_places(args, state_formats), (state_formats, None))
    return compile_sharded(mesh, call, _SPECS, args, donate=(2,), places=places)[0]


def _compile(
    task: Task, mesh: Mesh, shapes: ProgramShapes, chunks: Sequence[Chunk], resumed: bool
) -> tuple[Any, Any, dict[str, Any]]:
    """The shapes of all keys, the layouts of states, and the programs by their names in
    `Program`."""
    shared, hparams, seeds, states, diverged, t = shapes
    new_keys, keys = compile_keys(mesh, seeds)
    formats, init, train, evaluate = _free_formats(mesh, states), None, {}, None
    by_length = {(chunk.logs, chunk.log_every) for chunk in chunks}
    for shape in sorted(by_length, key=lambda shape: (-shape[0] * shape[1], shape)):
        train[shape] = compile_training(task, mesh, shapes, keys, *shape, formats)
        if formats is not None:  # what the longest chunk chose, all others take
            formats = cast("Any", train[shape]).input_formats[0][2]
    if not resumed:
        args = (shared, hparams, seeds)
        places = formats and (jax.tree.map(lambda leaf: leaf.sharding, args), formats)
        specs = [P(), P("run"), P("run")]
        init, _ = compile_sharded(mesh, (init_runs, task), specs, args, places=places)
    if any(chunk.evaluate for chunk in chunks):
        args = (shared, hparams, states, diverged, keys.evaluate, t)
        places = formats and (_places(args, formats), None)
        call = evaluate_runs, task
        evaluate, _ = compile_sharded(mesh, call, _SPECS, args, places=places)
    programs = {"make_keys": new_keys, "init": init, "train": train, "evaluate": evaluate}
    others = ("begin_with", "start_best", "keep_best", "take", "put", "take_out")
    return keys, formats, dict.fromkeys(others) | programs


def _compile_begin(task: Task, mesh: Mesh, states: Any, formats: Any) -> Callable[..., Any]:
    """The program that gives states before their first step other params."""
    places = formats and (
        (formats, jax.tree.map(lambda leaf: leaf.sharding, states.params)),
        formats,
    )
    call, specs = (begin_with, task), [P("run"), P("run")]
    args = (states, states.params)
    return compile_sharded(mesh, call, specs, args, donate=(0,), places=places)[0]


def _compile_exchange(
    mesh: Mesh, shapes: ProgramShapes, formats: Any, width: int
) -> dict[str, Any]:
    """The programs that move states between runs."""

    def compile_whole(function, args, places, donate=()):
        return compile_sharded(mesh, (function,), (), args, donate, places, whole=True)

    lanes = jax.ShapeDtypeStruct(
        (lanes_moved(width, mesh.devices.flat[0]),), jnp.int32, sharding=shapes.t.sharding
    )
    places = formats or jax.tree.map(lambda leaf: leaf.sharding, shapes.states)
    return exchange_calls(compile_whole, shapes.states, shapes.diverged, places, lanes)


def _compile_take_out(
    mesh: Mesh, shapes: ProgramShapes, formats: Any, width: int, best: Any
) -> Callable[..., Any]:
    """The program that takes some runs out of a block, with their best evaluations if these are
    kept."""
    everywhere = shapes.t.sharding
    lanes = jax.ShapeDtypeStruct(
        (lanes_moved(width, mesh.devices.flat[0]),), jnp.int32, sharding=everywhere
    )
    tree = shapes.states, best
    places = _shardings(tree) if formats is None else (formats, _shardings(best))
    given = ((places, everywhere), jax.tree.map(lambda leaf: everywhere, tree))
    return compile_sharded(mesh, (take_lanes,), (), (tree, lanes), places=given, whole=True)[0]


def _shardings(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.sharding, tree)


def _compile_best(
    task: Task, mesh: Mesh, shapes: ProgramShapes, formats: Any, programs: dict[str, Any]
) -> Any:
    """Adds the programs that keep the params of the best evaluation of each run, and returns the
    shapes of what they keep."""
    _, _, _, states, diverged, t = shapes
    mean = jax.ShapeDtypeStruct(diverged.shape, jnp.float32, sharding=diverged.sharding)
    args = (states, diverged)
    places = formats and ((formats, diverged.sharding), None)
    specs = [P("run"), P("run")]
    start, best = compile_sharded(mesh, (best_params.start_best,), specs, args, places=places)
    args = (best, states.params, Mean(mean, mean), diverged, t)
    places = formats and (_places(args, formats.params, 1), None)
    specs, call = [*[P("run")] * 4, P()], (best_params.keep_best, task)
    keep, _ = compile_sharded(mesh, call, specs, args, donate=(0,), places=places)
    programs |= {"start_best": start, "keep_best": keep}
    return best


def _free_formats(mesh: Mesh, states: Any) -> Any:
    """Formats that leave the layout of states to the compiler; None where it is left to JAX.

    A TPU tiles the last two axes of an array, and the loop over steps often wants other ones last
    than the axis of runs comes in. Were the layout fixed from outside, each chunk would begin and
    end with a copy of all states, for which there must be room: twice the memory of a DQN.
    """
    if mesh.devices.flat[0].platform not in FREE_LAYOUTS:
        return None
    return jax.tree.map(lambda leaf: Format(DeviceLayout.AUTO, leaf.sharding), states)


def _places(args: tuple[Any, ...], state_formats: Any, index: int = 2) -> tuple[Any, ...]:
    """How the arguments of a program lie: that of the index, of states, in its own layouts."""
    places = [jax.tree.map(lambda leaf: leaf.sharding, arg) for arg in args]
    places[index] = state_formats
    return tuple(places)


def _train_by_run(task, logs, log_every, platform, *args):
    """`train_chunk` with the run axis first in everything it returns, as `shard_map` cuts it."""
    states, logged = train_chunk(task, logs, log_every, *args, platform=platform)
    by_run = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), logged.metrics)
    return states, logged._replace(metrics=by_run)
