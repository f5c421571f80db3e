"""Tests of reading tables, and of errors that name file, line and column."""

import re

import numpy as np
import pytest

from research.errors import UserError
from research.mlp.tables import read_bundled, read_files
from tests.mlp.files import BITS, COLORS, ROWS, UP, csv, parquet, write


def by_name(columns):
    return {column.name: column for column in columns}


def test_words_are_classes_in_alphabetical_order(tmp_path):
    table = read_files(csv(tmp_path, a=UP, b=COLORS), "b")
    assert table.class_names == ["blue", "green", "red"]
    assert [table.class_names[k] for k in table.y] == COLORS
    assert [column.name for column in table.columns] == ["a"]


@pytest.mark.parametrize(("count", "classes"), [(2, 2), (20, 20), (21, 0)])
def test_a_target_of_few_integers_is_classification(tmp_path, count, classes):
    labels = [float(3 * (i % count)) for i in range(42)]
    table = read_files(csv(tmp_path, a=range(42), b=labels), "b")
    assert table.class_names == [str(3 * k) for k in range(classes)]
    values = [table.class_names[k] for k in table.y] if classes else table.y
    np.testing.assert_array_equal(np.array(values, float), labels)


@pytest.mark.parametrize("target_type", ["auto", "numbers"])
def test_a_target_of_fractions_is_regression(tmp_path, target_type):
    halves = [bit / 2 for bit in BITS]
    table = read_files(csv(tmp_path, a=UP, b=halves), "b", target_type=target_type)
    assert table.class_names == []
    assert table.y.tolist() == halves


def test_a_target_type_that_is_given_wins(tmp_path):
    path = csv(tmp_path, a=UP, few=BITS, many=[7 * i for i in ROWS], words=COLORS)
    assert read_files(path, "few", target_type="numbers").y.tolist() == BITS
    assert read_files(path, "few", target_type="numbers").class_names == []
    many = read_files(path, "many", target_type="classes")
    assert [int(many.class_names[k]) for k in many.y] == [7 * i for i in ROWS]
    assert read_files(path, "words", target_type="classes").class_names == sorted(set(COLORS))


def test_classes_that_are_large_numbers_have_names_of_their_own(tmp_path):
    table = read_files(csv(tmp_path, a=UP, b=[8_123_456 + bit for bit in BITS]), "b")
    assert table.class_names == ["8123456", "8123457"]


@pytest.mark.parametrize(
    ("target", "target_type", "says"),
    [
        ("words", "numbers", r"--target-type numbers: words of .*table\.csv holds words"),
        ("halves", "classes", r"--target-type classes: halves of .*table\.csv holds fractions"),
        ("text", "auto", "column text: 30 different words in 30 rows are text.*--target"),
        ("five", "auto", "the target five is 5 in every row"),
        ("five", "numbers", "the target five is 5 in every row"),
        ("yes", "auto", "the target yes is yes in every row"),
        ("gone", "auto", "no rows after cleaning: the target gone is always missing"),
        ("", "auto", r"--target is missing for .*table\.csv; the columns are words, halves"),
        ("wrods", "auto", r"--target wrods: no such column in .*table\.csv; .*words, halves"),
    ],
)
def test_an_unusable_target_gives_a_one_line_error(tmp_path, target, target_type, says):
    columns = {"words": COLORS, "halves": [i / 2 for i in ROWS], "text": [f"no {i}" for i in ROWS]}
    constant = {"five": [5] * 30, "yes": ["yes"] * 30, "gone": ["?"] * 30}
    path = csv(tmp_path, **columns, **constant)
    drop = "text" if target and target not in ("text", "wrods") else ""
    with pytest.raises(UserError, match=says):
        read_files(path, target, drop=drop, target_type=target_type)


def test_rows_without_a_target_do_not_make_a_second_class(tmp_path):
    """A missing target must not count as a class."""
    path = csv(tmp_path, a=UP, b=["yes" if bit else "" for bit in BITS])
    with pytest.raises(UserError, match="the target b is yes in every row"):
        read_files(path, "b")


