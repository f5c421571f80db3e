"""File locks that end with the process that holds them, however it ends."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from research.errors import UserError

ENDED = b"ended"  # what a lock file begins with when nobody needs to take it any more


class Taken(Exception):
    """Another process holds the lock."""


class Lock:
    """A lock that this process holds.

    Its file can be marked: whoever takes the lock after that sees it. A network's file system may
    list a folder as it was some seconds ago, but what a file holds is up to date for whoever has
    locked it.
    """

    def __init__(self, handle: int):
        self._handle = handle

    @property
    def ended(self) -> bool:
        """Whether it was marked."""
        return os.pread(self._handle, len(ENDED), 0) == ENDED

    def mark_ended(self) -> None:
        """Marks the file as ended, for good."""
        self._rewrite(ENDED + b"\n")

    def sign(self, text: str) -> None:
        """Writes into the lock's file who holds it, unless the file is marked as ended or the disk
        is full."""
        if not self.ended:
            with contextlib.suppress(OSError):
                self._rewrite(text.encode())

    def is_at(self, path: Path) -> bool:
        """Whether the lock's file is still at a path, and has not been removed, moved or
        replaced."""
        try:
            return os.path.samestat(os.fstat(self._handle), path.lstat())
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
                raise
            return False

    def _rewrite(self, content: bytes) -> None:
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, content, 0)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False, shared: bool = False) -> Iterator[Lock]:
    """Holds a lock on `path`, a file made if need be, while open or until the process dies.

    The kernel gives it free (`flock`), so nothing is left behind by a kill.

    Args:
      wait: for whoever holds it, instead of raising.
      shared: beside others that hold it so.

    Raises:
      Taken: with the number of the process that took it, as far as it is known.
      UserError: if the file cannot be opened, or the file system has no locks.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path} cannot be locked ({reason}): the run folder must be writable, with a folder "
            ".locks in it"
        ) from None
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 64, 0).decode(errors="replace").strip()
            raise Taken(holder) from None
        except OSError as error:
            raise _no_locks(path, error) from error
        lock = Lock(handle)
        lock.sign("" if shared else f"{os.getpid()} on {os.uname().nodename}\n")
        yield lock
    finally:
        os.close(handle)


def is_marked(path: Path) -> bool:
    """Returns whether a lock's file is marked as ended, even while another process holds it."""
    try:
        return path.read_bytes().startswith(ENDED)
    except (FileNotFoundError, IsADirectoryError):
        return False


def _no_locks(path: Path, error: OSError) -> Exception:
    if error.errno in (errno.EINTR, errno.EBADF):
        return error
    return UserError(
        f"{path.parent}: this file system has no locks (flock: {error.strerror}), which keep two "
        "processes from training one folder: give a folder on another with --out"
    )
