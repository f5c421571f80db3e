"""Flags from dataclasses."""

import dataclasses

import pytest
from flax import struct

from research.cli.command_line import (
    arguments_type,
    make_experiment,
    parse_arguments,
    preset_arguments,
    run_main,
)
from research.engine.cadence import Intervals
from research.errors import UserError
from research.runs.experiment import make_parts
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
        ("--steps 1e5", "--steps 1e5: not a whole number"),
        ("--log-every ten", "--log-every ten: not a whole number"),
        ("--rungs 2.5", "--rungs 2.5: not a whole number"),
        ("--checkpoint-every soon", "--checkpoint-every soon: not a number"),
        ("--batch " + "9" * 5000, r"--batch 9{40}\.\.\.: not a whole number"),
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


@dataclasses.dataclass(frozen=True)
class Scheduled:
    steps: int = field(0, "at whose end schedules end", low=0)


def test_steps_reach_a_config_that_has_them_and_its_problem():
    arguments_of = arguments_type(Scheduled(), toy.ToyHParams())
    presets = {"plain": preset_arguments(arguments_of, Scheduled(), toy.ToyHParams())}
    arguments = parse_arguments(presets, "text", ["--steps", "8", "12", "--seeds", "2"])

    def make_problem(config):
        problem = toy.problem()
        return problem._replace(task=problem.task._replace(steps=config.steps))

    given = "toy", make_problem, Scheduled(), toy.ToyHParams(), arguments
    parts = make_parts(make_experiment(*given))
    assert [part.steps for part in parts] == [8, 12]
    assert [part.problem.task.steps for part in parts] == [8, 12]


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
    monkeypatch.setattr("research.cli.machine.configure_jax", lambda *_: None)

    def main(_):
        raise error

    with pytest.raises(SystemExit) as exit_info:
        run_main(main, PRESETS, "text", [])
    assert exit_info.value.code == status
    assert capsys.readouterr().err == says


def test_a_flag_that_may_be_none_says_so_by_a_word():
    assert parse("--log-every None --lanes 3").log_every is None
    assert parse("--preset large --steps None").steps is None


@dataclasses.dataclass(frozen=True)
class Paired(Config):
    """Where a batch is as large as its kind says."""

    def __post_init__(self):
        if self.kind == "big" and self.batch < 8:
            raise UserError(f"--kind big --batch {self.batch}: too small")


def test_a_default_that_is_in_no_cell_of_the_grid_is_not_held_against_it():
    """The default batch of 4 does not go with --kind big; 8 and 16 do."""
    arguments = preset_arguments(arguments_type(Paired(), toy.ToyHParams()), Paired(),
                                 toy.ToyHParams(), kind=("big",), batch=(8, 16))  # fmt: skip
    experiment = make_experiment("toy", lambda _: toy.problem(), Paired(), toy.ToyHParams(),
                                 arguments)  # fmt: skip
    assert experiment.config_axes == {"batch": (8, 16)}
    arguments = dataclasses.replace(arguments, batch=(2, 16))
    with pytest.raises(UserError, match="--kind big --batch 2"):
        make_experiment("toy", lambda _: toy.problem(), Paired(), toy.ToyHParams(), arguments)
