"""Files in a folder, what folders and files are called, and what a run folder may contain."""

import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Any

from research.errors import FolderLost, UserError

FORMAT = 2  # of run folders
MOST_LETTERS = 80  # of the name of a file
OF_OTHERS = {"wandb"}  # folders whose own program puts links into them, which stay in them


def files_in(folder: Path, pattern: str = "*") -> list[Path]:
    """The paths in a folder that match `pattern`, sorted by name.

    Hidden names are left out: they are incomplete files, or leftovers of the operating system, such
    as `._name` of macOS and `.nfs...` of a network file system.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def named(path: Path) -> Path:
    """The path of the same folder that ends with its name, not with `.` or `..`."""
    return path if path.name not in ("", "..") else path.resolve()


def readable_name(text: str) -> str:
    """Text from a run folder with hyphens for all but letters, figures, dots and underscores: short
    and no path. Two texts may have the same."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")[:MOST_LETTERS]


def file_name(text: str) -> str:
    """The name of a file for text from a run folder, such as the name of a metric.

    It is the text itself where that is a plain name, and else has a digest of it at its end, so
    that no two texts have the same.
    """
    name = readable_name(text)
    if name and name == text and not re.search(r"-[0-9a-f]{10}$", text):
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{name or 'name'}-{digest}"


def read_file(path: Path, most: int | None = None) -> bytes:
    """The content of a file in a run folder, which is neither read through a link nor waited for.

    Args:
      path: of the file.
      most: bytes that it may have, if there is a limit.

    Raises:
      UserError: if it is a link, a pipe, a folder or a device, or too large.
      OSError: if it cannot be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(path, "a link") from None
        raise
    try:
        found = os.fstat(handle)
        if kind := _kind(found.st_mode):
            raise _refused(path, kind)
        if most is not None and found.st_size > most:
            raise UserError(f"{path} is damaged: {found.st_size:,} bytes; {most:,} are the most")
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def check_is_file(path: Path) -> None:
    """Checks that a path is a file, which a library may open, and no link to one.

    Raises:
      UserError: if it is anything else.
      OSError: if there is none.
    """
    if kind := _kind(path.lstat().st_mode):
        raise _refused(path, kind)


def check_is_no_link(path: Path) -> None:
    """Raises a `FolderLost` if a folder of a run folder has been replaced by a link meanwhile."""
    if path.is_symlink():
        raise FolderLost(
            f"{path} was replaced by a link while it was trained: training has ended, since "
            "nothing outside the run folder is written; put the folder back, and --resume resumes "
            "what was saved"
        )


def check_is_run_folder(path: Path) -> None:
    """Raises a `UserError` for a path that is no run folder."""
    if not (path / "manifest.json").is_file():
        raise UserError(f"{path} is no run folder: it has no manifest.json")


def check_contents(folder: Path) -> None:
    """Checks that a run folder holds files and folders only, so that what is read and written in it
    stays in it. The folder itself may be a link.

    Raises:
      UserError: for a link, a pipe or a device, wherever in the folder, or a folder that cannot be
        listed.
    """
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif not entry.is_file(follow_symlinks=False):
                        _check_entry(folder, Path(entry.path))
        except FileNotFoundError:
            continue  # removed meanwhile by whoever trains
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}") from None


def _check_entry(folder: Path, path: Path) -> None:
    """Checks what is neither a file nor a folder; what is gone by now is no harm."""
    try:
        kind = _kind(path.lstat().st_mode)
    except FileNotFoundError:
        return
    top, *below = path.relative_to(folder).parts
    if kind == "a link" and top in OF_OTHERS and (len(below) > 1 or _stays_in(path, folder / top)):
        return  # what is further below, such as links to logs, nothing here opens
    if kind:
        raise _refused(path, kind)


def _stays_in(link: Path, folder: Path) -> bool:
    """Whether what a link leads to, if it leads anywhere, is in a folder that is none itself."""
    return link != folder and Path(os.path.realpath(link)).is_relative_to(os.path.realpath(folder))


def _kind(mode: int) -> str:
    """What a path is that is no file, in words; empty for a file."""
    if stat.S_ISREG(mode):
        return ""
    kinds = {stat.S_ISLNK: "a link", stat.S_ISFIFO: "a pipe", stat.S_ISDIR: "a folder"}
    return next((word for is_one, word in kinds.items() if is_one(mode)), "a socket or a device")


def _refused(path: Path, kind: str) -> UserError:
    return UserError(
        f"{path} is {kind}: a run folder holds files and folders only, and nothing outside it is "
        "read or written; remove it, or put a copy in its place"
    )


def check_format(path: Path, manifest: Any) -> None:
    """Checks the format of a run folder.

    Raises:
      UserError: if its manifest is no JSON object, or states another format.
    """
    if not isinstance(manifest, dict):
        raise UserError(f"{path} is damaged: its manifest.json holds no object")
    if (found := manifest.get("format")) != FORMAT:
        raise UserError(
            f"{path} is in format {found}, and this version reads format {FORMAT} alone: use the "
            "version that made it, or train anew under another --name"
        )
