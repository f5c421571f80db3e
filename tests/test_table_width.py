"""Tests of tables that fit the width of a terminal."""

import io

import pytest
from rich.console import Console

from research.console import LOOSE, TIGHT, print_table
from research.table_width import fitted

NAMES = ["name", "settings", "validation_accuracy\nmedian IQM [95%]", "when"]
ROWS = [
    ["dqn-20261126-235630", "4 settings of learning_rate x 32 seeds",
     "validation_bits_per_character 4.126 [4.079, 4.174]", "2026-11-26 23:50"],
    ["bw", "1 setting x 1 seed", "regret -0.5 [-1, 0.25]", "2026-11-27 01:12"],
]  # fmt: skip


def printed(width, padding):
    file = io.StringIO()
    print_table(Console(file=file, width=width), NAMES, ROWS, padding=padding)
    return file.getvalue()


@pytest.mark.parametrize("padding", [TIGHT, LOOSE])
@pytest.mark.parametrize("width", [66, 80, 100])
def test_numbers_intervals_and_dates_are_never_broken(width, padding):
    text = printed(width, padding)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for whole in ("4.126", "[4.079, 4.174]", "[-1, 0.25]", "2026-11-26", "23:50", "[95%]"):
        assert whole in text


def test_a_score_stays_with_its_interval_where_other_columns_can_be_broken():
    text = printed(80, LOOSE)
    for whole in ("4.126 [4.079, 4.174]", "-0.5 [-1, 0.25]"):
        assert whole in text


def test_a_table_that_fits_is_left_as_it_is():
    assert fitted(NAMES, ROWS, 200, 2) == (NAMES, ROWS)


def test_only_as_much_is_broken_as_has_to_be():
    names, rows = fitted(["a_long_heading", "b"], [["1.5 [1, 2]", "x"]], 15, 1)
    assert (names, rows) == (["a_long_\nheading", "b"], [["1.5 [1, 2]", "x"]])
    names, rows = fitted(["a_long_heading", "b"], [["1.5 [1, 2]", "x"]], 10, 1)
    assert rows == [["1.5\n[1, 2]", "x"]]


def test_no_letter_is_lost_where_there_is_no_room():
    names, rows = fitted(NAMES, ROWS, 1, 1)
    letters = lambda texts: ["".join(text.split()) for text in texts]
    assert letters(names) == letters(NAMES)
    assert [letters(row) for row in rows] == [letters(row) for row in ROWS]
