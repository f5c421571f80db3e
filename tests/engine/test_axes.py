"""Tests of turning seeds and axes into runs and groups."""

import dataclasses

import numpy as np
import pytest

from research.engine import sweep
from research.engine.axes import check_axes, check_requirements, make_groups, make_runs, parse_seeds
from research.errors import UserError
from research.runs.experiment import Experiment, make_parts
from research.runs.search import Search
from research.task import Requirement
from tests import toy
from tests.toy import ToyHParams


@pytest.mark.parametrize(
    ("words", "seeds"),
    [(["3"], (0, 1, 2)), (["7", "3"], (7, 3)), (["7,3,9"], (7, 3, 9)), (["5,"], (5,))],
)
def test_one_seed_argument_is_a_count_and_several_are_a_list(words, seeds):
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
        (["9" * 5000], "give a count such as 64"),
        ([str(2**40)], "--seeds 1099511627776: must be at most"),
        ([str(2**24 + 1)], "a count of seeds is at most 16777216"),
    ],
)
def test_invalid_seeds_are_named(words, says):
    with pytest.raises(UserError, match=says):
        parse_seeds(words)


def test_the_grid_is_the_product_with_the_seeds_of_a_setting_side_by_side():
    runs = make_runs(ToyHParams(), {"rate": [0.1, 0.2], "fail_at": [3, 4]}, [5, 6])
    np.testing.assert_array_equal(runs.seeds, [5, 6, 5, 6, 5, 6, 5, 6])
    np.testing.assert_array_equal(runs.hparams.fail_at, [3, 3, 4, 4, 3, 3, 4, 4])
    np.testing.assert_array_equal(runs.hparams.rate, np.float32([0.1] * 4 + [0.2] * 4))
    assert runs.hparams.rate.dtype == np.float32
    assert runs.hparams.fail_at.dtype == np.int32


def test_hyperparameters_without_an_axis_keep_their_value():
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
        ({"rat": [1.0]}, r"ToyHParams has no field 'rat'; did you mean rate\?"),
        ({"size": [1]}, "ToyHParams has no field 'size'; it has rate, fail_at"),
        ({"rate": []}, "--rate: give at least one"),
        ({"rate": [0.1, 0.1]}, "--rate 0.1 0.1: a value is given twice"),
        ({"rate": [-1.0]}, "--rate -1.0: must be at least 0"),
        ({"rate": [float("nan")]}, "finite"),
        ({"rate": [float("inf")]}, "finite"),
        ({"rate": [0.01, 0.010000000001]}, "--rate 0.01 0.010000000001: these are one float32"),
        ({"rate": [1, 1.0]}, "--rate 1.0 1.0: a value is given twice"),
        ({"rate": [1e-50]}, "--rate 1e-50: a float32 holds nothing"),
        ({"rate": [True]}, "--rate True: must be a number"),
        ({"rate": 0.5}, "--rate 0.5: give a list of values"),
        ({"rate": "ab"}, "--rate ab: give a list of values"),
        ({"fail_at": [2**31]}, "--fail-at 2147483648: must be at most 2147483647"),
        ({"fail_at": [1, 1.5]}, "--fail-at 1.5: must be a whole number"),
    ],
)
def test_an_invalid_axis_is_named(axes, says):
    with pytest.raises(UserError, match=says):
        check_axes(ToyHParams(), axes)


@pytest.mark.parametrize(
    "values", [[0, 1], [0, 1.0], (np.float64(0), np.int32(1)), np.array([0, 1]), range(2)]
)
def test_swept_values_have_the_dtype_of_their_field(values):
    runs = make_runs(ToyHParams(), {"rate": values, "fail_at": np.float32([3])}, np.arange(2))
    assert runs.hparams.rate.dtype == np.float32
    assert runs.hparams.fail_at.dtype == np.int32
    np.testing.assert_array_equal(runs.hparams.rate, np.float32([0, 0, 1, 1]))
    np.testing.assert_array_equal(runs.seeds, np.uint32([0, 1, 0, 1]))


