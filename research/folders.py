"""Files in a folder, what folders and files are called, and the format of run folders."""

import re
from pathlib import Path
from typing import Any

from research.errors import UserError

FORMAT = 2  # of run folders
MOST_LETTERS = 80  # of the name of a file


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
