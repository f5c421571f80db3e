"""Files that are downloaded once, and verified by checksum at every read."""

import os
from pathlib import Path
from typing import NamedTuple

from research.errors import UserError


class Source(NamedTuple):
    """A file to download, and its checksum."""

    url: str
    checksum: str  # ALGORITHM:HEX

    @property
    def name(self) -> str:
        """The file name in the URL."""
        return self.url.rsplit("/", 1)[-1]


def data_folder() -> Path:
    """The folder of downloads: `SEEDBED_DATA`, or one in the user's cache."""
    if given := os.environ.get("SEEDBED_DATA"):
        return Path(given)
    import platformdirs

    return platformdirs.user_cache_path("seedbed") / "data"


def download(name: str, source: Source, flag: str) -> Path:
    """The local path of a file, downloaded if it is not there, and verified in any case.

    Args:
      name: the data set that it belongs to; also the name of its folder.
      source: the file.
      flag: the flag that named the data set, for errors.

    Raises:
      UserError: if it cannot be downloaded (the error says where to put it by hand), or its
        checksum is wrong.
    """
    import pooch

    folder = data_folder() / name
    try:
        pooch.get_logger().setLevel("ERROR")
        path = pooch.retrieve(source.url, source.checksum, fname=source.name, path=folder)
    except ValueError:  # the checksum's
        raise UserError(
            f"{flag} {name}: {source.url} has changed, or was damaged on its way: its "
            f"{source.checksum.partition(':')[0]} is not {source.checksum.partition(':')[2]}"
        ) from None
    except Exception as error:
        raise UserError(
            f"{flag} {name}: cannot download it ({type(error).__name__}); get {source.url} and "
            f"put it at {folder / source.name} ({source.checksum})"
        ) from error
    return Path(path)
