"""Tests of experiments: groups, schemas and checks of values."""

import dataclasses
import json

import pytest

from research.engine.cadence import Intervals
from research.errors import UserError
from research.runs.experiment import Experiment, cell, make_parts, make_schema, uncell
from research.task import field
from tests import toy


@dataclasses.dataclass(frozen=True)
class Config:
    size: int = field(1, "a number", low=1)
    kind: str = field("a", "a word")


def experiment(**changes):
    default = Experiment(
        name="toy",
        make_problem=lambda config: toy.problem(config.size),
        config=Config(),
        hparams=toy.ToyHParams(),
        config_axes={"size": (1, 2), "kind": ("a", "b")},
        hparams_axes={"rate": (1.0, 2.0)},
        seeds=(4, 5, 6),
        steps=6,
        intervals=Intervals(),
    )
    return default._replace(**changes)


def test_run_numbers_continue_across_groups():
    parts = make_parts(experiment())
    assert [part.first_run for part in parts] == [0, 6, 12, 18]
    assert [part.name for part in parts] == [
        "size=1 kind=a",
        "size=1 kind=b",
        "size=2 kind=a",
        "size=2 kind=b",
    ]
    assert float(parts[2].problem.shared["start"]) == 2


@pytest.mark.parametrize("made", [toy.TASK, None])
def test_what_is_no_problem_is_named(made):
    says = f"make_problem returns a {type(made).__name__}; it has to return a Problem"
    with pytest.raises(UserError, match=says):
        make_parts(experiment(make_problem=lambda config: made))


def test_steps_that_contradict_the_schedules_are_refused():
    """A task that names its number of steps has schedules with that horizon."""

    def make_problem(config):
        problem = toy.problem(config.size)
        return problem._replace(task=problem.task._replace(steps=6))

    make_parts(experiment(make_problem=make_problem, steps=6))
    assert make_parts(experiment(make_problem=make_problem, steps=None))[0].steps == 6
    with pytest.raises(UserError, match="steps 8: the config makes it 6"):
        make_parts(experiment(make_problem=make_problem, steps=8))


def test_the_schema_has_the_metrics_of_every_group():
    def make_problem(config):
        problem = toy.problem()
        if config.size == 1:
            return problem

        def evaluate(*args):
            return {**toy.evaluate(*args), "extra": args[2].params["w"]}

        return problem._replace(task=problem.task._replace(evaluate=evaluate))

    schema = make_schema(make_parts(experiment(make_problem=make_problem)))
    names = ["run", "seed", "size", "kind", "rate", "fail_at", "step", "diverged", "work"]
    assert schema.names == [*names, "event", "loss", "noise", "score", "extra"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config": Config(size=0), "config_axes": {}}, "--size 0: must be at least 1"),
        ({"config_axes": {"size": (1, 0)}}, "--size 0: must be at least 1"),
        ({"hparams": toy.ToyHParams(rate=-1.0), "hparams_axes": {}}, "--rate -1.0"),
    ],
)
def test_values_out_of_range_are_refused_whether_swept_or_not(changes, says):
    with pytest.raises(UserError, match=says):
        make_parts(experiment(**changes))


@pytest.mark.parametrize(
    ("value", "text"), [((64, 32), "64x32"), ((), "none"), (3, 3), ("relu", "relu")]
)
def test_config_values_become_cells_of_a_table(value, text):
    assert cell(value) == text


@pytest.mark.parametrize("value", [3, 0.5, True, "word", (64, 32), (8,), ()])
def test_uncell_inverts_cell(value):
    like = (1, 2) if isinstance(value, tuple) else type(value)(1)
    assert uncell(cell(value), like) == value
    assert uncell(json.loads(json.dumps(value)), like) == value
    assert type(uncell(cell(value), like)) is type(value)
