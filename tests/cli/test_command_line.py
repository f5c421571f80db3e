"""Tests of parsing the command line of a recipe: presets, errors and --help."""

import pytest

from research.cli.command_line import parse_arguments, run_main
from research.errors import UserError
from tests.cli.flags import PRESETS, parse


def test_values_that_are_not_given_come_from_the_preset():
    assert parse("").batch_size == (4,)
    large = parse("--preset large --rate 3")
    assert (large.batch_size, large.rate, large.steps) == ((64,), (3.0,), 9)
    assert parse("--preset=large").rate == (0.5, 0.25)


@pytest.mark.parametrize("line", ["--preset huge", "--preset"])
def test_an_unknown_preset_is_named(line):
    with pytest.raises(UserError, match=r"--preset.*small, large"):
        parse(line)


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UserError("a line\n  in two"), 2, "error: a line in two\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_an_error_gives_its_line_and_exit_status(capsys, monkeypatch, error, status, says):
    monkeypatch.setattr("research.cli.machine.configure_jax", lambda *_: None)

    def main(_):
        raise error

    with pytest.raises(SystemExit) as exit_info:
        run_main(main, PRESETS, "text", [])
    assert exit_info.value.code == status
    assert capsys.readouterr().err == says


@pytest.mark.parametrize("line", ["--preset large --preset small", "--preset=large --preset=small"])
def test_a_second_preset_is_refused(line):
    with pytest.raises(UserError, match="--preset: give it once"):
        parse(line)


def test_help_begins_with_the_preset_and_has_a_box_for_each_group(capsys):
    with pytest.raises(SystemExit) as left:
        parse_arguments(PRESETS, "What it does.", ["--preset", "large", "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert text.index("What it does.") < text.index("--preset {small,large}")
    assert text.index("--preset") < min(text.index(flag) for flag in ("--batch-size", "--seeds"))
    headings = ("config", "hyper-parameter", "usual", "running", "search", "process", "tracking")
    places = [text.index(f" {heading} options ") for heading in headings]
    assert places == sorted(places)
    assert "(default: 64)" in text  # batch, of the preset
    flat = " ".join(text.replace("│", " ").split())
    assert "(default: None)" not in flat  # of --name, whose text says what none means
    assert "(default: )" not in flat  # of --compile-for


def test_group_headings_are_not_part_of_flag_names():
    with pytest.raises(UserError, match=r"--search.rungs: no such flag; did you mean --search"):
        parse("--search.rungs 3")
    assert parse("--rungs 3").rungs == 3
