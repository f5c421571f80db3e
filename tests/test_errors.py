"""Tests of errors for the user: one line and an exit status."""

import pytest

from research.errors import UserError, plain_exit, shortlist


def test_a_user_error_prints_one_line_with_status_2(capsys):
    with pytest.raises(SystemExit) as exit_info, plain_exit():
        raise UserError("this\nis wrong")
    assert exit_info.value.code == 2
    assert capsys.readouterr().err == "error: this is wrong\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), plain_exit():
        _ = 1 / 0


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), ([1, "b"], "1, b"), (range(10), "0, 1, 2 and 7 more")]
)
def test_a_shortlist_has_a_limited_length(names, text):
    assert shortlist(names, 3) == text


def test_an_overlong_file_name_gives_a_one_line_error(capsys, tmp_path):
    with pytest.raises(SystemExit) as exit_info, plain_exit():
        (tmp_path / ("x" * 300)).stat()
    assert exit_info.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "the name is too long" in err


def test_no_escape_sequence_reaches_the_terminal(capsys):
    with pytest.raises(SystemExit), plain_exit():
        raise UserError("column \x1b[31mred")
    assert capsys.readouterr().err == "error: column \\x1b[31mred\n"
