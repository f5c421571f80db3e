"""Flags from dataclasses."""

import dataclasses

import pytest
from flax import struct

from research.errors import UserError
from research.sweep.command_line import (
    arguments_type,
    make_experiment,
    parse_arguments,
    preset_arguments,
    run_main,
)
from research.sweep.plan import Intervals
from research.task import field, off_field
from tests import toy


@dataclasses.dataclass(frozen=True)
class Config:
    hidden: tuple[int, ...] = field((8,), "widths")
    kind: str = field("relu", "a word")
    batch: int = field(4, "a number", low=1)
    dual: bool = field(False, "a switch")
    names: tuple[str, ...] = field((), "words", words="NAME")


Arguments = arguments_type(Config(), toy.ToyHParams())
PRESETS = {"small": Arguments(), "large": Arguments(batch=(64,), rate=(0.5, 0.25), steps=9)}


def parse(line):
    return parse_arguments(PRESETS, "text", line.split())


def test_every_field_takes_a_list():
    given = parse("--rate 1e-3 0.1 --hidden 8 64x32 none --kind a b --batch 1 2 --dual True False")
    assert given.rate == (1e-3, 0.1)
    assert given.hidden == ((8,), (64, 32), ())
    assert given.kind == ("a", "b")
    assert given.batch == (1, 2)
    assert given.dual == (True, False)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ()),
        (["--names", "a", "b, c", "", "-"], ("a", "b, c", "", "-")),
        (["--names=-x"], ("-x",)),
        (["--names", ""], ("",)),
        (["--names", "a", "--batch", "1", "2", "--names", "b"], ("b",)),
    ],
)
def test_a_list_of_words_is_one_value(words, names):
    given = parse_arguments(PRESETS, "text", words)
    made = make_experiment("toy", lambda config: None, Config(), toy.ToyHParams(), given)
    assert made.config.names == names
    assert "names" not in made.config_axes


def test_a_list_without_a_word_is_one_clear_line():
    with pytest.raises(UserError, match="--names: give at least one; '' is the empty one"):
        parse("--names --batch 4")


def test_what_is_not_given_comes_from_the_preset():
    assert parse("").batch == (4,)
    large = parse("--preset large --rate 3")
    assert (large.batch, large.rate, large.steps) == ((64,), (3.0,), 9)
    assert parse("--preset=large").rate == (0.5, 0.25)


@pytest.mark.parametrize("line", ["--preset huge", "--preset"])
def test_an_unknown_preset_is_named(line):
    with pytest.raises(UserError, match=r"--preset.*small, large"):
        parse(line)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--rate 1e-3 fast", "--rate fast: not a number"),
        ("--batch 1.5", "--batch 1.5: not a whole number"),
        ("--hidden 8x", "--hidden 8x: not widths"),
        ("--dual maybe", "--dual maybe: not True or False"),
    ],
)
def test_a_word_that_does_not_fit_is_one_clear_line(line, says):
    with pytest.raises(UserError, match=says):
        parse(line)


@dataclasses.dataclass(frozen=True)
class Leaving(Config):
    off: tuple[str, ...] = off_field()


@struct.dataclass
class Noisy:
    noise: float = field(0.0, "costs time even at 0", zero_is_off=True)


@pytest.mark.parametrize(
    ("changes", "off"), [({}, ("noise",)), ({"noise": (0.0, 0.5)}, ()), ({"noise": (0.5,)}, ())]
)
def test_a_config_is_told_what_is_zero_in_all_runs(changes, off):
    arguments = preset_arguments(arguments_type(Leaving(), Noisy()), Leaving(), Noisy(), **changes)
    experiment = make_experiment("toy", lambda _: toy.problem(), Leaving(), Noisy(), arguments)
    assert experiment.config.off == off


def test_single_values_are_settings_and_several_are_axes():
    arguments = parse("--rate 1 2 --batch 7 --kind a b --seeds 3 --steps 8 --log-every 2")
    experiment = make_experiment("toy", lambda _: toy.problem(), Config(), toy.ToyHParams(),
                                 arguments)  # fmt: skip
    assert experiment.config == Config(batch=7)
    assert experiment.config_axes == {"kind": ("a", "b")}
    assert experiment.hparams_axes == {"rate": (1.0, 2.0)}
    assert experiment.seeds == (0, 1, 2)
    assert experiment.intervals == Intervals(log_every=2)


@pytest.mark.parametrize("lanes", ["0", "-3"])
def test_lanes_are_at_least_one(lanes):
    with pytest.raises(UserError, match="--lanes"):
        make_experiment("toy", lambda _: toy.problem(), Config(), toy.ToyHParams(),
                        parse(f"--lanes {lanes}"))  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UserError("a line\n  in two"), 2, "error: a line in two\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_an_error_of_the_person_is_one_line_and_a_status(capsys, monkeypatch, error, status, says):
    monkeypatch.setattr("research.sweep.machine.configure_jax", lambda *_: None)

    def main(_):
        raise error

    with pytest.raises(SystemExit) as exit_info:
        run_main(main, PRESETS, "text", [])
    assert exit_info.value.code == status
    assert capsys.readouterr().err == says