def test_a_single_value_is_checked_like_an_axis():
    assert make_runs(ToyHParams(rate=2), {}, 1).hparams.rate.dtype == np.float32  # type: ignore
    for hparams in (ToyHParams(rate=1e-50), ToyHParams(fail_at=2**31), ToyHParams(rate=True)):
        with pytest.raises(UserError, match="--"):
            make_runs(hparams, {}, 1)


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        (0, "--seeds 0"),
        (2.5, "--seeds 2.5: must be a whole number"),
        (True, "--seeds True"),
        ([], "--seeds: give at least one"),
        ([3, 3], "--seeds: 3 given more than once"),
        ([2**32], "--seeds 4294967296: must be between 0"),
        (np.array([-1]), "--seeds -1: must be between 0"),
        ([0.5], "--seeds 0.5: must be a whole number"),
    ],
)
def test_seeds_given_in_python_are_checked_like_flags(seeds, says):
    with pytest.raises(UserError, match=says):
        make_runs(ToyHParams(), {}, seeds)


def test_too_many_runs_are_refused_before_they_are_listed():
    axes = {"rate": np.arange(5000) / 8, "fail_at": range(5000)}
    with pytest.raises(UserError, match="25000000 settings with 3 seeds each: at most 16777216"):
        make_runs(ToyHParams(), axes, 3)


def ordered(hparams):
    """The toy task, with the requirement that `rate` is below `fail_at`."""
    below = np.asarray(hparams.rate) < hparams.fail_at
    return (Requirement(("rate", "fail_at"), below, "--rate must be below --fail-at"),)


ORDERED = toy.TASK._replace(requirements=ordered)


def test_a_setting_that_breaks_a_requirement_is_named_with_its_cell():
    good = make_runs(ToyHParams(), {"rate": [0.5, 1.5], "fail_at": [2, 3]}, 2)
    check_requirements(ORDERED, good, "size=3")
    bad = make_runs(ToyHParams(), {"rate": [0.5, 2.0], "fail_at": [2, 3]}, 2)
    says = "--rate 2.0 --fail-at 2: --rate must be below --fail-at; it does not in the setting "
    with pytest.raises(UserError, match=says + "size=3 rate=2.0 fail_at=2$"):
        check_requirements(ORDERED, bad, "size=3")


def test_requirements_are_checked_on_float32_values():
    """1.99999999999 becomes 2 as a float32."""
    runs = make_runs(ToyHParams(rate=1.99999999999, fail_at=2), {}, 1)
    with pytest.raises(UserError, match=r"--rate 2.0 --fail-at 2: --rate must be below --fail-at$"):
        check_requirements(ORDERED, runs)


def test_the_settings_of_a_random_search_are_checked_one_by_one():
    axes = {"rate": [0.0, 4.0], "fail_at": [1, 8]}
    runs = make_runs(ToyHParams(), axes, 1, Search(64))
    with pytest.raises(UserError, match="--rate must be below --fail-at"):
        check_requirements(ORDERED, runs)


def test_a_sweep_and_an_experiment_check_requirements_before_anything_compiles(monkeypatch):
    def compiled(*args, **kwargs):
        raise AssertionError("compiled")

    monkeypatch.setattr("research.engine.loop.compile_program", compiled)
    problem, axes = toy.problem()._replace(task=ORDERED), {"rate": [0.5, 9.0]}
    hparams = ToyHParams(fail_at=3)
    with pytest.raises(UserError, match=r"--rate 9.0 --fail-at 3: .* in the setting rate=9.0"):
        sweep(problem.task, problem.shared, hparams, 2, 4, axes=axes)
    experiment = Experiment(
        "toy", lambda _: problem, Config(), hparams, {"size": [1, 2]}, axes, (0,), 4
    )
    with pytest.raises(UserError, match=r"in the setting size=1 rate=9.0"):
        make_parts(experiment)
