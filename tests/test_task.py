"""What the contract promises to workloads."""

import jax.numpy as jnp
import pytest

from research.task import Mean, Task, field
from tests import toy


def test_a_scalar_is_one_observation_and_a_mean_is_itself():
    assert Mean.of(jnp.float32(3)) == Mean(3, 1)
    mean = Mean.of(Mean(jnp.float32(6), jnp.int32(2)))
    assert (float(mean.total), float(mean.weight)) == (6, 2)
    assert mean.weight.dtype == jnp.float32


def test_a_task_is_hashable_and_equal_to_itself():
    assert hash(toy.TASK) == hash(Task(*toy.TASK))
    assert Task(*toy.TASK) == toy.TASK


def test_a_field_carries_its_range_and_help():
    made = field(0.5, "a share", low=0, high=1)
    assert made.default == 0.5
    assert dict(made.metadata) == {"help": "a share", "low": 0, "high": 1, "log": False}


@pytest.mark.parametrize("metric", [True, 3, 2.5])
def test_counts_and_truth_values_are_metrics_too(metric):
    assert float(Mean.of(jnp.asarray(metric)).total) == metric
