"""Tests of errors for the user: one line and an exit status."""

import errno

import pytest

from research.atomic import NotWritten, write_bytes
from research.errors import FolderLost, UserError, plain_exit, shortlist


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


MACHINE = [
    (OSError(errno.ENOSPC, "No space left on device"), "cannot write: No space left on device"),
    (OSError(errno.EROFS, "Read-only file system", "a"), "cannot write a: Read-only file system"),
    (OSError(errno.EACCES, "Permission denied", "a"), "a: Permission denied"),
    (NotWritten(errno.ENOENT, "No such file", "a\x1b[0m"), "cannot write a\\x1b[0m: No such file"),
    (NotWritten(None, "encoder error", "a.gif"), "cannot write a.gif: encoder error"),
]


@pytest.mark.parametrize(("error", "says"), MACHINE)
def test_what_the_machine_does_not_allow_is_one_line(capsys, error, says):
    with pytest.raises(SystemExit) as left, plain_exit():
        raise error
    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {says}\n"


def test_a_file_that_the_program_forgot_keeps_its_traceback(tmp_path):
    with pytest.raises(FileNotFoundError), plain_exit():
        (tmp_path / "nothing").stat()


def test_a_folder_that_cannot_be_written_is_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as left, plain_exit():
        write_bytes(tmp_path / "none" / "a", b"")
    assert left.value.code == 2
    says = f"error: cannot write {tmp_path}/none/a: No such file or directory\n"
    assert capsys.readouterr().err == says


def test_a_lost_folder_gives_status_1(capsys):
    with pytest.raises(SystemExit) as left, plain_exit():
        raise FolderLost("runs/it was removed")
    assert left.value.code == 1
    assert capsys.readouterr().err == "error: runs/it was removed\n"
