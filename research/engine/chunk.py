"""The core: `vmap` over runs inside `scan` over steps. Pure functions, compiled by `program.py`.

R below is the number of runs that one device advances in lockstep.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, vmap

from research.engine.few_kernels import ahead_on, in_few_kernels, steps_ahead
from research.task import HParams, Mean, Shared, State, Task, as_split, make_key

NEVER = jnp.iinfo(jnp.int32).max  # the status of a run that has not diverged
KEYS_AHEAD = 4_096  # steps whose keys are made at once, one kernel for all, 8 bytes each


class RunKeys(NamedTuple):
    """Typed keys [R], one stream per purpose, derived from the seed alone."""

    step: jax.Array
    evaluate: jax.Array


class Logged(NamedTuple):
    """What a chunk returns to the host.

    Attributes:
      metrics: name -> `Mean` with float32 fields [logs, R].
      diverged: int32 [R], the status of each run: the first step, counted from the beginning of
        its training, at which it was not finite; `NEVER` if it has always been. A run is finite
        while all defined metrics of its steps and evaluations, and all its params at the end of
        each log, are. It is the only place where that is decided.
    """

    metrics: dict[str, Mean]
    diverged: jax.Array


def make_keys(seeds: jax.Array) -> RunKeys:
    """Returns the keys of R runs from uint32 seeds [R]."""
    _, step_keys, evaluate_keys = _split_keys(seeds)
    return RunKeys(step_keys, evaluate_keys)


def init_runs(task: Task, shared: Shared, hparams: HParams, seeds: jax.Array) -> State:
    """Returns the states of R runs before their first step, from uint32 seeds [R]."""
    init_keys, _, _ = _split_keys(seeds)
    return vmap(task.init, in_axes=(None, 0, 0))(shared, hparams, init_keys)


def begin_with(task: Task, states: State, params: Any) -> State:
    """Returns the states of R runs before their first step with other params, [R, ...]."""
    return vmap(task.with_params)(states, params)


def start_status(runs: int) -> np.ndarray:
    """Returns the status, int32 [R], of runs before their first step: none has diverged."""
    return np.full(runs, NEVER, np.int32)


def train_chunk(
    task: Task,
    logs: int,
    log_every: int,
    shared: Shared,
    hparams: HParams,
    states: State,
    diverged: jax.Array,
    keys: jax.Array,
    start: jax.Array,
    platform: str = "cpu",
) -> tuple[State, Logged]:
    """Trains R runs for `logs` x `log_every` steps from step `start`, an int32 scalar, at which
    their status is `diverged`; by the loop that suits the platform."""
    single = len(keys) == 1
    split = as_split(task.step)
    run_draw = _traced_once(split.draw, (None, 0, 0, 0, None), batched=not single)
    run_step = _traced_once(split.step_drawn, (None, 0, 0, 0, None), batched=not single)
    if single:  # an axis of size 1 would cost copies
        hparams, states, diverged, keys = _first((hparams, states, diverged, keys))
    fixed = split.fixed_of(states)
    draw = lambda key, t: run_draw(shared, hparams, fixed, key, t)
    step = lambda states, drawn, t: run_step(shared, hparams, states, drawn, t)
    ahead = ahead_on(platform, task.step)
    states, logged = _train(draw, step, ahead, logs, log_every, states, diverged, keys, start)
    if single:
        return _only(states), jax.tree.map(lambda leaf: leaf[..., None], logged)
    return states, logged


@lru_cache(maxsize=64)
def _traced_once(
    function: Callable[..., Any], in_axes: tuple[int | None, ...], batched: bool
) -> Callable[..., Any]:
    """A function of one run, or of R runs, whose trace JAX keeps: the loop, the shapes of its
    metrics and all chunks of a task share it. Inlined, so that the program is the same as
    without."""
    return jax.jit(vmap(function, in_axes=in_axes) if batched else function, inline=True)


def forget_steps() -> None:
    """Frees the traces of the steps of all tasks."""
    _traced_once.cache_clear()


def _train(draw, step, ahead, logs, log_every, states, diverged, keys, start):
    """As `train_chunk`, without axes [R] where `draw` and `step` take one run."""
    over_runs = vmap if keys.ndim else lambda function, in_axes: function
    fold_in = vmap(over_runs(jax.random.fold_in, in_axes=(0, None)), in_axes=(None, 0))

    def one_step(carry, t, drawn):
        states, sums, diverged = carry
        states, metrics = step(states, drawn, t)
        sums = jax.tree.map(jnp.add, sums, _as_means(metrics, keys.shape))
        return states, sums, _first_step(diverged, _all_finite(sums, keys.ndim), t)

    def draw_and_step(carry, now):
        t, key = now
        key = fold_in(keys, t[None])[0] if key is None else key
        return one_step(carry, t, draw(key, t)), None

    def one_by_one(carry, ts):
        keys_ahead = fold_in(keys, ts) if log_every <= KEYS_AHEAD else None
        return lax.scan(draw_and_step, carry, (ts, keys_ahead))[0]

    def draw_all(ts):
        return vmap(draw)(fold_in(keys, ts), ts)

    def few_kernels(carry, ts):
        return in_few_kernels(one_step, draw_all, ahead.packed, keys.ndim, carry, ts, at_once)

    def one_log(carry, first):
        states, diverged = carry
        ts = first + jnp.arange(log_every, dtype=jnp.int32)
        carry = states, no_sums, diverged
        states, sums, diverged = (few_kernels if draws_ahead else one_by_one)(carry, ts)
        finite = _all_finite((states.params, _values(sums)), keys.ndim)
        return (states, _first_step(diverged, finite, ts[-1])), sums

    at_once = 0 if ahead is None else steps_ahead(draw_all, log_every)
    draws_ahead = ahead is not None and at_once >= min(ahead.least, log_every)
    _, metrics = jax.eval_shape(lambda: step(states, draw(keys, start), start))
    zero = jnp.zeros(keys.shape, jnp.float32)
    no_sums = {name: Mean(zero, zero) for name in metrics}
    firsts = start + log_every * jnp.arange(logs, dtype=jnp.int32)
    (states, diverged), sums = lax.scan(one_log, (states, diverged), firsts)
    return states, Logged(sums, diverged)


def evaluate_runs(
    task: Task,
    shared: Shared,
    hparams: HParams,
    states: State,
    diverged: jax.Array,
    keys: jax.Array,
    t: jax.Array,
) -> Logged:
    """Returns the metrics of R runs after `t` steps, name -> `Mean` with float32 fields [R], and
    their status. What an evaluation finds counts as found at the last step."""
    keys = vmap(jax.random.fold_in, in_axes=(0, None))(keys, t)
    if len(keys) == 1:
        metrics = task.evaluate(shared, *_first((hparams, states, keys)))
        means = _only(_as_means(metrics, ()))
    else:
        metrics = vmap(task.evaluate, in_axes=(None, 0, 0, 0))(shared, hparams, states, keys)
        means = _as_means(metrics, keys.shape)
    finite = _all_finite((means, _values(means)), keys.ndim)
    return Logged(means, _first_step(diverged, finite, t - 1))


def _split_keys(seeds: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Typed keys [R] for `init`, for steps and for evaluations."""
    keys_Rx3 = vmap(lambda seed: jax.random.split(make_key(seed), 3))(seeds)
    return keys_Rx3[:, 0], keys_Rx3[:, 1], keys_Rx3[:, 2]


