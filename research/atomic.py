"""Files that are there whole or not at all, whenever the process is killed."""

import os
import tempfile
from pathlib import Path


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces `path` by `data` in one step, once the data is on the disk.

    Raises:
      OSError: if the folder cannot be written or the disk is full; `path` is then as it was.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~umask())  # mkstemp makes files that only the owner reads
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Waits until the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def umask() -> int:
    """The permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
