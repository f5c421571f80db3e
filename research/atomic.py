"""Atomic writes: a file or folder is complete or absent, whenever the process is killed.

What is being written has a hidden name and a lock (`flock`) that ends with its process. So what a
kill has left is told from what another process is writing, and is removed. Links are replaced, not
followed, and devices are no files.
"""

import contextlib
import errno
import fcntl
import fnmatch
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PARTIAL = ".????????????????.partial*"  # the names of what is being written

# What `tempfile` makes only its owner can read, whatever the umask, and reading the umask means
# changing it for a moment in all threads. So names are made here, and the kernel applies the umask.


class NotWritten(OSError):
    """A file or folder could not be written; `filename` is its path. What was there is unchanged,
    and nothing is half-written."""

    def __str__(self) -> str:
        return f"cannot write {self.filename}: {self.strerror}"


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces `path` by a file that holds `data`; see `whole_file`."""
    with whole_file(path) as staging:
        staging.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replaces `path` by a file that holds `text` in UTF-8; see `whole_file`."""
    write_bytes(path, text.encode())


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields the path of an empty hidden file with the suffix of `path`. At the end, once its data
    is on the disk, it replaces `path`; an error removes it.

    Raises:
      NotWritten: if the folder cannot be written, the disk is full, or `path` is a folder or a
        device.
    """
    path = Path(path)
    with _as_not_written(path):
        _check_is_no_device(path)
        staging, handle = _claim(path, path.suffix, _new_file)
        try:
            yield staging
            os.fsync(handle)
            staging.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                staging.unlink()
            raise
        finally:
            os.close(handle)


def check_writable(path: str | os.PathLike[str], *, parents: bool = False) -> None:
    """Raises a `NotWritten` unless `path`, a file or a new folder, can be written now.

    It makes a hidden file where `path` would be and removes it: permissions alone do not say what a
    file system lets be written, least of all to root.

    Args:
      path: what is to be written.
      parents: whether missing folders above it are made when it is written.
    """
    path = Path(path)
    above = path.parent
    while parents and not os.path.lexists(above):
        above = above.parent
    if not above.exists():
        raise NotWritten(errno.ENOENT, f"there is no folder {above}", str(path))
    if not above.is_dir():
        raise NotWritten(errno.ENOTDIR, f"{above} is no folder", str(path))
    with _as_not_written(path):
        _check_is_no_device(path)
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is read-only", str(path))
    try:
        staging, handle = _claim(above / path.name, "", _new_file)
        try:
            staging.unlink()
        finally:
            os.close(handle)  # which gives its lock back
    except OSError as error:
        raise NotWritten(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields a hidden folder that is renamed to `path` at the end.

    An error removes it, and the parent folders that were made for it. What kills have left beside
    it is removed, too.

    Raises:
      NotWritten: if it cannot be made, or `path` exists by then.
    """
    above = [folder for folder in path.parents if not folder.exists()]
    with _as_not_written(path), _removed_after_errors(above):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(PARTIAL):
            _remove_if_left(left)
        staging, handle = _claim(path, "", _new_folder)
        try:
            yield staging
            if not _is_at(handle, staging):
                raise FileNotFoundError(errno.ENOENT, "the folder above was moved", str(path))
            staging.rename(path)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        finally:
            os.close(handle)


@contextlib.contextmanager
def _removed_after_errors(folders: Sequence[Path]) -> Iterator[None]:
    """Removes folders after an error, as far as they are empty; the innermost is the first."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # another process may use them by now
            for folder in folders:
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
    """Removes the incomplete files and folders that kills have left in a folder and below; what
    another process is writing stays."""
    for path in list(folder.rglob(PARTIAL)):
        _remove_if_left(path)


def _claim(path: Path, suffix: str, make: Callable[[Path], int]) -> tuple[Path, int]:
    """A new hidden path in the same folder, of fixed length, however long `path` is, and a handle
    that holds its lock."""
    while True:
        staging = path.with_name(f".{secrets.token_hex(8)}.partial{suffix[:20]}")
        handle = make(staging)
        with contextlib.suppress(OSError):  # without locks, what kills leave stays
            fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(handle, staging):
            return staging, handle
        os.close(handle)  # another process took it for a leftover before it was locked


def _new_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _remove_if_left(path: Path) -> None:
    """Removes a file or folder, unless a process holds its lock."""
    with contextlib.suppress(OSError):  # as where it is gone, or there are no locks
        kind = os.O_RDONLY if path.is_dir() else os.O_RDWR
        handle = os.open(path, kind | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(handle)


def _check_is_no_device(path: Path) -> None:
    """Raises an `OSError` for what a file would replace that is none, such as /dev/null."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "it is there, and is no file", str(path))


@contextlib.contextmanager
def _as_not_written(path: Path) -> Iterator[None]:
    """Turns an error of writing `path` into a `NotWritten` that names it, and not the hidden name
    under which it arose. Errors of other files, which were read meanwhile, stay as they are."""
    try:
        yield
    except OSError as error:
        if (named := _named(error.filename, path)) is None:
            raise
        raise NotWritten(error.errno, error.strerror or str(error), str(named)) from error


def _named(filename: Any, path: Path) -> Path | None:
    """Which path an error is about: `path` or one in it; None for one elsewhere."""
    if not isinstance(filename, str | bytes | os.PathLike):
        return path
    found = Path(os.fsdecode(filename))
    if found in path.parents:
        return path
    if not found.is_relative_to(path.parent):
        return None
    first, *rest = found.relative_to(path.parent).parts
    hidden = fnmatch.fnmatchcase(first, PARTIAL)
    return path.joinpath(*rest) if hidden or first == path.name else None
