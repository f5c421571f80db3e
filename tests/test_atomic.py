"""Tests of atomic writes."""

import os
from pathlib import Path

import pytest

from research.atomic import (
    NotWritten,
    check_writable,
    new_folder,
    remove_partial,
    whole_file,
    write_bytes,
)


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    write_bytes(tmp_path / "a", b"old")
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    write_bytes(tmp_path / "a", b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.fixture(params=[0o022, 0o027, 0o002])
def allowed(request):
    """The permissions that a umask leaves, while it is set."""
    before = os.umask(request.param)
    yield 0o777 & ~request.param
    os.umask(before)


def test_file_permissions_follow_the_umask(tmp_path, allowed):
    write_bytes(tmp_path / "a", b"")
    with new_folder(tmp_path / "new" / "b") as staging:
        write_bytes(staging / "c", b"")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"a": allowed & 0o666, "new": allowed, "b": allowed, "c": allowed & 0o666}


def test_the_umask_is_not_touched(tmp_path, monkeypatch):
    """Changing it even for a moment would open files of other threads to everyone."""
    monkeypatch.setattr(os, "umask", None)
    write_bytes(tmp_path / "a", b"")
    with new_folder(tmp_path / "b"):
        pass


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    write_bytes(tmp_path / ("x" * 255), b"")
    with new_folder(tmp_path / ("y" * 255)):
        pass


def test_a_failed_folder_leaves_nothing_behind(tmp_path):
    def fail():
        with new_folder(tmp_path / "a" / "b" / "c") as staging:
            write_bytes(staging / "file", b"")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_folder_created_meanwhile_is_not_overwritten(tmp_path):
    def come_second():
        with new_folder(tmp_path / "a" / "b"):
            (tmp_path / "a" / "b").mkdir()
            write_bytes(tmp_path / "a" / "b" / "mine", b"")

    with pytest.raises(OSError, match="not empty"):
        come_second()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_file_keeps_its_suffix_while_it_is_written(tmp_path):
    """Matplotlib and PIL choose the format by it."""
    with whole_file(tmp_path / "a.b.png") as staging:
        assert staging.suffix == ".png"
        staging.write_bytes(b"new")
        assert [path.name[0] for path in tmp_path.iterdir()] == ["."]
    assert (tmp_path / "a.b.png").read_bytes() == b"new"


def test_an_error_names_the_file_that_was_to_be_written(tmp_path, monkeypatch):
    def fill(staging):
        raise OSError(28, "No space left on device")

    def fail(path):
        with whole_file(path) as staging:
            fill(staging)

    with pytest.raises(NotWritten, match=rf"^cannot write {tmp_path}/a: No space left on device$"):
        fail(tmp_path / "a")
    with pytest.raises(NotWritten, match=rf"^cannot write {tmp_path}/none/a: No such file"):
        fail(tmp_path / "none" / "a")
    with (
        pytest.raises(NotWritten, match=rf"^cannot write {tmp_path}/new/c/d: No such file"),
        new_folder(tmp_path / "new") as staging,
    ):
        write_bytes(staging / "c" / "d", b"")
    assert not list(tmp_path.iterdir())


def test_an_error_of_another_file_stays_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), whole_file(tmp_path / "a"):
        Path("/elsewhere/nothing").read_bytes()


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "thesis").write_text("years of work")
    (tmp_path / "a").symlink_to(tmp_path / "thesis")
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "thesis").read_text() == "years of work"
    assert not (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to a pipe", "/dev/null"])
def test_what_is_no_file_is_not_replaced(tmp_path, kind):
    """As root, a file in the place of /dev/null stops the whole machine."""
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "/dev/null":
        path.symlink_to(kind)
    else:
        os.mkfifo(path)
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link" if kind == "link to a pipe" else path
    before = path.lstat()
    with pytest.raises(NotWritten, match="it is there, and is no file"):
        write_bytes(path, b"")
    assert os.path.samestat(before, path.lstat())


def test_what_can_be_written_is_told_before_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("years of work")
    (tmp_path / "dangling").symlink_to("nowhere")
    fine = ("new", "file", "dangling")
    for name in fine:
        check_writable(tmp_path / name)
    check_writable(tmp_path / "a" / "b" / "c", parents=True)
    for name, parents, says in (
        ("a/b", False, "there is no folder"),
        ("file/a", False, "file is no folder"),
        ("file/a/b", True, "file is no folder"),
        ("dangling/a/b", True, "there is no folder .*dangling"),
        (".", False, "it is there, and is no file"),
    ):
        with pytest.raises(NotWritten, match=f"^cannot write {tmp_path / name}: .*{says}"):
            check_writable(tmp_path / name, parents=parents)
    with pytest.raises(NotWritten, match=r"^cannot write /proc/a/b: No such file"):
        check_writable("/proc/a/b", parents=True)  # which even root cannot
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(fine[1:])


LEFT = (".0123456789abcdef.partial", ".0123456789abcdef.partial.png")


def test_what_kills_have_left_is_removed_and_nothing_else(tmp_path):
    for name in (*LEFT, "a.partial", ".partial", ".a.partial"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "b" / LEFT[0] / "c").mkdir(parents=True)
    remove_partial(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == [".a.partial", ".partial", "a.partial", "b"]


def test_what_is_being_written_is_no_leftover(tmp_path):
    with new_folder(tmp_path / "b"), whole_file(tmp_path / "a") as staging:
        staging.write_bytes(b"half")
        remove_partial(tmp_path)
        with new_folder(tmp_path / "c"):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_new_folder_removes_what_a_kill_has_left_of_one(tmp_path):
    (tmp_path / LEFT[0] / "metrics").mkdir(parents=True)
    with new_folder(tmp_path / "a"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_whose_place_was_moved_is_not_made_there(tmp_path):
    (tmp_path / "a").mkdir()

    def move():
        with new_folder(tmp_path / "a" / "b") as staging:
            (tmp_path / "a").rename(tmp_path / "c")
            (staging / "made by another program").mkdir(parents=True)

    with pytest.raises(NotWritten, match="moved"):
        move()
    assert not list((tmp_path / "a").iterdir())
