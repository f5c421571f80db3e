"""Tests that the params of each run's best evaluation are kept, whatever the chunks and blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.engine.best import Best, keep_best, start_best
from research.engine.chunk import NEVER
from research.task import Mean
from tests import toy

RISING = toy.TASK._replace(higher_is_better=True)


def best_of(score, step=4):
    score = jnp.float32(score)
    return Best({"w": jnp.zeros((len(score), 2))}, score, jnp.full(len(score), step, jnp.int32))


def test_a_better_evaluation_replaces_what_is_kept_run_by_run():
    """Runs: better, equal, worse, undefined, diverged, first."""
    score, total = [1, 1, 1, 1, 1, -np.inf], jnp.float32([4, 2, 0, 8, 8, -2])
    weight = jnp.float32([2, 2, 2, 0, 2, 2])
    status = jnp.int32([NEVER] * 4 + [3, NEVER])
    params = {"w": jnp.arange(1, 13, dtype=jnp.float32).reshape(6, 2)}
    kept = keep_best(RISING, best_of(score), params, Mean(total, weight), status, jnp.int32(9))
    np.testing.assert_array_equal(kept.score, [2, 1, 1, 1, 1, -1])
    np.testing.assert_array_equal(kept.step, [9, 4, 4, 4, 4, 9])
    np.testing.assert_array_equal(kept.params["w"][:, 0], [1, 0, 0, 0, 0, 11])


@pytest.mark.parametrize(("task", "kept"), [(RISING, 1), (toy.TASK, 3)])
def test_lower_is_better_where_the_task_says_so(task, kept):
    best = start_best(toy.ToyState({"w": jnp.zeros(1)}, None), jnp.full(1, NEVER))
    for step, score in ((1, 5.0), (2, 4.0), (3, 3.0)):
        mean = Mean(jnp.float32([score]), jnp.float32([1]))
        params = {"w": jnp.float32([step])}
        best = keep_best(task, best, params, mean, jnp.full(1, NEVER), jnp.int32(step))
    assert (best.step[0], best.params["w"][0]) == (kept, kept)


def test_what_is_kept_does_not_share_memory_with_the_states():
    states = toy.ToyState({"w": jnp.ones(3)}, jnp.zeros(3))
    best = jax.jit(start_best)(states, jnp.zeros(3, jnp.int32))
    where = best.params["w"].unsafe_buffer_pointer()
    assert where != states.params["w"].unsafe_buffer_pointer()
