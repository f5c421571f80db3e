"""Files in a folder, what folders and files are called, and what a run folder may contain."""

import os
import re
import stat
from pathlib import Path
from typing import Any

from research.errors import UserError

FORMAT = 2  # of run folders
MOST_LETTERS = 80  # of the name of a file
OF_OTHERS = {"wandb"}  # folders whose own program puts links into them; nothing here follows these


def files_in(folder: Path, pattern: str = "*") -> list[Path]:
    """The paths in a folder that match `pattern`, sorted by name.

    Hidden names are left out: they are incomplete files, or leftovers of the operating system, such
    as `._name` of macOS and `.nfs...` of a network file system.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def named(path: Path) -> Path:
    """The path of the same folder that ends with its name, not with `.` or `..`."""
    return path if path.name not in ("", "..") else path.resolve()


def file_name(text: str) -> str:
    """Text from a run folder as the name of a file: letters, figures, dots and hyphens; short, and
    no path."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:MOST_LETTERS]


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
                        if entry.name not in OF_OTHERS or Path(entry.path).parent != folder:
                            waiting.append(Path(entry.path))
                    elif not entry.is_file(follow_symlinks=False) and not _is_gone(entry):
                        raise UserError(
                            f"{entry.path} is {_kind(entry)}: a run folder holds files and folders "
                            "only, and nothing outside it is read or written; remove it, or put a "
                            "copy in its place"
                        )
        except FileNotFoundError:
            continue  # removed meanwhile by whoever trains
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}") from None


def _is_gone(entry: os.DirEntry[str]) -> bool:
    return not os.path.lexists(entry.path)


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "a link"
    mode = entry.stat(follow_symlinks=False).st_mode
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket or a device"


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
