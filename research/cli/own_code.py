"""Which code of their own the user has named on a command line: a run folder alone names none.

A run folder records which environment it was trained on, and that may be a file of Python. Whoever
made the folder wrote that name. So code is run for a run folder only if the user of this machine
has named the same file or module before, or does so now.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from research.errors import UserError

FILE = "own-code.txt"  # in the user's state folder: a line for each file or module


def remember(places: Iterable[str]) -> None:
    """Records that the user has named code.

    Args:
      places: files that end with `.py`, and modules by their names.
    """
    known = _known()
    if new := [one for one in dict.fromkeys(map(_resolved, places)) if one not in known]:
        with contextlib.suppress(OSError):  # then the user names it again the next time
            path = _file()
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.writelines(f"{one}\n" for one in new)


def check_known(places: Iterable[str], folder: Path, how: str) -> None:
    """Checks that the user has named all code that a run folder asks for.

    Args:
      places: what the folder names.
      folder: the run folder.
      how: the user can name it, for the end of the error line: `add --env maze.py:Maze`.

    Raises:
      UserError: if not.
    """
    known = _known()
    for place in places:
        if _resolved(place) not in known:
            raise UserError(
                f"{folder} was trained with the code in {place}, which you have not used on this "
                f"machine before: if you trust it, {how}"
            )


def _resolved(place: str) -> str:
    path = place if not place.endswith(".py") else str(Path(place).resolve())
    return path.encode("unicode_escape").decode("ascii")


def _known() -> set[str]:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if _file().stat().st_uid == os.getuid():
            return set(_file().read_text("utf-8").splitlines())
    return set()


def _file() -> Path:
    import platformdirs

    return platformdirs.user_state_path("seedbed") / FILE
