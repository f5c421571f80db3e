"""Atomic writes: a file or folder is complete or absent, whenever the process is killed."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

# What `tempfile` makes only its owner can read, whatever the umask, and reading the umask means
# changing it for a moment in all threads. So names are made here, and the kernel applies the umask.


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces `path` by a file that holds `data`, once the data is on the disk.

    Raises:
      OSError: if the folder cannot be written or the disk is full; `path` is then as it was.
    """
    path = Path(path)
    staging = _beside(path)
    handle = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    except BaseException:
        staging.unlink()
        raise


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a hidden folder that is renamed to `path` at the end.

    An error removes it, and the parent folders that were made for it.

    Raises:
      OSError: if it cannot be made, or `path` exists by then.
    """
    above = [folder for folder in path.parents if not folder.exists()]
    staging = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        yield staging
        staging.rename(path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process may use them by now
            for folder in above:
                folder.rmdir()
        raise


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Flushes the names in a folder to the disk (`fsync`)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_partial(folder: Path) -> None:
    """Removes the incomplete files that kills have left in a folder and below; only while nobody
    else writes there."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """An unused hidden path in the same folder, of fixed length, however long `path` is."""
    return path.with_name(f".{secrets.token_hex(8)}.partial")
