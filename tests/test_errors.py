"""One line for a person."""

import subprocess
import sys

import pytest

from research.errors import UserError, plain_exit, shortlist


def test_a_user_error_is_one_line_and_status_2(capsys):
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
def test_a_shortlist_is_short(names, text):
    assert shortlist(names, 3) == text


def test_a_reader_that_has_gone_is_no_traceback():
    code = "from research.errors import plain_exit\nwith plain_exit():\n print('x' * 10**6)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
