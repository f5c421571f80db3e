"""Tests of run folders that cannot be locked or written: one line, and nothing is left behind."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess

import pytest

from research.errors import Stopped, UserError, plain_exit
from tests.runs.test_resume import at, run  # noqa: F401

pytestmark = pytest.mark.usefixtures("default_hangup")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A run folder in which nothing was trained."""
    home = tmp_path_factory.mktemp("prepared")
    run(home, prepare=True)
    return home / "run"


@pytest.fixture
def folder(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "run")


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def refuses(home, capsys, **options):
    """Runs the sweep, checks that it ends with one line and leaves everything as it was, and
    returns the line."""
    before = contents(home)
    with pytest.raises(SystemExit) as left, plain_exit():
        run(home, **options)
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert contents(home) == before
    return error


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP])
def without_locks(request, monkeypatch):
    def flock(handle, how):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.usefixtures("without_locks")
def test_a_file_system_without_locks_is_named_before_a_folder_is_made(tmp_path, capsys):
    assert "this file system has no locks (flock: " in refuses(tmp_path, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_locks")
@pytest.mark.parametrize("worker", [False, True])
def test_a_folder_moved_to_a_file_system_without_locks_is_refused(folder, capsys, worker):
    line = refuses(folder.parent, capsys, worker=worker)
    assert f"{folder / '.locks'}: this file system has no locks" in line


def no_locks(folder):
    shutil.rmtree(folder / ".locks")


def lock_is_a_folder(folder):
    (folder / ".locks" / "folder").unlink()
    (folder / ".locks" / "folder").mkdir()


def plan_lock_is_a_folder(folder):
    (folder / ".locks" / "plan").unlink(missing_ok=True)
    (folder / ".locks" / "plan").mkdir()


def metrics_is_a_file(folder):
    shutil.rmtree(folder / "metrics")
    (folder / "metrics").write_text("")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (no_locks, "folder cannot be locked (No such file or directory)"),
        (lock_is_a_folder, "folder cannot be locked (Is a directory)"),
        (plan_lock_is_a_folder, "plan cannot be locked (Is a directory)"),
        (metrics_is_a_file, "metrics is no folder: move it away"),
    ],
)
def test_a_folder_without_usable_locks_is_refused(folder, capsys, harm, says):
    harm(folder)
    assert says in refuses(folder.parent, capsys)


def test_a_folder_that_another_process_trains_is_left_as_it_is(tmp_path, at, capsys):  # noqa: F811
    at(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped):
        run(tmp_path)
    lock = os.open(tmp_path / "run" / ".locks" / "folder", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert "is being trained by process" in refuses(tmp_path, capsys)
    os.close(lock)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
@pytest.mark.parametrize("prepare", [False, True])
def test_a_folder_on_a_read_only_file_system_is_refused(tmp_path, prepared, capsys, prepare):
    home = tmp_path / "disk"
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", home], capture_output=True).returncode:
        pytest.skip("no file system can be mounted")
    try:
        if prepare:
            shutil.copytree(prepared, home / "run")
        subprocess.run(["mount", "-o", "remount,ro", home], check=True)
        assert "Read-only file system" in refuses(home, capsys)
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)


def test_a_lock_that_is_a_folder_is_refused_to_whoever_makes_a_job(folder, capsys):
    (folder / ".locks" / "0-000000").mkdir()
    with pytest.raises(UserError, match=r"0-000000 cannot be locked \(Is a directory\)"):
        run(folder.parent)
