"""Files that are downloaded once, and checked every time they are read."""

import os
from pathlib import Path
from typing import NamedTuple

from research.errors import UserError


class Source(NamedTuple):
    """A file to download, and how to know that it is the right one."""

    url: str
    checksum: str  # ALGORITHM:HEX

    @property
    def name(self) -> str:
        """The file's name in its address."""
        return self.url.rsplit("/", 1)[-1]


def data_folder() -> Path:
    """Where downloads are kept: `SEEDBED_DATA`, or the user's cache."""
    if given := os.environ.get("SEEDBED_DATA"):
        return Path(given)
    import platformdirs

    return platformdirs.user_cache_path("seedbed") / "data"


def download(name: str, source: Source, flag: str) -> Path:
    """The local path of a file, fetched if need be and checked in any case.

    Args:
      name: of what it is a part of, and of the folder it is kept in.
      source: the file.
      flag: that the person gave `name` by, for errors.

    Raises:
      UserError: saying where to put it by hand, if it cannot be had; or that it is another.
    """
    import pooch

    folder = data_folder() / name
    try:
        pooch.get_logger().setLevel("ERROR")
        path = pooch.retrieve(source.url, source.checksum, fname=source.name, path=folder)
    except ValueError:  # the checksum's
        raise UserError(
            f"{flag} {name}: {source.url} is not what it was, or was changed on its way: its "
            f"{source.checksum.partition(':')[0]} is not {source.checksum.partition(':')[2]}"
        ) from None
    except Exception as error:
        raise UserError(
            f"{flag} {name}: cannot download it ({type(error).__name__}); get {source.url} and "
            f"put it at {folder / source.name} ({source.checksum})"
        ) from error
    return Path(path)