def test_rows_without_a_target_are_left_out_and_counted(tmp_path):
    labels = ["?" if i in (0, 4, 29) else i / 2 for i in ROWS]
    table = read_files(csv(tmp_path, a=UP, c=COLORS, b=labels), "b")
    assert table.dropped == 3
    number, word = table.columns
    assert (2 * table.y).tolist() == number.values.tolist()
    assert word.values.tolist() == [COLORS[int(i)] for i in number.values]
    assert len(table.y) == 27


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["?"] * 12, "no rows after cleaning: the target b is always missing"),
        (["?"] * 12 + list(range(9)), "9 rows of data, without 12 whose target is missing; at lea"),
        (list(range(9)), "9 rows of data; at least 10 are needed"),
    ],
)
def test_too_few_rows_are_refused(tmp_path, labels, says):
    with pytest.raises(UserError, match=says):
        read_files(csv(tmp_path, a=range(len(labels)), b=labels), "b")
    assert len(read_files(csv(tmp_path, a=range(10), b=range(10)), "b").y) == 10


def test_dropped_columns_are_left_out(tmp_path):
    path = csv(tmp_path, a=UP, c=COLORS, d=UP, e=UP, b=BITS)
    table = read_files(path, "b", drop="c, e,")
    assert [column.name for column in table.columns] == ["a", "d"]


@pytest.mark.parametrize(
    ("drop", "says"),
    [
        ("z", r"--drop z: no column of .*table\.csv to leave out; there are a, c, b"),
        ("a,z", "--drop z: no column"),
        ("b", "--drop b: it is the target"),
        ("a,c", "no column besides the target b"),
    ],
)
def test_an_invalid_drop_gives_a_one_line_error(tmp_path, drop, says):
    with pytest.raises(UserError, match=says):
        read_files(csv(tmp_path, a=UP, c=COLORS, b=BITS), "b", drop=drop)


def test_text_is_refused_until_it_is_dropped(tmp_path):
    path = csv(tmp_path, a=UP, c=[f"Mr {i % 16}" for i in ROWS], b=BITS)
    says = "column c: 16 different words in 30 rows are text, not categories; --drop c leaves"
    with pytest.raises(UserError, match=says):
        read_files(path, "b")
    assert len(read_files(path, "b", drop="c").columns) == 1
    assert read_files(csv(tmp_path, a=[f"Mr {i % 15}" for i in ROWS], b=BITS), "b").columns


def test_a_word_column_is_text_beyond_one_distinct_word_in_ten_rows(tmp_path):
    def path(kinds):
        words = [f"Mr {i % kinds}" for i in range(600)]
        return csv(tmp_path, a=words, b=[i % 2 for i in range(600)])

    assert read_files(path(60), "b").columns
    with pytest.raises(UserError, match="column a: 61 different words in 600 rows are text"):
        read_files(path(61), "b")


def test_chosen_columns_are_categories_or_numbers(tmp_path):
    """Zip codes keep their zeros, also where there are more of them than categories may be."""
    ids, zips = [100 + i for i in ROWS], [f"0{i}" for i in ROWS]
    path = csv(tmp_path, customer_id=ids, zip=zips, a=BITS, b=BITS)
    table = read_files(path, "b", categorical=["zip"], numeric=["customer_id"])
    columns = by_name(table.columns)
    assert columns["zip"].values.tolist() == zips
    assert columns["customer_id"].values.tolist() == ids
    assert not table.ids
    for flags in ({"categorical": "a", "numeric": "a"}, {"drop": "a", "categorical": "a"}):
        with pytest.raises(UserError, match="--categorical a"):
            read_files(path, "b", **flags)
    with pytest.raises(UserError, match="line 2, column a: 'x' is not a number, as 14 other cells"):
        read_files(csv(tmp_path, a=["x", "y"] * 8 + BITS[:14], b=BITS), "b", numeric="a")


def test_columns_that_look_like_ids_are_left_out(tmp_path):
    codes = [f"C{i:04}" for i in ROWS]
    table = read_files(csv(tmp_path, customer_id=UP, code=codes, a=UP, b=BITS), "b")
    assert (table.ids, [one.name for one in table.columns]) == (("customer_id", "code"), ["a"])
    with pytest.raises(UserError, match="every value of id differs, as of an id, and no other col"):
        read_files(csv(tmp_path, id=UP, b=BITS), "b")


