"""Tests of atomic writes."""

import os

import pytest

from research.atomic import new_folder, write_bytes


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
