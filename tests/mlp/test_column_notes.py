"""Tests of what is told of columns: ids, codes, and forms of numbers and dates."""

import numpy as np
import pytest

from research.mlp.column_notes import describe, is_id
from research.mlp.columns import Column


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("id", [3, 1, 2], True), ("customer_id", [3, 1, np.nan], True), ("rowId", [1, 2, 3], True),
        ("id", [3, 3, 2], False), ("id", [0.5, 1, 2], False), ("paid", [1, 2, 3], False),
        ("income", [1, 2, 3], False), ("code", ["C1", "C2", "D3"], True),
        ("code", ["C1", "C2", "C"], False), ("price", ["$1", "$2", "$3"], False),
        ("size", ["1px", "2px", "3px"], False), ("User ID", ["ann", "bob", None], True),
        ("name", ["ann", "bob", "eve"], False), ("id", ["a 1", "b 1", "c"], False),
    ],
)  # fmt: skip
def test_an_id_differs_in_every_row_and_is_named_so_or_a_code(name, values, found):
    kind = object if isinstance(values[0], str) else float
    assert is_id(Column(name, np.array(values, kind))) == found


def test_dates_that_all_differ_are_no_id():
    assert not is_id(Column("date_id", np.array([0.0, 1.0]), {}, "year-month-day"))


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (Column("d", np.zeros(2), {}, "day.month.year", "1.2.2020"),
         "column d is read as dates, day.month.year, such as '1.2.2020'"),
        (Column("n", np.zeros(2), {}, "percent", "12.5%"),
         "column n is read as numbers: '12.5%' is 12.5"),
        (Column("zip", np.zeros(2), {}, "", "01234"),
         "column zip holds numbers that begin with 0, such as '01234', as codes do"),
        (Column("w", np.array(["1", "x", "2", "y"], object)),
         "column w holds 2 numbers among 2 words, such as 'x': each is a category"),
    ],
)  # fmt: skip
def test_how_cells_were_read_is_told(column, says):
    assert describe(column) == says


@pytest.mark.parametrize("values", [[1.0, 2.0], ["x", "y"], ["x", None]])
def test_nothing_is_told_where_there_was_no_choice(values):
    kind = float if values[0] == 1.0 else object
    assert describe(Column("a", np.array(values, kind), {}, "")) == ""
