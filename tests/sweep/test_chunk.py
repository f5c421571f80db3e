"""The core, on the toy whose numbers are known."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.sweep.axes import make_runs
from research.sweep.chunk import NEVER, evaluate_runs, init_runs, train_chunk
from tests import toy


def start(axes, seeds):
    runs = make_runs(toy.ToyHParams(), axes, seeds)
    hparams = jax.tree.map(jnp.asarray, runs.hparams)
    problem = toy.problem()
    states, keys = init_runs(problem.task, problem.shared, hparams, jnp.asarray(runs.seeds))
    return problem, hparams, states, keys


def train(logs, log_every, axes, seeds=(0,), at=0):
    problem, hparams, states, keys = start(axes, seeds)
    t = jnp.int32(at)
    return train_chunk(problem.task, logs, log_every, problem.shared, hparams, states, keys.step, t)


def test_logged_metrics_are_means_over_their_steps():
    states, logged = train(2, 3, {"rate": [1.0, 10.0]})
    loss = logged.metrics["loss"]
    np.testing.assert_allclose(loss.total / loss.weight, [[2, 20], [5, 50]])
    np.testing.assert_allclose(states.params["w"], [6, 60])


def test_a_metric_that_is_not_defined_at_every_step_counts_only_where_it_is():
    _, logged = train(2, 3, {}, at=1)
    event = logged.metrics["event"]  # steps 1 2 3, then 4 5 6
    np.testing.assert_array_equal(event.weight, [[1], [2]])
    np.testing.assert_array_equal(event.total, [[2], [10]])
    _, logged = train(2, 1, {}, at=0)
    np.testing.assert_array_equal(logged.metrics["event"].weight, [[1], [0]])


def test_the_first_step_that_is_not_finite_is_named_and_neighbours_are_untouched():
    states, logged = train(2, 5, {"fail_at": [-1, 3, 7]})
    np.testing.assert_array_equal(logged.diverged, [NEVER, 3, 7])
    np.testing.assert_array_equal(states.params["w"], [10, 10, 10])
    assert np.isfinite(logged.metrics["loss"].total[:, 0]).all()


def test_params_that_are_not_finite_count_though_the_loss_is():
    problem, hparams, states, keys = start({"rate": [1.0, 2.0]}, (0,))

    def step(shared, hparams, state, key, t):
        state, metrics = toy.step(shared, hparams, state, key, t)
        broken = jnp.where((hparams.rate == 2) & (t == 4), jnp.inf, state.params["w"])
        return state._replace(params={"w": broken}), {"event": metrics["event"]}

    task = problem.task._replace(step=step)
    t = jnp.int32(0)
    _, logged = train_chunk(task, 2, 5, problem.shared, hparams, states, keys.step, t)
    np.testing.assert_array_equal(logged.diverged, [NEVER, 4])


def test_a_run_is_given_the_key_of_its_seed_and_step_alone():
    states, _ = train(1, 4, {"rate": [1.0, 2.0]}, seeds=(3, 9))
    _, step_key, _ = jax.random.split(jax.random.key(9), 3)
    expected = jax.random.uniform(jax.random.fold_in(step_key, 3))
    np.testing.assert_array_equal(states.draw[1], expected)
    np.testing.assert_array_equal(states.draw[1], states.draw[3])  # same seed, other setting
    assert states.draw[0] != states.draw[1]


def test_evaluation_has_keys_of_its_own_that_follow_the_step():
    problem, hparams, states, keys = start({}, (0, 1))

    def noise(t):
        t = jnp.int32(t)
        return evaluate_runs(problem.task, problem.shared, hparams, states, keys.evaluate, t)

    first, later = noise(0)["noise"].total, noise(1)["noise"].total
    stepped, _ = train(1, 1, {}, (0, 1))  # its draw is from the key of step 0
    drawn = (first, later, states.draw, stepped.draw)
    assert len(np.unique(np.concatenate(drawn))) == 8
    chex.assert_trees_all_equal(first, noise(0)["noise"].total)


def test_a_metric_that_is_no_scalar_is_named():
    problem, hparams, states, keys = start({}, (0,))

    def step(*args):
        state, _ = toy.step(*args)
        return state, {"histogram": jnp.zeros(3)}

    task = problem.task._replace(step=step)
    with pytest.raises(AssertionError, match="histogram"):
        train_chunk(task, 1, 1, problem.shared, hparams, states, keys.step, jnp.int32(0))
