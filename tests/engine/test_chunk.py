"""Tests of training a chunk, on the toy task whose numbers are known."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.engine import chunk
from research.engine.axes import make_runs
from research.engine.chunk import (
    NEVER,
    evaluate_runs,
    init_runs,
    make_keys,
    start_status,
    train_chunk,
)
from research.task import Mean
from tests import toy

NAN = float("nan")


@partial(jax.jit, static_argnums=0)
def start(task, shared, hparams, seeds):
    return init_runs(task, shared, hparams, seeds), make_keys(seeds)


@partial(jax.jit, static_argnums=(0, 1, 2))
def compiled_chunk(task, logs, log_every, shared, hparams, seeds, status, at):
    states, keys = start(task, shared, hparams, seeds)
    return train_chunk(task, logs, log_every, shared, hparams, states, status, keys.step, at)


@partial(jax.jit, static_argnums=0)
def compiled_evaluation(task, shared, hparams, seeds, status, t):
    states, keys = start(task, shared, hparams, seeds)
    return evaluate_runs(task, shared, hparams, states, status, keys.evaluate, t)


def train(logs, log_every, axes, seeds=(0,), at=0, step=toy.step, status=None, **shared):
    runs = make_runs(toy.ToyHParams(), axes, seeds)
    task, shared = toy.TASK._replace(step=step), {"start": np.float32(0), **shared}
    status = start_status(len(runs)) if status is None else np.int32(status)
    args = shared, runs.hparams, runs.seeds, status, np.int32(at)
    return jax.device_get(compiled_chunk(task, logs, log_every, *args))


def evaluate(axes, status, t=6, evaluate=toy.evaluate, seeds=(0,), **shared):
    runs = make_runs(toy.ToyHParams(), axes, seeds)
    task, shared = toy.TASK._replace(evaluate=evaluate), {"start": np.float32(0), **shared}
    args = shared, runs.hparams, runs.seeds, np.int32(status), np.int32(t)
    return jax.device_get(compiled_evaluation(task, *args))


def reports(shared, hparams, state, key, t):
    """A step that reports one `Mean`. Its fields are those of `shared` at step 3 of runs that fail
    there, or at all steps for "every"."""
    state, _ = toy.step(shared, hparams, state, key, t)
    bad = (t == hparams.fail_at) | shared["every"]
    total, weight = (jnp.where(bad, shared[name], 1.0) for name in ("total", "weight"))
    return state, {"return": Mean(total, weight)}


def evaluates(shared, *_):
    return {"score": Mean(shared["total"], shared["weight"])}


def test_logged_metrics_are_means_over_their_steps():
    states, logged = train(2, 3, {"rate": [1.0, 10.0]})
    loss = logged.metrics["loss"]
    np.testing.assert_allclose(loss.total / loss.weight, [[2, 20], [5, 50]])
    np.testing.assert_allclose(states.params["w"], [6, 60])


def test_a_logged_mean_covers_only_the_steps_where_the_metric_is_defined():
    _, logged = train(2, 3, {"rate": [1.0, 10.0]}, at=1)
    event = logged.metrics["event"]  # steps 1 2 3, then 4 5 6
    np.testing.assert_array_equal(event.weight, [[1, 1], [2, 2]])
    np.testing.assert_array_equal(event.total, [[2, 2], [10, 10]])
    _, logged = train(2, 1, {}, at=0)
    np.testing.assert_array_equal(logged.metrics["event"].weight, [[1], [0]])


def test_the_first_step_that_is_not_finite_is_named_and_neighbours_are_untouched():
    states, logged = train(2, 5, {"fail_at": [-1, 3, 7]})
    np.testing.assert_array_equal(logged.diverged, [NEVER, 3, 7])
    np.testing.assert_array_equal(states.params["w"], [10, 10, 10])
    assert np.isfinite(logged.metrics["loss"].total[:, 0]).all()


def test_non_finite_params_count_as_divergence_with_a_finite_loss():
    def step(shared, hparams, state, key, t):
        state, metrics = toy.step(shared, hparams, state, key, t)
        broken = jnp.where((hparams.rate == 2) & (t == 4), jnp.inf, state.params["w"])
        return state._replace(params={"w": broken}), {"event": metrics["event"]}

    _, logged = train(2, 5, {"rate": [1.0, 2.0]}, step=step)
    np.testing.assert_array_equal(logged.diverged, [NEVER, 4])


@pytest.mark.parametrize("runs", [[3], [-1, 3]])
@pytest.mark.parametrize(
    ("total", "weight", "diverges"),
    [
        (NAN, 0.0, False),  # undefined
        (np.inf, 0.0, False),
        (NAN, 1.0, True),
        (np.inf, 1.0, True),
        (1.0, NAN, True),
    ],
)
def test_a_metric_of_weight_0_is_undefined_and_no_divergence_whatever_its_total(
    runs, total, weight, diverges
):
    mean = {"total": np.float32(total), "weight": np.float32(weight)}
    _, logged = train(1, 6, {"fail_at": runs}, step=reports, every=np.False_, **mean)
    assert logged.diverged[-1] == (3 if diverges else NEVER)
    if not diverges:
        np.testing.assert_array_equal(logged.metrics["return"].total[0], [6.0, 5.0][-len(runs) :])
        np.testing.assert_array_equal(logged.metrics["return"].weight[0], [6.0, 5.0][-len(runs) :])

    evaluated = evaluate({}, [NEVER], evaluate=evaluates, **mean)
    assert evaluated.diverged[0] == (5 if diverges else NEVER)
    assert diverges or evaluated.metrics["score"].total[0] == 0


@pytest.mark.parametrize(("value", "weight"), [(3e38, 1.0), (1.0, 2e-38)])
def test_a_logged_mean_that_overflows_is_a_divergence(value, weight):
    """Each step is finite, but their sum is not, or its quotient by a small weight is not."""

    mean = {"total": np.float32(value * (1 if weight == 1 else 100)), "weight": np.float32(weight)}
    _, logged = train(1, 4, {}, step=reports, every=np.True_, **mean)
    assert logged.diverged[0] == (1 if weight == 1 else 3)


def test_an_earlier_divergence_is_kept():
    _, logged = train(2, 5, {"fail_at": [-1, 3, 13]}, at=10, status=[2, NEVER, NEVER])
    np.testing.assert_array_equal(logged.diverged, [2, NEVER, 13])
    evaluated = evaluate({"rate": [1.0, 2.0]}, [2, NEVER])
    np.testing.assert_array_equal(evaluated.diverged, [2, NEVER])


def test_a_non_finite_evaluation_counts_as_divergence_at_the_last_step():
    def bad(shared, hparams, state, key):
        return {"score": jnp.where(hparams.rate > 1, jnp.inf, state.params["w"])}

    evaluated = evaluate({"rate": [1.0, 2.0, 3.0]}, [NEVER, NEVER, 1], evaluate=bad)
    np.testing.assert_array_equal(evaluated.diverged, [NEVER, 5, 1])


@pytest.mark.parametrize("ahead", [4, 3])  # keys made before the loop, and in it
def test_the_key_of_a_step_depends_on_seed_and_step_alone(ahead, monkeypatch):
    monkeypatch.setattr(chunk, "KEYS_AHEAD", ahead)
    compiled_chunk.clear_cache()
    states, _ = train(1, 4, {"rate": [1.0, 2.0]}, seeds=(3, 9))

    @jax.jit
    def expected():
        _, step_key, _ = jax.random.split(jax.random.key(9), 3)
        return jax.random.uniform(jax.random.fold_in(step_key, 3))

    np.testing.assert_array_equal(states.draw[1], expected())
    np.testing.assert_array_equal(states.draw[1], states.draw[3])  # same seed, other setting
    assert states.draw[0] != states.draw[1]


def test_evaluation_has_keys_of_its_own_that_follow_the_step():
    runs = make_runs(toy.ToyHParams(), {}, (0, 1))
    states, _ = start(toy.TASK, {"start": np.float32(0)}, runs.hparams, runs.seeds)

    def noise(t):
        return evaluate({}, [NEVER, NEVER], t, seeds=(0, 1)).metrics

    first, later = noise(0)["noise"].total, noise(1)["noise"].total
    stepped, _ = train(1, 1, {}, (0, 1))  # its draw is from the key of step 0
    drawn = (first, later, np.asarray(states.draw), stepped.draw)
    assert len(np.unique(np.concatenate(drawn))) == 8
    chex.assert_trees_all_equal(first, noise(0)["noise"].total)


def test_a_metric_that_is_not_scalar_is_named():
    def step(*args):
        state, _ = toy.step(*args)
        return state, {"histogram": jnp.zeros(3)}

    with pytest.raises(AssertionError, match="histogram"):
        train(1, 1, {}, step=step)
