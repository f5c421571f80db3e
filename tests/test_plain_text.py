"""Names from data, letter by letter."""

import pytest

from research.plain_text import labels, one_line, shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ba$$in [red]x[/] :smile: <b> _a \\ %", "Ba$$in [red]x[/] :smile: <b> _a \\ %"),
        ("\x1b]0;title\x07\x1b[31mred", r"\x1b]0;title\x07\x1b[31mred"),
        ("over\rwritten\x08", r"over\rwritten\x08"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ("caf\udce9", r"caf\udce9"),  # as a file name that is no UTF-8
        ("a\u2028b\ufeff", r"a\u2028b\ufeff"),
        ("שלום 中文 é 👩\u200d🔬", "שלום 中文 é 👩\u200d🔬"),
        ("two\nlines\tand\r\na third", "two\nlines\tand\na third"),
    ],
)
def test_what_has_no_shape_is_escaped_and_the_rest_stays(text, shown):
    assert visible(text) == shown


def test_a_line_stays_one():
    assert one_line("a\nb\tc\r\nd") == r"a\nb\tc\nd"


def test_a_long_name_loses_its_middle():
    assert shortened("short", 5) == "short"
    assert shortened("0123456789", 9) == "01234…789"
    assert len(shortened("x" * 500)) == 40


def test_labels_that_look_the_same_still_differ():
    long = ["a" * 500, "a" * 501, "b", "b\n"]
    first, second, third, fourth = labels(long, 12)
    assert first.removesuffix(" (1)") == second.removesuffix(" (2)") == "aaaaaaa…aaaa"
    assert (third, fourth) == ("b", r"b\n")
