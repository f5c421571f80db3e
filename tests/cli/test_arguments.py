"""Tests of arguments made from dataclasses, and of the experiments that they ask for."""

import dataclasses

import pytest
from flax import struct

from research.cli.arguments import arguments_type, make_experiment, preset_arguments
from research.cli.command_line import parse_arguments
from research.engine.cadence import Intervals
from research.errors import UserError
from research.runs.experiment import make_parts
from research.task import field, off_field
from tests import toy
from tests.cli.flags import PRESETS, Config, parse


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ()),
        (["--names", "a", "b, c", "", "-"], ("a", "b, c", "", "-")),
        (["--names=-x"], ("-x",)),
        (["--names", ""], ("",)),
        (["--names", "a", "--batch-size", "1", "2", "--names", "b"], ("b",)),
    ],
)
def test_a_list_of_words_is_a_single_value_of_its_field(words, names):
    given = parse_arguments(PRESETS, "text", words)
    made = make_experiment("toy", lambda config: None, Config(), toy.ToyHParams(), given)
    assert made.config.names == names
    assert "names" not in made.config_axes


@dataclasses.dataclass(frozen=True)
class Leaving(Config):
    off: tuple[str, ...] = off_field()


@struct.dataclass
class Noisy:
    noise: float = field(0.0, "costs time even at 0", zero_is_off=True)


@pytest.mark.parametrize(
    ("changes", "off"), [({}, ("noise",)), ({"noise": (0.0, 0.5)}, ()), ({"noise": (0.5,)}, ())]
)
def test_off_names_the_hyperparameters_that_are_0_in_all_runs(changes, off):
    arguments = preset_arguments(arguments_type(Leaving(), Noisy()), Leaving(), Noisy(), **changes)
    experiment = make_experiment("toy", lambda _: toy.problem(), Leaving(), Noisy(), arguments)
    assert experiment.config.off == off


def test_single_values_are_settings_and_several_are_axes():
    arguments = parse("--rate 1 2 --batch-size 7 --kind a b --seeds 3 --steps 8 --log-every 2")
    experiment = make_experiment("toy", lambda _: toy.problem(), Config(), toy.ToyHParams(),
                                 arguments)  # fmt: skip
    assert experiment.config == Config(batch_size=7)
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


@dataclasses.dataclass(frozen=True)
class Paired(Config):
    """A config that is valid only if the batch size fits its kind."""

    def __post_init__(self):
        if self.kind == "big" and self.batch_size < 8:
            raise UserError(f"--kind big --batch-size {self.batch_size}: too small")


def test_a_default_outside_the_grid_is_not_checked():
    """The default batch of 4 does not go with --kind big; 8 and 16 do."""
    arguments = preset_arguments(arguments_type(Paired(), toy.ToyHParams()), Paired(),
                                 toy.ToyHParams(), kind=("big",), batch_size=(8, 16))  # fmt: skip
    experiment = make_experiment("toy", lambda _: toy.problem(), Paired(), toy.ToyHParams(),
                                 arguments)  # fmt: skip
    assert experiment.config_axes == {"batch_size": (8, 16)}
    arguments = dataclasses.replace(arguments, batch_size=(2, 16))
    with pytest.raises(UserError, match="--kind big --batch-size 2"):
        make_experiment("toy", lambda _: toy.problem(), Paired(), toy.ToyHParams(), arguments)


def test_flags_are_in_the_groups_that_the_workload_names():
    """Groups keep their order; flags of the sweep, and flags in no group, follow in own groups."""
    groups = {"usual": ("seeds", "rate", "batch_size"), "network": ("hidden",)}
    fields = dataclasses.fields(arguments_type(Config(), toy.ToyHParams(), groups=groups))
    assert [field.name for field in fields][:4] == ["seeds", "rate", "batch_size", "hidden"]
    group_of = {field.name: field.metadata["group"] for field in fields}
    expected = {"rate": "usual", "hidden": "network", "kind": "config", "search": "search"}
    assert expected.items() <= group_of.items()


def test_a_group_that_names_no_flag_is_an_error():
    with pytest.raises(ValueError, match=r"no such flags: \['rat'\]"):
        arguments_type(Config(), toy.ToyHParams(), groups={"usual": ("rat",)})
