"""Locks that end with the process that holds them, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Taken(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False, shared: bool = False) -> Iterator[None]:
    """Holds `path`, a file made if need be, until left or until the process dies.

    The kernel gives it free (`flock`), so nothing is left behind by a kill.

    Args:
      wait: for whoever holds it, instead of raising.
      shared: beside others that hold it so.

    Raises:
      Taken: with the number of the process that took it, as far as it is known.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 64, 0).decode(errors="replace").strip()
            raise Taken(holder) from None
        os.ftruncate(handle, 0)  # whoever held it before
        if not shared:
            os.pwrite(handle, f"{os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
