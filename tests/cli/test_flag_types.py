"""Tests of flags made from dataclass fields, which take lists of values."""

import dataclasses

import pytest

from research.cli.flag_types import axis_flag
from research.errors import UserError
from research.task import field
from tests.cli.flags import parse


def test_every_field_takes_a_list():
    given = parse(
        "--rate 1e-3 0.1 --hidden 8 64x32 none --kind a b --batch-size 1 2 --dual True False"
    )
    assert given.rate == (1e-3, 0.1)
    assert given.hidden == ((8,), (64, 32), ())
    assert given.kind == ("a", "b")
    assert given.batch_size == (1, 2)
    assert given.dual == (True, False)


def test_an_empty_list_gives_a_one_line_error():
    with pytest.raises(UserError, match="--names: give at least one; '' is the empty one"):
        parse("--names --batch-size 4")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--rate 1e-3 fast", "--rate fast: not a number"),
        ("--batch-size 1.5", "--batch-size 1.5: not a whole number"),
        ("--hidden 8x", "--hidden 8x: not widths"),
        ("--dual maybe", "--dual maybe: not True or False"),
        ("--steps 1e5", "--steps 1e5: not a whole number"),
        ("--log-every ten", "--log-every ten: not a whole number"),
        ("--rungs 2.5", "--rungs 2.5: not a whole number"),
        ("--checkpoint-every soon", "--checkpoint-every soon: not a number"),
        ("--batch-size " + "9" * 5000, r"--batch-size 9{40}\.\.\.: not a whole number"),
    ],
)
def test_a_value_of_the_wrong_type_gives_a_one_line_error(line, says):
    with pytest.raises(UserError, match=says):
        parse(line)


def test_an_optional_flag_has_a_word_for_none():
    assert parse("--log-every None --lanes 3").log_every is None
    assert parse("--preset large --steps None").steps is None


@pytest.mark.parametrize(
    ("name", "limits", "metavar"),
    [
        ("epsilon_end", {"low": 0, "high": 1}, "RATE"),
        ("learning_rate", {"low": 0, "log": True}, "RATE"),
        ("epsilon_steps", {"low": 0}, "NUMBER"),  # of steps
        ("decay_after", {"low": 0}, "NUMBER"),  # epochs
        ("tau", {"high": 1}, "NUMBER"),
    ],
)
def test_a_rate_is_called_one_and_a_count_is_not(name, limits, metavar):
    kind = dataclasses.make_dataclass("HParams", [(name, float, field(0.5, "help", **limits))])
    flag, _ = axis_flag(dataclasses.fields(kind)[0], 0.5)
    assert flag.__metadata__[-1].metavar == f"{metavar}..."
