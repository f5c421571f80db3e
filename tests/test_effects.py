"""Tests of flags that change nothing beside others, and of counts that would take very long."""

import dataclasses
import importlib

import pytest

from research.cli.arguments import arguments_type, make_experiment, preset_arguments
from research.cli.seedbed import TOOLS
from research.effects import check_counts, without_effect
from research.errors import UserError
from research.task import OnlyWith, field
from tests import toy

SCRIPTS = ("mlp.py", "dqn.py", "pqn.py", "lstm_lm.py")


@dataclasses.dataclass(frozen=True)
class Config:
    kind: str = field("plain", "a word")
    atoms: int = field(
        8, "of another kind", only_with=OnlyWith(("kind",), "c51".__eq__, "--kind c51")
    )
    hidden: tuple[int, ...] = field((8,), "widths")
    repeats: int = field(1, "a count", usual=100)


Arguments = arguments_type(Config(), toy.ToyHParams())


def given(**changes):
    return preset_arguments(Arguments, Config(), toy.ToyHParams(), **changes)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, []),
        ({"kind": ("c51",), "atoms": (9,)}, []),
        ({"kind": ("plain", "c51"), "atoms": (9,)}, []),  # it has one in a cell
        ({"atoms": (9,)}, ["--atoms 9 changes nothing: it has an effect only with --kind c51"]),
        ({"rungs": 3}, ["--rungs 3 changes nothing: it has an effect only with --halving"]),
        ({"rungs": 3, "halving": 2}, []),
        (
            {"batch": 2, "search": 4, "sampler": "sobol", "rate": (0.5, 1.0)},
            ["--batch 2 changes nothing: it has an effect only with --sampler tpe, gp or cmaes"],
        ),
        ({"batch": 2, "search": 4, "sampler": "tpe", "rate": (0.5, 1.0)}, []),
        (
            {"search_seed": 7},
            ["--search-seed 7 changes nothing: it has an effect only with --search"],
        ),
        ({"memory_limit": "1GB", "parallel": "4"},
         ["--memory-limit 1GB changes nothing: it has an effect only with --parallel auto"]),
        ({"memory_limit": "1GB", "parallel": "4", "compile_for": ("h100",)}, []),
    ],
)  # fmt: skip
def test_a_single_value_that_changes_nothing_is_told(changes, lines):
    arguments = given(**changes)
    assert without_effect(arguments) == lines
    experiment = make_experiment(
        "toy", lambda _: toy.problem(), Config(), toy.ToyHParams(), arguments
    )
    assert experiment.notes == lines


@pytest.mark.parametrize("kinds", [("plain",), ("plain", "c51")])
def test_several_values_that_would_be_one_program_are_refused(kinds):
    with pytest.raises(UserError, match="--atoms 8 9: it has an effect only with --kind c51; give"):
        without_effect(given(kind=kinds, atoms=(8, 9)))
    assert without_effect(given(kind=("c51",), atoms=(8, 9))) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"repeats": (1, 101)}, "--repeats 101: more than 100 would take very long; --unbounded"),
        ({"hidden": ((8,) * 65,)}, "--hidden of 65 layers: more than 64"),
    ],
)
def test_a_count_beyond_what_is_usual_needs_a_flag(changes, says):
    with pytest.raises(UserError, match=says):
        check_counts(given(**changes))
    check_counts(given(**changes, unbounded=True))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seeds": ("1000000",)}, "--seeds 1000000: more than 262,144"),
        ({"search": 10**6, "rate": (1e-3, 1.0)}, "--search 1000000 with 2 --seeds each: more than"),
        ({"seeds": ("200000",), "rate": (1.0, 2.0)}, "2 settings with 200,000 --seeds each: more"),
        ({"seeds": ("1099511627776",)}, "--seeds 1099511627776: must be at most"),
        ({"search": 999999999999, "rate": (1e-3, 1.0)}, "--search 999999999999: must be at most"),
    ],
)
def test_more_runs_than_usual_are_refused_before_they_are_made(changes, says):
    arguments = given(**{"seeds": ("2",)} | changes)
    with pytest.raises(UserError, match=says):
        make_experiment("toy", lambda _: toy.problem(), Config(), toy.ToyHParams(), arguments)


def test_more_runs_than_usual_can_be_asked_for():
    arguments = given(seeds=("300000",), unbounded=True)
    made = make_experiment("toy", lambda _: toy.problem(), Config(), toy.ToyHParams(), arguments)
    assert len(made.seeds) == 300_000


def test_every_tool_with_such_counts_has_the_flag_that_lifts_their_bounds():
    for tool in (tool for some in TOOLS.values() for tool in some):
        kind = getattr(importlib.import_module(tool.module), "Arguments", None)
        fields = dataclasses.fields(kind) if kind else ()
        if any(field.metadata.get("usual") for field in fields):
            assert "unbounded" in {field.name for field in fields}, tool.name


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_preset_has_values_that_change_nothing(script, load_script):
    module = load_script(script)
    for name, arguments in module.RECIPES.items():
        assert without_effect(arguments) == [], name
        check_counts(arguments)


@pytest.mark.parametrize("script", SCRIPTS)
def test_conditions_are_on_flags_that_there_are(script, load_script):
    fields = {field.name: field for field in dataclasses.fields(load_script(script).Arguments)}
    for one in fields.values():
        if condition := one.metadata.get("only_with"):
            assert set(condition.fields) <= fields.keys(), one.name
