"""Files and folders that are there whole or not at all, whenever the process is killed."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

# `tempfile` makes files and folders for their owner alone, whatever the umask says, and the umask
# cannot be asked for without changing it for a moment in all threads. So names are made here, and
# the kernel applies the umask.


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces `path` by `data` in one step, once the data is on the disk.

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
    """A hidden folder, which is renamed to `path` in the end; after an error nothing is left, nor
    are the folders above it that had to be made.

    Raises:
      OSError: if it cannot be made, or something is at `path` then.
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
        with contextlib.suppress(OSError):  # others may use them by now
            for folder in above:
                folder.rmdir()
        raise


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Waits until the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    """A name that nobody else uses; of one length, so that any name has room for it."""
    return path.with_name(f".{secrets.token_hex(8)}.partial")
