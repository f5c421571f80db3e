"""Tests of locks between processes."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import threading

import pytest

from research.errors import UserError
from research.runs import locks
from research.runs.locks import Taken, is_marked, locked

HOLD = """
import runpy, sys
from pathlib import Path
locked = runpy.run_path(sys.argv[1])["locked"]
with locked(Path(sys.argv[2]), shared=sys.argv[3] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def another_process(path, how="alone"):
    """Starts a process that holds the lock until its input is closed."""
    command = [sys.executable, "-c", HOLD, locks.__file__, str(path), how]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process


@pytest.mark.parametrize("shared", [False, True])
def test_a_refused_process_is_told_who_holds_the_lock(tmp_path, shared):
    with (
        another_process(tmp_path / "lock") as process,
        pytest.raises(Taken, match=f"^{process.pid} on {os.uname().nodename}$"),
        locked(tmp_path / "lock", shared=shared),
    ):
        pass


def test_a_lock_excludes_the_same_process(tmp_path):
    with (
        locked(tmp_path / "lock"),
        pytest.raises(Taken, match=f"^{os.getpid()} on "),
        locked(tmp_path / "lock"),
    ):
        pass


def test_a_lock_is_released_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / "lock"):
        raise RuntimeError
    with locked(tmp_path / "lock"):
        pass


def test_a_lock_dies_with_the_process_that_holds_it(tmp_path):
    with another_process(tmp_path / "lock") as process:
        process.kill()
        process.wait()
        with locked(tmp_path / "lock"):
            pass


def test_a_shared_lock_excludes_an_exclusive_one(tmp_path):
    with another_process(tmp_path / "lock", "shared"):
        with locked(tmp_path / "lock", shared=True):
            pass
        with pytest.raises(Taken), locked(tmp_path / "lock"):
            pass
    with locked(tmp_path / "lock"):
        pass


def test_a_shared_lock_does_not_name_who_held_it_before(tmp_path):
    with locked(tmp_path / "lock"):
        pass
    with (
        locked(tmp_path / "lock", shared=True),
        pytest.raises(Taken) as taken,
        locked(tmp_path / "lock"),
    ):
        pass
    assert not str(taken.value)


def test_a_refused_process_does_not_disturb_the_holder(tmp_path):
    with another_process(tmp_path / "lock") as process:
        for _ in range(2):
            with pytest.raises(Taken, match=str(process.pid)), locked(tmp_path / "lock"):
                pass


def test_a_waiting_process_gets_the_lock_when_it_is_free(tmp_path):
    got, leave = threading.Event(), threading.Event()

    def wait():
        with locked(tmp_path / "lock", wait=True):
            got.set()
            leave.wait(10)

    waiting = threading.Thread(target=wait)
    with another_process(tmp_path / "lock") as process:
        waiting.start()
        assert not got.wait(0.2)
        process.stdin.close()
        assert got.wait(10)
    with pytest.raises(Taken), locked(tmp_path / "lock"):
        pass
    leave.set()
    waiting.join()


def test_an_end_mark_is_seen_with_and_without_the_lock(tmp_path):
    path = tmp_path / "lock"
    assert not is_marked(path)
    with locked(path) as lock:
        assert not lock.ended
        lock.mark_ended()
        assert is_marked(path)
    for shared in (False, True):
        with locked(path, shared=shared) as lock:
            assert lock.ended
    assert is_marked(path)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_gives_a_one_line_error(tmp_path, monkeypatch, code):
    def none(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(UserError, match=r"this file system has no locks .* --out"):
        locked(tmp_path / "lock").__enter__()
