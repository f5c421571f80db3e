"""Tests of checking numbers against the 32-bit types that they become."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.limits import as_bool, as_field, as_float, as_int, as_seed, fitted
from research.task import field, off_field


@pytest.mark.parametrize(
    "value", [0, -1, 1, 0.1, -3e38, 1.2e-38, np.float32(0.5), np.int64(3), jnp.float32(0.25)]
)
def test_numbers_within_float32_are_floats(value):
    number = as_float("--rate", value)
    assert type(number) is float
    assert number == float(value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "--rate nan: must be a finite number"),
        (float("-inf"), "--rate -inf: must be a finite number"),
        (1e39, "at most 3.403e.38"),
        (-(10**400), "--rate -1e400 or so: a float32 holds at most"),
        (1e-50, "--rate 1e-50: a float32 holds nothing between 0 and"),
        (-1e-40, "nothing between 0"),
        (True, "--rate True: must be a number"),
        (np.bool_(False), "--rate False: must be a number"),
        ("1", "--rate 1: must be a number"),
        (None, "--rate None: must be a number"),
    ],
)
def test_numbers_beyond_float32_are_refused(value, says):
    with pytest.raises(UserError, match=says):
        as_float("--rate", value)


@pytest.mark.parametrize(
    "value", [0, -(2**31), 2**31 - 1, 2.0, np.int8(7), np.uint32(9), jnp.int32(5), np.float32(4)]
)
def test_integers_within_int32_are_ints(value):
    number = as_int("--size", value)
    assert type(number) is int
    assert number == int(value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**31, "--size 2147483648: must be at most 2147483647"),
        (-(2**31) - 1, "--size -2147483649: must be at least -2147483648"),
        (1e30, "1e30 or so: must be at most"),
        (10**400, "1e400 or so: must be at most"),
        (2.5, "--size 2.5: must be a whole number"),
        (float("nan"), "--size nan: must be a whole number"),
        (float("inf"), "--size inf: must be a whole number"),
        (True, "--size True: must be a whole number"),
        ("7", "--size 7: must be a whole number"),
    ],
)
def test_numbers_beyond_int32_are_refused(value, says):
    with pytest.raises(UserError, match=says):
        as_int("--size", value)


def test_seeds_are_within_uint32():
    assert as_seed("--seed", 2**32 - 1) == 2**32 - 1
    for seed in (-1, 2**32, 2**63):
        with pytest.raises(UserError, match=f"--seed {seed}: must be between 0 and 4294967295"):
            as_seed("--seed", seed)


def test_only_true_and_false_are_bools():
    assert as_bool("--double", np.bool_(True)) is True
    for value in (1, 0.0, "True"):
        with pytest.raises(UserError, match=f"--double {value}: must be True or False"):
            as_bool("--double", value)


@dataclasses.dataclass(frozen=True)
class Given:
    decay: float = field(0, "a float by its annotation", low=0, below=1)
    size: int = field(1, "an int", low=1)
    seed: int = field(0, "a seed", low=0, high=2**32 - 1)
    eps: float = field(1e-8, "not 0", above=0)
    flip: bool = field(False, "a switch")
    widths: tuple[int, ...] = field((8,), "widths")
    kind: str = field("a", "a word")
    gamma: float = field(0.99, "both ends are legal", low=0, high=1)
    off: tuple[str, ...] = off_field()


def test_every_value_becomes_the_type_of_its_field():
    given = Given(decay=np.float64(0), size=np.int64(3), widths=[np.int32(4), 5], gamma=1)
    values = fitted(given)
    assert values == {
        "decay": 0.0, "size": 3, "seed": 0, "eps": 1e-8, "flip": False, "widths": (4, 5),
        "kind": "a", "gamma": 1.0,
    }  # fmt: skip
    assert [type(value) for value in values.values()] == [
        float, int, int, float, bool, tuple, str, float,
    ]  # fmt: skip
    assert fitted(Given(gamma=0, seed=2**32 - 1))["gamma"] == 0.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"decay": 1}, "--decay 1.0: must be at least 0 and below 1"),
        ({"decay": 0.99999999}, r"--decay 0.99999999 \(as a float32, 1\): must be at least 0 and"),
        ({"eps": 0}, "--eps 0.0: must be above 0"),
        ({"gamma": 1.1}, "--gamma 1.1: must be between 0 and 1"),
        ({"size": 0}, "--size 0: must be at least 1"),
        ({"size": 2**31}, "--size 2147483648: must be at most"),
        ({"seed": 2**32}, "--seed 4294967296: must be at most 4294967295"),
        ({"flip": 1}, "--flip 1: must be True or False"),
        ({"widths": (8, 2**31)}, "--widths 2147483648: must be at most"),
        ({"widths": (8, 0.5)}, "--widths 0.5: must be a whole number"),
        ({"kind": 3}, "--kind 3: must be a word"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_named(changes, says):
    with pytest.raises(UserError, match=says):
        fitted(Given(**changes))


def test_without_a_plain_annotation_the_default_gives_the_type():
    made = dataclasses.make_dataclass("Made", [("rate", object, field(np.float32(1), "a rate"))])
    assert type(as_field("--rate", 2, dataclasses.fields(made)[0])) is float
