"""Tests of command lines word by word: flags given twice or without a value, and numbers."""

import pytest

from research.errors import UserError
from research.flags import (
    PlainParser,
    check_path,
    check_words,
    number_after,
    read_value,
    unexpected,
)

FLAGS = {"--seeds": True, "--learning-rate": True, "--keep": False, "--preset": True}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--seeds 3 4 --keep --learning-rate -1",
        "--seeds= --keep",
        "--no-keep",
        "RUN --keep OTHER",
        "--unknown 3 --unknown 4",
        "--no-seeds 1 --seeds 1",  # which is for a parser to refuse
    ],
)
def test_a_flag_may_be_given_once_with_its_values(line):
    check_words(line.split(), FLAGS)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--seeds 3 --seeds 4", "^--seeds 3 and --seeds 4: --seeds is given twice; give it once$"),
        ("--seeds 3 --keep --seeds=4", "^--seeds 3 and --seeds=4: --seeds is given twice"),
        ("--learning_rate 1 --learning-rate 2", "--learning-rate is given twice"),
        ("--keep --keep", "^--keep and --keep: --keep is given twice"),
        ("--keep --no-keep", "^--keep and --no-keep: --keep is given twice"),
        ("--seeds", "^--seeds: it takes a value; '' is the empty one$"),
        ("--seeds --keep", "^--seeds: it takes a value"),
        ("--seeds a\x1bb --seeds 4", r"^--seeds a\\x1bb and --seeds 4"),
    ],
)
def test_a_flag_that_is_given_twice_or_lacks_its_value_is_refused(line, says):
    with pytest.raises(UserError, match=says):
        check_words(line.split(" "), FLAGS)


def test_a_word_that_cannot_be_read_is_named_and_escaped():
    assert read_value(int, "--runs", "7", "a number") == 7
    for word, says in (("a\nb", r"--runs a\\nb: not a number"), ("", "--runs '': not a number"),
                       ("9" * 50, r"--runs 9{40}\.\.\.: not")):  # fmt: skip
        with pytest.raises(UserError, match=says):
            read_value({}.__getitem__, "--runs", word, "a number")


@pytest.mark.parametrize("word", ["", "a\nb", "a\x1b[31m", "a\udcff"])
def test_an_empty_path_and_one_with_control_characters_are_refused(word):
    check_path("--out", None)
    check_path("--out", "na\u00efve \u65e5")
    with pytest.raises(UserError, match=r"^--out '"):
        check_path("--out", word)


@pytest.fixture
def parser():
    made = PlainParser("it", "What it does.")
    made.add_argument("--runs", type=number_after("--runs"), nargs="+")
    made.add_argument("--more", nargs="+", action="extend")
    made.add_argument("--quick", action="store_true")
    return made


def test_a_parser_reads_what_is_right(parser):
    given = parser.parse_args(["--runs", "1", "2", "--more", "a", "--more", "b", "--quick"])
    assert (given.runs, given.more, given.quick) == ([1, 2], ["a", "b"], True)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--runs 1 x", "--runs x: not a whole number, such as 1000"),
        ("--runs 1 --runs 2", "--runs is given twice"),
        ("--runs", "--runs: it takes a value"),
        ("--quick x", "--quick x: not expected here"),
        ("--run 3", "--run: no such flag; did you mean --runs"),
        (
            "--quick true",
            "--quick true: .*; it takes no value: give --quick alone, or leave it out",
        ),
        ("--runs 1,000", r"--runs 1,000: .*; did you mean 1000\?"),
    ],
)
def test_the_errors_of_a_parser_are_one_line(parser, line, says):
    with pytest.raises(UserError, match=says):
        parser.parse_args(line.split())


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--lr", "--learning-rate"),
        ("--bs=64", "--batch-size"),
        ("--batch", "--batch-size"),
        ("--learning_rat", "--learning-rate"),
        ("--Hidden", "--hidden"),
        ("--e", "--help lists all"),
    ],
)
def test_a_flag_that_there_is_not_is_guessed(word, meant):
    flags = dict.fromkeys(["--learning-rate", "--batch-size", "--hidden", "--epsilon-end"], True)
    right = unexpected(word, [word], flags).partition("; ")[2]
    assert right == (meant if " " in meant else f"did you mean {meant}?")
