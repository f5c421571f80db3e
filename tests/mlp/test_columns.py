"""Tests of parsing cells as columns of numbers or words, and of cells that cannot be used."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from research.errors import UserError
from research.mlp.cells import MISSING_IN_TEXT
from research.mlp.tables import read_columns
from tests.mlp.files import parquet, write


def test_cells_are_numbers_or_words(tmp_path):
    number, word = read_columns(write(tmp_path, "n, w \n 1 ,red\n-2.5e3, dark blue\n"))
    assert (number.name, number.is_words, word.name, word.is_words) == ("n", False, "w", True)
    np.testing.assert_array_equal(number.values, [1, -2500])
    assert word.values.tolist() == ["red", "dark blue"]
    assert not number.missing.any()
    assert not word.missing.any()


@pytest.mark.parametrize("marker", [*MISSING_IN_TEXT["words"], "NaN", "N/A", "NULL", "None", "  "])
def test_empty_cells_are_missing_in_columns_of_numbers_and_words(tmp_path, marker):
    text = f"n,w,k\n1,red,0\n{marker},{marker},0\n3,blue,0\n"
    number, word, _ = read_columns(write(tmp_path, text))
    np.testing.assert_array_equal(number.values, [1, np.nan, 3])
    assert word.values.tolist() == ["red", None, "blue"]
    for column in (number, word):
        assert column.missing.tolist() == [False, True, False]


def test_an_empty_column_is_parsed_as_missing_numbers(tmp_path):
    empty, _ = read_columns(write(tmp_path, "a,b\n,1\n?,2\n"))
    assert not empty.is_words
    assert empty.missing.all()


@pytest.mark.parametrize(
    "word", ["1_000", "0x1f", "12px", '"1,5"', "--", "nan.", "\uff11\uff12", "\u0663", "1e", "."]
)
def test_cells_that_only_resemble_numbers_are_words(tmp_path, word):
    (column,) = read_columns(write(tmp_path, f"a\n{word}\n{word}\n"))
    assert column.values.tolist() == [word.strip('"')] * 2


@pytest.mark.parametrize(("name", "between"), [("t.csv", ","), ("t.tsv", "\t"), ("T.TSV", "\t")])
def test_csv_is_split_at_commas_and_tsv_at_tabs(tmp_path, name, between):
    text = "\n".join(between.join(line) for line in (["a", "b"], ["1", "x;y"], ["2", "z"]))
    a, b = read_columns(write(tmp_path, text, name))
    assert a.values.tolist() == [1, 2]
    assert b.values.tolist() == ["x;y", "z"]


def test_byte_order_mark_quotes_and_blank_lines_are_not_content(tmp_path):
    text = '"a" , b\r\n\r\n1,"x, y"\r\n , \r\n2,z\r\n\r\n'
    a, b = read_columns(write(tmp_path, text, encoding="utf-8-sig"))
    assert (a.name, a.values.tolist()) == ("a", [1, 2])
    assert (b.name, b.values.tolist()) == ("b", ["x, y", "z"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty: a header line and rows are needed"),
        ("a,b\n", "is empty: a header line and rows are needed"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells under 2 columns"),
        ("a,b\n1,2\n3,4,5\n", "line 3: 3 cells under 2 columns"),
        ("a,b\n\n1,2\n\n\n3\n", "line 6: 1 cells under 2 columns"),
        ('a,b\n"x\ny",2\n3\n', "line 4: 1 cells under 2 columns"),
        ("a,b, a\n1,2,3\n", "several columns named 'a': rename all but one"),
        ("a,b\n1,2\n3,4\n5, six\n", "line 4, column b: 'six' is not a number, as 2 other cells"),
        ("a,b\n\n1,2\n3,4\n5,1_0\n", "line 5, column b: '1_0' is not a number"),
        ("a\n1\n?\n3\nx\n", "line 5, column a: 'x' is not a number, as 2 other cells"),
        ("a,b\n1,2\n-inf,4\n", "line 3, column a: '-inf' is above 1e"),
        ("a,b\n1,Infinity\n3,4\n", "line 2, column b: 'Infinity' is above 1e"),
        ("a,b\n1,2\n1e999,4\n", "line 3, column a: '1e999' is above 1e"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "cannot be read as CSV: field larger"),
    ],
)
def test_an_unusable_file_gives_a_one_line_error(tmp_path, text, says):
    with pytest.raises(UserError, match=rf"table\.csv.* {says}"):
        read_columns(write(tmp_path, text))


def test_a_file_in_another_encoding_is_named(tmp_path):
    path = write(tmp_path, "a,b\nä,1\n", encoding="latin-1")
    with pytest.raises(UserError, match=r"table\.csv cannot be read as CSV"):
        read_columns(path)


def test_a_column_half_of_words_is_parsed_as_words(tmp_path):
    (column,) = read_columns(write(tmp_path, "a\n1\nx\n2\ny\n"))
    assert column.values.tolist() == ["1", "x", "2", "y"]


TYPED = {
    "int": (pa.array([1, 2, 3]), [1, 2, 3]),
    "missing int": (pa.array([1, None, 3]), [1, np.nan, 3]),
    "float": (pa.array([1.5, None, 3], pa.float32()), [1.5, np.nan, 3]),
    "bool": (pa.array([True, False, True]), [1, 0, 1]),
    "missing bool": (pa.array([True, None, False]), [1, np.nan, 0]),
    "decimal": (pa.array([decimal.Decimal("0.25"), None]), [0.25, np.nan]),
    "words": (pa.array(["x", None, "1"]), ["x", None, "1"]),
    "categories": (pa.array(["x", None, "x"]).dictionary_encode(), ["x", None, "x"]),
}


@pytest.mark.parametrize("kind", list(TYPED))
def test_parquet_columns_keep_their_types(tmp_path, kind):
    written, expected = TYPED[kind]
    (column,) = read_columns(parquet(tmp_path, a=written))
    assert column.is_words == (kind in ("words", "categories"))
    np.testing.assert_array_equal(column.values, np.array(expected, column.values.dtype))
    assert column.missing.tolist() == [x is None or x != x for x in expected]


@pytest.mark.parametrize("kind", ["Int64", "boolean", "string", "category"])
def test_parquet_columns_keep_the_types_of_pandas(tmp_path, kind):
    known = ["x", "y"] if kind in ("string", "category") else [1, 0]
    frame = pd.DataFrame({"a": pd.Series([*known, None], dtype=kind)})
    frame.set_index(np.array([7, 8, 9])).to_parquet(tmp_path / "table.pq")
    (column,) = read_columns(str(tmp_path / "table.pq"))
    assert column.values.tolist()[:2] == known
    assert column.missing.tolist() == [False, False, True]


@pytest.mark.parametrize(
    "values",
    [
        [datetime.timedelta(1)],
        [[1, 2]],
        [{"x": 1}],
        [b"bytes"],
    ],
)
def test_parquet_columns_of_other_types_are_named(tmp_path, values):
    with pytest.raises(UserError, match=r"table\.parquet, column b: .*neither numbers nor words"):
        read_columns(parquet(tmp_path, a=[1], b=values))


FORMS = {
    "year-month-day": (["2020-02-29", "1969-12-31"], [18_321, -1]),
    "day.month.year": (["1.2.2020", "13.2.2020"], [18_293, 18_305]),
    "month/day/year": (["2/1/2020", "2/13/2020"], [18_293, 18_305]),
    "day month year": (["1 Feb 2020", "13 February 2020"], [18_293, 18_305]),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_a_column_of_dates_is_read_by_the_one_form_that_all_cells_have(tmp_path, form):
    cells, days = FORMS[form]
    (column,) = read_columns(write(tmp_path, "a\n" + "\n?\n".join(cells)))
    assert (column.form, column.is_dates, column.example) == (form, True, cells[0])
    np.testing.assert_array_equal(column.values, np.array([days[0], np.nan, days[1]]) * 86_400)


@pytest.mark.parametrize(
    ("cells", "form", "values"),
    [
        (["1,200", "900", "-1,000.5"], "thousands", [1200, 900, -1000.5]),
        (["12.5%", "7 %", "0%"], "percent", [12.5, 7, 0]),
        (["True", "false", "TRUE"], "truth", [1, 0, 1]),
    ],
)
def test_numbers_that_are_written_in_one_form_are_numbers(tmp_path, cells, form, values):
    (column,) = read_columns(write(tmp_path, "a\n" + "\n".join(f'"{cell}"' for cell in cells)))
    assert (column.form, column.values.tolist()) == (form, values)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["1/2/2020", "3/4/2020"], "column a: dates such as '1/2/2020' may have the day or the mo"),
        (["2020-01-02", "2020-01-03", "soon"], "line 4, column a: 'soon' is not a date, as 2 oth"),
        (["2020-01-02", "2020-01-03", "2020-02-30"], "line 4, column a: '2020-02-30' is not a da"),
        (["5%", "6%", "7"], "line 4, column a: '7' is not a number, as 2 other cells"),
        (["1,200", "900", "1,20"], "line 4, column a: '1,20' is not a number, as 2 other cells"),
    ],
)
def test_a_cell_of_another_form_is_named(tmp_path, cells, says):
    with pytest.raises(UserError, match=says):
        read_columns(write(tmp_path, "a\n" + "\n".join(f'"{cell}"' for cell in cells)))


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([datetime.datetime(2020, 1, 1, 12), None], 1_577_880_000),
        ([datetime.date(2020, 1, 1), None], 1_577_836_800),
        (pa.array(["2020-01-01", None]), 1_577_836_800),
        (pa.array([1_577_836_800], pa.timestamp("s", "Europe/Berlin")), 1_577_836_800),
    ],
)
def test_parquet_columns_of_dates_are_dates(tmp_path, values, seconds):
    (column,) = read_columns(parquet(tmp_path, a=values))
    assert (column.form, column.values[0]) == ("year-month-day", seconds)
    assert column.missing[1:].all()


def test_unusable_parquet_files_give_a_one_line_error(tmp_path):
    with pytest.raises(UserError, match="row 2, column a: -inf is above 1e"):
        read_columns(parquet(tmp_path, b=[1, 2], a=[1.0, -np.inf]))
    with pytest.raises(UserError, match="is empty: it has no rows"):
        read_columns(parquet(tmp_path, a=pa.array([], pa.int64())))
    with pytest.raises(UserError, match=r"garbled\.parquet cannot be read as Parquet"):
        read_columns(write(tmp_path, "a,b\n1,2\n", "garbled.parquet"))
    with pytest.raises(UserError, match=r"none\.parquet cannot be read as Parquet"):
        read_columns(str(tmp_path / "none.parquet"))


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    path = str(tmp_path / "table.parquet")
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(UserError, match=r"table\.parquet"):
        read_columns(path)


def test_the_error_about_a_cell_says_how_to_keep_the_column(tmp_path):
    with pytest.raises(UserError, match=r"are \(--categorical 'a b' takes all for categories\)"):
        read_columns(write(tmp_path, "a b\n1\n2\nx\n"))
