"""Tests of parsing a tool's command line into its dataclass, with errors of one line."""

import dataclasses
from typing import Annotated

import pytest
import tyro

from research.effects import flag_field
from research.errors import UserError
from research.parsing import (
    Unbounded,
    described,
    flags_of,
    read_arguments,
    tell_without_effect,
)
from research.task import OnlyWith


@dataclasses.dataclass(frozen=True)
class Arguments:
    """A tool."""

    folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="a folder")]
    steps: Annotated[int, tyro.conf.arg(help="a count")] = flag_field(20, usual=1_000)
    run: Annotated[int | None, tyro.conf.arg(metavar="N", help="or None")] = None
    rates: Annotated[tuple[float, ...], tyro.conf.arg(help="several")] = (0.1, 0.2)
    live: Annotated[bool, tyro.conf.arg(help="a switch")] = False
    port: Annotated[int, tyro.conf.arg(help="with --live")] = flag_field(
        80, only_with=OnlyWith(("live",), bool, "--live")
    )
    name: Annotated[str, tyro.conf.arg(help="a word")] = "it"
    unbounded: Unbounded = False


def read(line):
    return read_arguments(Arguments, "What scripts/it does.", line.split(), "seedbed it")


def test_what_is_given_is_an_instance_of_the_dataclass():
    given = read("here --steps 3 --run None --rates 1 2e-3 --no-live --name -7")
    assert given == Arguments("here", 3, None, (1.0, 2e-3), name="-7")
    assert type(given) is Arguments
    assert read("here --run 4").run == 4


def test_the_help_has_the_name_and_the_defaults_of_the_tool(capsys):
    with pytest.raises(SystemExit) as left:
        read("--help")
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "What seedbed it does." in text
    for part in ("--steps N", "(default: 20)", "(default: 0.1 0.2)", "--run N", "RUN"):
        assert part in text


def test_the_text_of_the_help_fits_the_terminal_and_commands_stay_whole():
    text = (
        "Does a thing that takes\nmore than a line of forty columns to say.\n\n"
        "    scripts/it RUN --steps 3        a few steps alone\n"
        "    scripts/it RUN                  all\n\nThe end.\n"
    )
    assert described(text, 44) == (
        "Does a thing that takes more than a line of\nforty columns to say.\n\n"
        "    scripts/it RUN --steps 3\n        a few steps alone\n"
        "    scripts/it RUN                  all\n\nThe end.\n"
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("here --steps few", "^--steps few: not a whole number, such as 1000$"),
        ("here --steps 1e3", "^--steps 1e3: not a whole number"),
        ("here --run last", "^--run last: not a whole number"),
        ("here --rates 0.1 low", "^--rates low: not a number, such as 0.001$"),
        ("here --steps 1 --steps 2", "--steps is given twice"),
        ("here --live yes", "^--live yes: not expected here"),
        ("here --step 2", "^--step: no such flag; did you mean --steps"),
        ("here --zzz", "^--zzz: no such flag; --help lists all"),
        ("here there", "^there: not expected here"),
        ("", "RUN"),
        ("here --steps 1001", "^--steps 1001: more than 1,000 would take very long; --unbounded"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(line, says):
    with pytest.raises(UserError, match=says) as refused:
        read(line)
    assert "\n" not in str(refused.value)
    assert "\u2500" not in str(refused.value)


def test_a_count_beyond_what_is_usual_can_be_asked_for():
    assert read("here --steps 1001 --unbounded").steps == 1001


def test_a_flag_that_changes_nothing_is_told(capsys):
    tell_without_effect(read("here --port 99"))
    error = capsys.readouterr().err
    assert error == "--port 99 changes nothing: it has an effect only with --live\n"
    tell_without_effect(read("here --port 99 --live"))
    tell_without_effect(read("here --port 80"))
    assert capsys.readouterr().err == ""


def test_flags_say_whether_they_take_a_value():
    assert flags_of(Arguments) == {
        "--steps": True, "--run": True, "--rates": True, "--live": False, "--port": True,
        "--name": True, "--unbounded": False,
    }  # fmt: skip
