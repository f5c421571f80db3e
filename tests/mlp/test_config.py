"""Tests of configs of the MLP: invalid values, alone and in combination."""

import dataclasses
from types import SimpleNamespace

import pytest

from research.errors import UserError
from research.mlp import Config, HParams, check_flags
from research.mlp.dataset import DataChoice
from research.runs.experiment import restore_config


def given(**changes):
    """The arguments that a command line gives, with a list of values for every flag."""
    single = {**vars(Config()), **vars(HParams())}
    return SimpleNamespace(**{name: (value,) for name, value in single.items()} | changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"activation": "rellu"}, "--activation rellu: there are relu, gelu"),
        ({"optimizer": "adamm"}, "--optimizer adamm: there are adam, sgd"),
        ({"loss": "mse"}, "--loss mse: there are auto, cross_entropy"),
        ({"class_weights": "even"}, "--class-weights even: there are none, balanced"),
        ({"target_type": "class"}, "--target-type class: there are auto, classes, numbers"),
        ({"hidden": (8, 0)}, "--hidden .*8, 0.*each width must be at least 1"),
        ({"channels": (0,)}, "--channels .*0.*each width must be at least 1"),
    ],
)
def test_an_invalid_value_gives_a_one_line_error(changes, says):
    with pytest.raises(UserError, match=says):
        Config(**changes)


def test_config_has_every_field_of_data_choice():
    changes = {"data": "t.csv", "target": "b", "test_data": "u.csv", "drop": ("c",),
               "target_type": "classes", "min_category": 3, "split_seed": 7}  # fmt: skip
    assert Config(**changes).choice == DataChoice(**changes)
    assert Config().choice == DataChoice("digits")
    names = {field.name for field in dataclasses.fields(Config)}
    assert set(DataChoice._fields) <= names


@pytest.mark.parametrize(
    ("steps", "radii", "says"),
    [
        ((0,), (0.0, 0.25), "--adversarial-radius 0.25: give --adversarial-steps"),
        ((0, 5), (0.0,), "--adversarial-steps 5: give an --adversarial-radius"),
    ],
)
def test_adversarial_training_needs_steps_and_a_radius(steps, radii, says):
    with pytest.raises(UserError, match=says):
        check_flags(given(adversarial_steps=steps, adversarial_radius=radii))


@pytest.mark.parametrize(
    ("steps", "radii"), [((0,), (0.0,)), ((1,), (0.1,)), ((0, 1), (0.1,)), ((3,), (0.0, 0.1))]
)
def test_adversarial_training_can_be_swept_with_radius_0(steps, radii):
    check_flags(given(adversarial_steps=steps, adversarial_radius=radii))


@pytest.mark.parametrize(
    ("recorded", "drop"),
    [("", ()), ("a,b", ("a,b",)), ([], ()), (["a", "b, c", ""], ("a", "b, c", ""))],
)
def test_dropped_columns_are_restored_from_new_and_old_manifests(recorded, drop):
    restored = restore_config({"data": "t.csv", "drop": recorded}, Config())
    assert (restored.data, restored.drop, restored.missing) == ("t.csv", drop, ())
    assert Config(drop="a").drop == ("a",)