def test_a_chosen_parquet_column_of_numbers_has_the_words_of_whole_numbers(tmp_path):
    path = parquet(tmp_path, zip=[None, 1201, *[7] * 28], b=BITS)
    (column,) = read_files(path, "b", categorical="zip").columns
    assert column.values.tolist()[:3] == [None, "1201", "7"]


def test_rows_of_a_test_file_come_last(tmp_path):
    """The columns of the test file have another order, and there is one more."""
    train = csv(tmp_path, a=UP, c=COLORS, b=BITS)
    test = csv(tmp_path, "test.csv", b=[1, 0], more=[0, 0], c=["red", "pink"], a=[70, 80])
    table = read_files(train, "b", test)
    assert table.test_rows == 2
    columns = by_name(table.columns)
    assert list(columns) == ["a", "c"]
    assert columns["a"].values.tolist() == [*UP, 70, 80]
    assert columns["c"].values.tolist() == [*COLORS, "red", "pink"]
    assert table.y.tolist() == [*BITS, 1, 0]


def test_columns_of_a_test_file_have_the_types_of_the_training_file(tmp_path):
    """Read by itself, its words would be numbers and its only class would count as missing."""
    train = csv(tmp_path, a=["1", "x", "2", "z", "z"] * 6, b=["+-"[bit] for bit in BITS])
    table = read_files(train, "b", csv(tmp_path, "test.csv", a=["1", "2"], b=["-", "-"]))
    assert table.columns[0].values[-2:].tolist() == ["1", "2"]
    assert (table.class_names, table.test_rows) == (["+", "-"], 2)
    assert table.y[-2:].tolist() == [1, 1]


def test_plus_and_minus_are_classes(tmp_path):
    table = read_files(csv(tmp_path, a=UP, b=["+-"[bit] for bit in BITS]), "b")
    assert (table.class_names, table.dropped, table.missing_words) == (["+", "-"], 0, {})
    assert table.y.tolist() == BITS


def test_words_that_count_as_missing_can_be_chosen(tmp_path):
    """NA is Namibia's country code, and None may be a category."""
    countries = [("NA", "DE", "None")[i % 3] for i in ROWS]
    path = csv(tmp_path, a=["." if bit else i for i, bit in enumerate(BITS)], b=countries)
    with pytest.raises(UserError, match=r"column a: 6 different words in 10 rows are text"):
        read_files(path, "b")
    table = read_files(path, "b", missing=["."])
    assert (table.class_names, table.dropped) == (["DE", "NA", "None"], 0)
    assert table.columns[0].missing.tolist() == [bool(bit) for bit in BITS]
    assert table.missing_words == {"a": {".": 15}}


def test_words_counted_as_missing_are_summed_over_both_files(tmp_path):
    gaps = {"a": [1, "?", "-"] * 5, "c": ["NA", "x", ""] * 5, "gone": ["?"] * 15}
    train = csv(tmp_path, **gaps, b=["none", *BITS[:14]])
    test = csv(tmp_path, "test.csv", a=["?"], c=["x"], gone=[1], b=[1])
    table = read_files(train, "b", test, drop=["gone"])
    assert table.missing_words == {"a": {"-": 5, "?": 6}, "c": {"NA": 5}, "b": {"none": 1}}
    assert table.rows.tolist() == list(range(1, 16))


def test_the_error_about_a_single_class_names_words_counted_as_missing(tmp_path):
    path = csv(tmp_path, a=UP, b=["none" if bit else "some" for bit in BITS])
    with pytest.raises(UserError, match=r"is some in every row; read as missing: 'none' \(15\)"):
        read_files(path, "b")


NUMBER_LIKE = [
    ["1,200", "1,300", "900"], ["5%", "6%", "7%"], ["$1", "$2", "$3"], ["1 200", "1 300", "900"],
    ["1.200.000", "2.100.000", "3.000.000"], ["\uff11", "\uff12", "\uff13"],
]  # fmt: skip
OTHERS = [
    ["1", "x", "y"], ["12px", "3px", "4"], ["a,b", "c", "1"], ["1-2", "3-4", "5-6"],
    ["2020-01-02", "12:30", "1/2"],
]  # fmt: skip