def _first_step(diverged: jax.Array, finite: jax.Array, t: jax.Array) -> jax.Array:
    """Updates the status of runs of which some are not finite at step `t`."""
    return jnp.minimum(diverged, jnp.where(finite, NEVER, t))


def _first(tree: Any) -> Any:
    """The leaves of run 0, without the run axis."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _only(tree: Any) -> Any:
    """Adds a run axis of size 1."""
    return jax.tree.map(lambda leaf: leaf[None], tree)


def _as_means(metrics: Any, shape: tuple[int, ...]) -> dict[str, Mean]:
    """Metrics as the engine adds them up: an undefined one, whatever its total, adds nothing."""
    means = {name: Mean.of(metric) for name, metric in metrics.items()}
    means = {
        name: Mean(jnp.where(weight == 0, 0.0, total), weight)
        for name, (total, weight) in means.items()
    }
    for name, mean in means.items():
        chex.assert_shape(
            mean.total, shape, custom_message=f"metric {name!r} is no scalar in each run"
        )
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape), means)


def _values(means: dict[str, Mean]) -> Any:
    """What is recorded of metrics, 0 for undefined ones: the division may overflow, too."""
    return [total / jnp.where(weight == 0, 1.0, weight) for total, weight in means.values()]


def _all_finite(tree: Any, first: int) -> jax.Array:
    """Whether every inexact number of a run is finite, whose axes begin with `first`."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    finite = [jnp.all(jnp.isfinite(leaf), axis=tuple(range(first, leaf.ndim))) for leaf in leaves]
    return jnp.stack(finite).all(axis=0)
