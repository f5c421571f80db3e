"""The core: `vmap` over runs inside `scan` over steps. Pure functions, compiled by `program.py`.

R below is the number of runs that one device advances in lockstep.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import lax, vmap

from research.task import HParams, Mean, Shared, State, Task, make_key

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
        init_key, step_key, evaluate_key = jax.random.split(make_key(seed), 3)
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
    if len(keys) == 1:  # an axis of size 1 would cost copies
        hparams, states, keys = _first((hparams, states, keys))
        states, logged = _train(task.step, logs, log_every, shared, hparams, states, keys, start)
        return _only(states), jax.tree.map(lambda leaf: leaf[..., None], logged)
    run_step = vmap(task.step, in_axes=(None, 0, 0, 0, None))
    return _train(run_step, logs, log_every, shared, hparams, states, keys, start)


def _train(run_step, logs, log_every, shared, hparams, states, keys, start):
    """`train_chunk`, without axes [R] where `run_step` has none."""
    over_runs = vmap if keys.ndim else lambda function, in_axes: function
    fold_in = over_runs(jax.random.fold_in, in_axes=(0, None))

    def one_step(carry, t):
        states, sums, diverged = carry
        states, metrics = run_step(shared, hparams, states, fold_in(keys, t), t)
        new = _as_means(metrics, keys.shape)
        sums = jax.tree.map(jnp.add, sums, new)
        diverged = jnp.minimum(diverged, jnp.where(_all_finite(new, keys.ndim), NEVER, t))
        return (states, sums, diverged), None

    def one_log(carry, first):
        states, diverged = carry
        ts = first + jnp.arange(log_every, dtype=jnp.int32)
        (states, sums, diverged), _ = lax.scan(one_step, (states, no_sums, diverged), ts)
        params_ok = _all_finite(states.params, keys.ndim)
        diverged = jnp.minimum(diverged, jnp.where(params_ok, NEVER, ts[-1]))
        return (states, diverged), sums

    _, metrics = jax.eval_shape(run_step, shared, hparams, states, keys, start)
    zero = jnp.zeros(keys.shape, jnp.float32)
    no_sums = {name: Mean(zero, zero) for name in metrics}
    firsts = start + log_every * jnp.arange(logs, dtype=jnp.int32)
    never = jnp.full(keys.shape, NEVER, jnp.int32)
    (states, diverged), sums = lax.scan(one_log, (states, never), firsts)
    return states, Logged(sums, diverged)


def evaluate_runs(
    task: Task, shared: Shared, hparams: HParams, states: State, keys: jax.Array, t: jax.Array
) -> dict[str, Mean]:
    """The metrics of R runs after `t` steps: name -> `Mean` with float32 fields [R]."""
    keys = vmap(jax.random.fold_in, in_axes=(0, None))(keys, t)
    if len(keys) == 1:
        metrics = task.evaluate(shared, *_first((hparams, states, keys)))
        return _only(_as_means(metrics, ()))
    metrics = vmap(task.evaluate, in_axes=(None, 0, 0, 0))(shared, hparams, states, keys)
    return _as_means(metrics, keys.shape)


def _first(tree: Any) -> Any:
    """Of run 0, without the run axis."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _only(tree: Any) -> Any:
    """With a run axis, of one run."""
    return jax.tree.map(lambda leaf: leaf[None], tree)


def _as_means(metrics: Any, shape: tuple[int, ...]) -> dict[str, Mean]:
    means = {name: Mean.of(metric) for name, metric in metrics.items()}
    for name, mean in means.items():
        chex.assert_shape(
            mean.total, shape, custom_message=f"metric {name!r} is no scalar in each run"
        )
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape), means)


def _all_finite(tree: Any, first: int) -> jax.Array:
    """Whether every inexact number of a run is finite, whose axes begin with `first`."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    finite = [jnp.all(jnp.isfinite(leaf), axis=tuple(range(first, leaf.ndim))) for leaf in leaves]
    return jnp.stack(finite).all(axis=0)
