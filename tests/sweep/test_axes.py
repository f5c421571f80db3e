"""Seeds, grids and groups."""

import dataclasses

import numpy as np
import pytest

from research.errors import UserError
from research.sweep.axes import check_axes, make_groups, make_runs, parse_seeds
from tests.toy import ToyHParams


@pytest.mark.parametrize(
    ("words", "seeds"),
    [(["3"], (0, 1, 2)), (["7", "3"], (7, 3)), (["7,3,9"], (7, 3, 9)), (["5,"], (5,))],
)
def test_one_number_is_a_count_and_more_are_a_list(words, seeds):
    assert parse_seeds(words) == seeds


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["0"], "--seeds 0"),
        (["-4"], "--seeds -4"),
        (["many"], "many"),
        ([], "--seeds"),
        (["1", "2", "1"], "1 given more than once"),
        (["1", "-2"], "between 0"),
        ([f"{2**32},1"], "between 0"),
        (["1.5"], "1.5"),
    ],
)
def test_seeds_that_make_no_sense_are_named(words, says):
    with pytest.raises(UserError, match=says):
        parse_seeds(words)


def test_the_grid_is_the_product_with_the_seeds_of_a_setting_side_by_side():
    runs = make_runs(ToyHParams(), {"rate": [0.1, 0.2], "fail_at": [3, 4]}, [5, 6])
    np.testing.assert_array_equal(runs.seeds, [5, 6, 5, 6, 5, 6, 5, 6])
    np.testing.assert_array_equal(runs.hparams.fail_at, [3, 3, 4, 4, 3, 3, 4, 4])
    np.testing.assert_array_equal(runs.hparams.rate, np.float32([0.1] * 4 + [0.2] * 4))
    assert runs.hparams.rate.dtype == np.float32
    assert runs.hparams.fail_at.dtype == np.int32


def test_what_has_no_axis_keeps_its_value():
    runs = make_runs(ToyHParams(rate=0.5), {}, [0, 1])
    np.testing.assert_array_equal(runs.hparams.rate, np.float32([0.5, 0.5]))


@dataclasses.dataclass(frozen=True)
class Config:
    size: int = 1
    kind: str = "a"


def test_config_values_make_groups_with_the_whole_grid_each():
    axes = {"size": [1, 2], "kind": ["a", "b"]}
    groups = make_groups(Config(), axes, ToyHParams(), {"rate": [0.1, 0.2]}, [0, 1, 2])
    assert [group.config for group in groups] == [
        Config(1, "a"),
        Config(1, "b"),
        Config(2, "a"),
        Config(2, "b"),
    ]
    assert all(len(group.runs) == 6 for group in groups)


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ({"rat": [1.0]}, "'rat'.*rate, fail_at"),
        ({"rate": []}, "--rate: give at least one"),
        ({"rate": [0.1, 0.1]}, "--rate 0.1 0.1: a value is given twice"),
        ({"rate": [-1.0]}, "--rate -1.0: must be at least 0"),
        ({"rate": [float("nan")]}, "finite"),
        ({"rate": [float("inf")]}, "finite"),
    ],
)
def test_an_axis_that_makes_no_sense_is_named(axes, says):
    with pytest.raises(UserError, match=says):
        check_axes(ToyHParams(), axes)
