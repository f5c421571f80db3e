"""Tests of escaping and shortening text from data."""

import pytest

from research.plain_text import (
    duration,
    human,
    in_digits,
    labels,
    one_line,
    shortened,
    visible,
    visible_but_commands,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ba$$in [red]x[/] :smile: <b> _a \\ %", "Ba$$in [red]x[/] :smile: <b> _a \\ %"),
        ("\x1b]0;title\x07\x1b[31mred", r"\x1b]0;title\x07\x1b[31mred"),
        ("over\rwritten\x08", r"over\rwritten\x08"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ("caf\udce9", r"caf\udce9"),  # as a file name that is not UTF-8
        ("a\u2028b\ufeff", r"a\u2028b\ufeff"),
        ("שלום 中文 é 👩\u200d🔬", "שלום 中文 é 👩\u200d🔬"),
        ("no\u200bwidth\xad", r"no\u200bwidth\xad"),
        ("two\nlines\tand\r\na third", "two\nlines\tand\na third"),
    ],
)
def test_invisible_characters_are_escaped_and_others_kept(text, shown):
    assert visible(text) == shown


def test_commands_of_progress_can_be_left():
    drawn = "\r\x1b[2K\x1b[1;31mred\x1b[0m"
    assert visible_but_commands(drawn) == drawn
    assert visible_but_commands("\x1b]0;x\x07\u202e\n") == "\\x1b]0;x\\x07\\u202e\n"


def test_one_line_escapes_line_breaks():
    assert one_line("a\nb\tc\r\nd") == r"a\nb\tc\nd"


def test_long_names_are_shortened_in_the_middle():
    assert shortened("short", 5) == "short"
    assert shortened("0123456789", 9) == "01234…789"
    assert len(shortened("x" * 500)) == 40


def test_labels_that_look_the_same_still_differ():
    long = ["a" * 500, "a" * 501, "b", "b\n"]
    first, second, third, fourth = labels(long, 12)
    assert first.removesuffix(" (1)") == second.removesuffix(" (2)") == "aaaaaaa…aaaa"
    assert (third, fourth) == ("b", r"b\n")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7, "7"), (999, "999"), (1000, "1k"), (12_345, "12.3k"), (4.56e6, "4.56M"),
     (999_600, "1M"), (1e18, "1e+03P"), (0.25, "0.25")],
)  # fmt: skip
def test_numbers_have_three_digits_and_a_letter(number, text):
    assert human(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.5e-6, "3.5 us"),
        (0.0123, "12.3 ms"),
        (1.5, "1.5 s"),
        (90, "1.5 min"),
        (7_200, "2 h"),
        (1e6, "11.6 days"),
    ],
)
def test_a_time_has_three_digits_and_a_unit_that_suits_it(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.123456, 4, "0.1235"), (490.44, 4, "490.4"), (24_340.6, 4, "24,341"),
        (-52_400.0, 3, "-52,400"), (1234.0, 3, "1,234"), (99.96, 3, "100"),
        (1.5e-7, 3, "1.5e-07"), (2.5e12, 3, "2.5e+12"),
        (float("nan"), 3, "nan"), (float("inf"), 3, "inf"), (0.0, 4, "0"),
    ],
)  # fmt: skip
def test_a_number_in_digits_has_no_exponent_where_its_figures_can_be_read(value, digits, expected):
    assert in_digits(value, digits) == expected
