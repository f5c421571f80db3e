"""What lies in a folder, and what folders and files are called."""

import re
from pathlib import Path
from typing import Any

from research.errors import UserError

FORMAT = 2  # of run folders
MOST_LETTERS = 80  # of the name of a file


def files_in(folder: Path, pattern: str = "*") -> list[Path]:
    """What of `pattern` lies in a folder, in order of names.

    Hidden names are left out: they are files that are not complete yet, or what others leave
    beside them, such as the `._name` of macOS and the `.nfs...` of a network's file system.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def named(path: Path) -> Path:
    """The same folder by a path that ends with its name: not `.` and not `..`."""
    return path if path.name not in ("", "..") else path.resolve()


def file_name(text: str) -> str:
    """Text from a run folder as the name of a file: letters, figures, dots and hyphens; short, and
    no path."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:MOST_LETTERS]


def check_format(path: Path, manifest: Any) -> None:
    """Raises a `UserError` if the manifest of a run folder is none, or of another format."""
    if not isinstance(manifest, dict):
        raise UserError(f"{path} is damaged: its manifest.json holds no object")
    if (found := manifest.get("format")) != FORMAT:
        raise UserError(
            f"{path} is in format {found}, and this version reads format {FORMAT} alone: use the "
            "version that made it, or train anew under another --name"
        )
