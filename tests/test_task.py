"""Tests of `research/task.py`: metrics, keys, fields, and hyper-parameters that are off."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from research.task import Mean, Task, always_zero, field, in_use, make_key
from tests import toy


def test_mean_of_wraps_scalars_and_keeps_means():
    assert Mean.of(jnp.float32(3)) == Mean(3, 1)
    mean = Mean.of(Mean(jnp.float32(6), jnp.int32(2)))
    assert (float(mean.total), float(mean.weight)) == (6, 2)
    assert mean.weight.dtype == jnp.float32


def test_keys_do_not_follow_jaxs_default_generator():
    plain = make_key(jnp.uint32(7))
    with jax.default_prng_impl("rbg"):
        other = make_key(jnp.uint32(7))
    assert plain.dtype == other.dtype
    assert (jax.random.key_data(plain) == jax.random.key_data(other)).all()


def test_a_task_is_hashable_and_equal_to_itself():
    assert hash(toy.TASK) == hash(Task(*toy.TASK))
    assert Task(*toy.TASK) == toy.TASK


def test_a_field_carries_its_range_and_help():
    made = field(0.5, "a share", low=0, high=1)
    assert made.default == 0.5
    assert made.metadata["help"] == "a share"
    assert (made.metadata["low"], made.metadata["high"], made.metadata["log"]) == (0, 1, False)


@dataclasses.dataclass(frozen=True)
class HParams:
    rate: float = field(0.0, "costs the same at 0")
    noise: float = field(0.0, "costs nothing at 0, if told so", zero_is_off=True)
    bound: float = field(1.0, "the same", zero_is_off=True)


@pytest.mark.parametrize(
    ("values", "off"),
    [
        ({}, ("noise",)),
        ({"noise": (0.0, 0.5)}, ()),
        ({"bound": (0.0,)}, ("noise", "bound")),
        ({"noise": 0.1, "bound": 0.0, "rate": 0.1}, ("bound",)),
    ],
)
def test_hyperparameters_that_are_0_in_every_run_are_off(values, off):
    assert always_zero(HParams(**values)) == off
    given = SimpleNamespace(**vars(HParams()) | values)
    assert always_zero(HParams(noise=7.0), given) == off


def test_a_hyperparameter_that_is_off_has_value_none():
    config = SimpleNamespace(off=("noise",))
    assert in_use(config, HParams(), "noise") is None
    assert in_use(config, HParams(), "bound") == 1.0


@pytest.mark.parametrize("metric", [True, 3, 2.5])
def test_integers_and_bools_are_valid_metrics(metric):
    assert float(Mean.of(jnp.asarray(metric)).total) == metric
