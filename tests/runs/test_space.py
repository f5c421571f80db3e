"""Tests of the space of a search."""

import dataclasses

import numpy as np
import pytest

from research.runs.space import Dimension, key_of, make_space, requirements_of
from research.task import Requirement, field
from tests import toy


@dataclasses.dataclass(frozen=True)
class HParams:
    learning_rate: float = field(1e-3, "by its logarithm", log=True)
    width: int = field(8, "by its logarithm", log=True)
    layers: int = field(2, "evenly")
    nesterov: bool = field(False, "a choice")


def test_two_numbers_are_a_range_and_anything_else_a_list():
    axes = {"learning_rate": (1e-1, 1e-3), "layers": (1, 4), "width": (2, 4, 8),
            "nesterov": (False, True)}  # fmt: skip
    rate, layers, width, nesterov = make_space(HParams(), axes)
    assert rate == Dimension("learning_rate", (), 1e-3, 1e-1, log=True)
    assert layers == Dimension("layers", (), 1, 4)
    assert (width.choices, nesterov.choices) == ((2, 4, 8), (False, True))


RANGES = [
    Dimension("a", (), 1e-4, 1.0, log=True),
    Dimension("b", (), -2.0, 2.0),
    Dimension("c", (), 1, 4),
    Dimension("d", (), 2, 64, log=True),
]


@pytest.mark.parametrize("one", RANGES)
def test_a_place_gives_a_value_of_the_range_and_the_value_its_place(one):
    for place in np.linspace(0, 1, 41):
        value = one.value(place)
        assert one.holds(value)
        assert one.value(one.place(value)) == value
    assert one.value(0.0) == one.low
    assert one.value(1.0) == one.high


def test_places_are_even_in_the_logarithm_and_among_whole_numbers():
    assert RANGES[0].value(0.5) == 1e-2
    assert [RANGES[2].value(place) for place in (0.24, 0.26, 0.74, 0.76)] == [1, 2, 3, 4]
    assert [Dimension("e", ("x", "y")).value(place) for place in (0.49, 0.51, 1.0)] == [*"xyy"]


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (RANGES[1], 2.5), (RANGES[1], "1"), (RANGES[1], True), (RANGES[2], 1.5), (RANGES[1], None),
        (Dimension("e", (True, False)), 1), (Dimension("f", (1.0, 2.0, 4.0)), 3.0),
    ],
)  # fmt: skip
def test_what_is_not_in_it_is_told_apart(one, value):
    assert not one.holds(value)


def test_settings_that_are_one_float32_have_one_key():
    assert key_of({"a": 0.1, "b": 2}) == key_of({"b": 2, "a": float(np.float32(0.1))})
    assert key_of({"a": 0.1, "b": 2}) != key_of({"a": 0.1001, "b": 2})


def test_requirements_are_asked_in_the_numbers_that_the_program_holds():
    def above_a_tenth(hparams):
        return [Requirement(("rate",), hparams.rate > np.float32(0.1), "too small")]

    task = toy.TASK._replace(requirements=above_a_tenth)
    allowed = requirements_of(task, toy.ToyHParams(), {"rate": (0.0, 1.0)})
    assert allowed({"rate": 0.2})
    assert not allowed({"rate": 0.1 + 1e-12})  # which is a tenth as a float32
