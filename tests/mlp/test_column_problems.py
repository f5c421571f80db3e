"""Tests of unusable columns: one error names all and advises a --drop that works as printed."""

import csv
import re
import shlex

import pytest

from research.cli.arguments import arguments_type, make_experiment
from research.cli.command_line import parse_arguments
from research.errors import UserError
from research.mlp import PRESETS
from research.mlp.column_problems import drop_flag, find_columns
from research.mlp.tables import read_files

ROWS = range(30)
BITS = [i % 2 for i in ROWS]
DIGITS = PRESETS["digits"]
NAMES = ["", "Name, full", "two  words", "it's", "$HOME", "-x", "--steps", "a\nb", '"q"', "é", "*"]


def write(folder, columns, name="table.csv"):
    """Writes a CSV file of (name, cells) pairs, quoted where necessary."""
    path = folder / name
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([name for name, _ in columns])
        out.writerows(zip(*(cells for _, cells in columns), strict=True))
    return str(path)


def text(word):
    return [f"{word} {i}" for i in ROWS]


def typed(words):
    """The config that a command line gives when its text is typed into a shell."""
    parser = arguments_type(DIGITS.config, DIGITS.hparams)
    arguments = parse_arguments({"digits": parser()}, "", shlex.split(words))
    return make_experiment(
        "mlp", lambda config: None, DIGITS.config, DIGITS.hparams, arguments
    ).config


def refusal(*given, **how):
    """The error as it is printed, after checking that it is one line without double spaces."""
    with pytest.raises(UserError) as raised:
        read_files(*given, **how)
    return " ".join(str(raised.value).split())


@pytest.mark.parametrize(
    "names", [[name] for name in NAMES] + [NAMES, [n for n in NAMES if n[:1] != "-"]]
)
def test_the_advised_drop_flag_works_as_printed(tmp_path, names):
    path = write(tmp_path, [("a", BITS), *((name, text("x")) for name in names), ("y", BITS)])
    line = refusal(path, "y")
    flag = re.search("--drop.*(?= leaves (it|them) out$)", line)
    assert flag, line
    table = read_files(path, "y", drop=typed(flag[0]).drop)
    assert [column.name for column in table.columns] == ["a"]
    assert len(table.left_out) == len(names)


def test_all_unusable_columns_are_named_in_one_error(tmp_path):
    """This covers both files, and the advice keeps the columns that were dropped before."""
    bad = [("name", text("Mr")), ("age", ["old", *range(1, 30)]), ("far", [1e40, *range(1, 30)])]
    twice = [("id", BITS), ("id", BITS)]
    good = [("a", BITS), ("b, c", BITS), ("only", BITS), ("gone", text("x"))]
    train = write(tmp_path, [*bad, *twice, *good, ("y", BITS)])
    bad[0] = ("name", text("Mrs"))
    test = write(
        tmp_path, [*bad, *twice, ("a", BITS), ("b, c", ["x"] * 30), ("y", BITS)], "test.csv"
    )
    line = refusal(train, "y", test, drop=["gone"])
    for said in (
        "table.csv, several columns named 'id': rename all but one; line 2, column age: 'old' is ",
        "; line 2, column far: '1e+40' is above 1e+30; ",
        "column name: 60 different words in 60 rows are text",
        "test.csv, line 2, column b, c: 'x' is not a number, as all in the training file are; ",
        "column only is only in ",
    ):
        assert said in line
    drop = typed(line[line.index("--drop") : line.index(" leaves them out")]).drop
    assert sorted(drop) == ["age", "b, c", "far", "gone", "id", "name", "only"]
    assert [column.name for column in read_files(train, "y", test, drop=drop).columns] == ["a"]


def test_many_unusable_columns_are_all_in_the_advised_flag(tmp_path):
    path = write(tmp_path, [("a", BITS), *((f"c{i}", text("x")) for i in range(9)), ("y", BITS)])
    line = refusal(path, "y")
    assert line.count("are text") == 5
    assert "; and 4 more columns; " in line
    assert f"--drop {' '.join(f'c{i}' for i in range(9))} leaves them out" in line


def test_dropping_all_columns_is_never_advised(tmp_path):
    path = write(tmp_path, [("a", text("x")), ("b", text("x")), ("y", BITS)])
    assert refusal(path, "y").endswith(
        "are text, not categories; no other column is left to predict from"
    )


def test_a_text_column_that_resembles_numbers_is_noted(tmp_path):
    path = write(tmp_path, [("a", BITS), ("area", [f"${200 + i}" for i in ROWS]), ("y", BITS)])
    assert "are text, not categories ('$200' is no number: write 1200 or 0.5); " in refusal(
        path, "y"
    )


@pytest.mark.parametrize(
    ("drop", "found"),
    [
        ("a,c", ("a", "c")),
        (["a", "b, c"], ("a", "b, c")),
        (['a,"b, c"'], ("a", "b, c")),
        (["b, c"], ("b, c",)),
        (["c", "c", " a "], ("c", "a")),
        ([""], ("",)),
        (["-x,,c"], ("-x", "", "c")),
        ((), ()),
    ],
)
def test_drop_takes_single_columns_and_comma_separated_ones(drop, found):
    assert (
        find_columns("--drop", "table.csv", ["", "a", "b, c", "c", "-x", "y"], "y", drop) == found
    )


def test_a_comma_at_the_end_names_no_column():
    assert find_columns("--drop", "table.csv", ["a", "c", "y"], "y", "c, ,a,") == ("c", "a")


def test_all_missing_columns_of_drop_are_named():
    with pytest.raises(
        UserError, match=r"--drop z 'x y': no column of t\.csv to leave out; there are a, ''"
    ):
        find_columns("--drop", "t.csv", ["a", ""], "a", ["z", "x y"])


def test_a_name_that_is_nearly_that_of_a_column_is_guessed():
    with pytest.raises(
        UserError, match=r"--categorical Zpi: no column of t\.csv; did you mean zip"
    ):
        find_columns("--categorical", "t.csv", ["zip", "y"], "y", ["Zpi"])
    with pytest.raises(UserError, match="--numeric y: it is the target; give --target-type"):
        find_columns("--numeric", "t.csv", ["zip", "y"], "y", "y")


def test_a_column_name_that_looks_like_a_flag_is_given_with_an_equals_sign():
    assert drop_flag(["a", "-b", "c, d"]) == """--drop='a,-b,"c, d"'"""
    assert drop_flag(["a", "c, d", ""]) == "--drop a 'c, d' ''"