@pytest.mark.parametrize("cells", NUMBER_LIKE)
def test_a_target_that_resembles_numbers_is_refused(tmp_path, cells):
    path = csv(tmp_path, a=UP, b=[f'"{cells[i % 3]}"' for i in ROWS])
    says = f"the target b looks like numbers but is words, such as '{min(cells)}'"
    for target_type in ("auto", "numbers"):
        with pytest.raises(UserError, match=re.escape(says)):
            read_files(path, "b", target_type=target_type)
    assert len(read_files(path, "b", target_type="classes").class_names) == 3


@pytest.mark.parametrize("cells", OTHERS)
def test_other_words_are_classes(tmp_path, cells):
    path = csv(tmp_path, a=UP, b=[f'"{cells[i % 3]}"' for i in ROWS])
    assert read_files(path, "b").class_names == sorted(cells)


def test_parquet_words_count_as_missing_only_if_named(tmp_path):
    words = [("none", "-", " x ", "")[i % 4] for i in ROWS]
    path = parquet(tmp_path, a=words, b=BITS)
    (column,) = read_files(path, "b").columns
    assert column.values[:4].tolist() == ["none", "-", "x", None]
    (column,) = read_files(path, "b", missing=("none",)).columns
    assert column.values[:4].tolist() == [None, "-", "x", None]


def test_missing_targets_of_both_files_are_left_out(tmp_path):
    train = csv(tmp_path, a=UP, b=["?", "?", *BITS[2:]])
    test = csv(tmp_path, "test.csv", a=[70, 80, 90], b=[0, "?", 1])
    table = read_files(train, "b", test)
    assert (table.dropped, table.test_rows) == (3, 2)
    assert table.columns[0].values[-3:].tolist() == [29, 70, 90]


def test_an_empty_column_of_a_test_file_fits_any_type(tmp_path):
    train = csv(tmp_path, a=UP, c=COLORS, b=BITS)
    test = csv(tmp_path, "test.csv", a=["?", "?"], c=["?", "?"], b=[0, 1])
    a, c = read_files(train, "b", test).columns
    assert a.missing.tolist() == c.missing.tolist() == [False] * 30 + [True] * 2
    assert c.values[-1] is None


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"a": [1], "b": [1]}, r"test\.csv, column c is only in .*table\.csv; --drop c leaves it"),
        ({"a": ["x"], "c": ["red"], "b": [1]}, r"test\.csv, line 2, column a: 'x' is not a number"),
        ({"a": [1], "c": ["red"], "b": ["x"]}, r"test\.csv, line 2, column b: 'x' is not a number"),
        ({"a": [1], "c": ["red"]}, r"--target b: no such column in .*test\.csv"),
        ({"a": [1], "c": ["red"], "b": ["?"]}, r"test\.csv has no rows after cleaning: b is alway"),
        ({"a": [1], "c": ["red"], "b": ["inf"]}, r"test\.csv, line 2, column b: 'inf'"),
    ],
)
def test_an_inconsistent_test_file_gives_a_one_line_error(tmp_path, columns, says):
    train = csv(tmp_path, a=UP, c=COLORS, b=BITS)
    with pytest.raises(UserError, match=says):
        read_files(train, "b", csv(tmp_path, "test.csv", **columns))


def test_an_unreadable_test_file_is_not_reported_as_data(tmp_path):
    train, test = csv(tmp_path, a=UP, b=BITS), write(tmp_path, "", "test.csv")
    with pytest.raises(UserError, match=r"test\.csv is empty") as raised:
        read_files(train, "b", test)
    assert not str(raised.value).startswith("--data ")


def test_bundled_sets_have_column_names_and_digits_are_images():
    digits, diabetes, iris = map(read_bundled, ("digits", "diabetes", "iris"))
    assert (digits.image, digits.brightest) == ((8, 8, 1), 16)
    assert max(column.values.max() for column in digits.columns) == 16
    assert (diabetes.image, diabetes.class_names) == ((), [])
    assert iris.class_names == ["setosa", "versicolor", "virginica"]
    assert iris.columns[0].name == "sepal length (cm)"
