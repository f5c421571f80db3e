"""The core: `vmap` over runs inside `scan` over steps. Pure functions, compiled by `program.py`.

R below is the number of runs that one device advances in lockstep.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax, vmap

from research.task import HParams, Mean, Shared, State, Task

NEVER = jnp.iinfo(jnp.int32).max  # the step at which a finite run diverged


class RunKeys(NamedTuple):
    """Typed keys [R], one stream a purpose, from the seed alone."""

    step: jax.Array
    evaluate: jax.Array


class Logged(NamedTuple):
    """What a chunk tells the host.

    Attributes:
      metrics: name -> `Mean` with float32 fields [logs, R].
      diverged: int32 [R], the first step in the chunk at which a metric or a parameter was not
        finite; `NEVER` if none was.
    """

    metrics: dict[str, Mean]
    diverged: jax.Array


def init_runs(
    task: Task, shared: Shared, hparams: HParams, seeds: jax.Array
) -> tuple[State, RunKeys]:
    """States and keys of R runs from uint32 seeds [R]."""

    def init_run(hparams, seed):
        init_key, step_key, evaluate_key = jax.random.split(jax.random.key(seed), 3)
        return task.init(shared, hparams, init_key), RunKeys(step_key, evaluate_key)

    return vmap(init_run)(hparams, seeds)


def train_chunk(
    task: Task,
    logs: int,
    log_every: int,
    shared: Shared,
    hparams: HParams,
    states: State,
    keys: jax.Array,
    start: jax.Array,
) -> tuple[State, Logged]:
    """`logs` x `log_every` steps of R runs, from step `start` (an int32 scalar)."""
    run_step = vmap(task.step, in_axes=(None, 0, 0, 0, None))

    def one_step(carry, t):
        states, sums, diverged = carry
        step_keys = vmap(jax.random.fold_in, in_axes=(0, None))(keys, t)
        states, metrics = run_step(shared, hparams, states, step_keys, t)
        new = _as_means(metrics, len(keys))
        sums = jax.tree.map(jnp.add, sums, new)
        diverged = jnp.minimum(diverged, jnp.where(_all_finite(new), NEVER, t))
        return (states, sums, diverged), None

    def one_log(carry, first):
        states, diverged = carry
        ts = first + jnp.arange(log_every, dtype=jnp.int32)
        (states, sums, diverged), _ = lax.scan(one_step, (states, no_sums, diverged), ts)
        params_ok = _all_finite(states.params)
        diverged = jnp.minimum(diverged, jnp.where(params_ok, NEVER, ts[-1]))
        return (states, diverged), sums

    _, metrics = jax.eval_shape(run_step, shared, hparams, states, keys, start)
    no_sums = {name: Mean(jnp.zeros(keys.shape), jnp.zeros(keys.shape)) for name in metrics}
    firsts = start + log_every * jnp.arange(logs, dtype=jnp.int32)
    never = jnp.full(keys.shape, NEVER, jnp.int32)
    (states, diverged), sums = lax.scan(one_log, (states, never), firsts)
    return states, Logged(sums, diverged)


def evaluate_runs(
    task: Task, shared: Shared, hparams: HParams, states: State, keys: jax.Array, t: jax.Array
) -> dict[str, Mean]:
    """The metrics of R runs after `t` steps: name -> `Mean` with float32 fields [R]."""
    keys = vmap(jax.random.fold_in, in_axes=(0, None))(keys, t)
    metrics = vmap(task.evaluate, in_axes=(None, 0, 0, 0))(shared, hparams, states, keys)
    return _as_means(metrics, len(keys))


def _as_means(metrics: Any, runs: int) -> dict[str, Mean]:
    means = {name: Mean.of(metric) for name, metric in metrics.items()}
    for name, mean in means.items():
        chex.assert_shape(
            mean.total, (runs,), custom_message=f"metric {name!r} is no scalar in each run"
        )
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (runs,)), means)


def _all_finite(tree: Any) -> jax.Array:
    """bool [R]: whether every inexact number of a run is finite; leaves are [R, ...]."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    finite = [jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim))) for leaf in leaves]
    return jnp.stack(finite).all(axis=0)
