"""Files that are downloaded once, and verified by checksum at every read.

A server may be slow, broken or somebody else's: a download is bounded in size and in time, and what
came of one that failed is removed.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from research.console import showing_bytes
from research.errors import UserError
from research.folders import files_in
from research.plain_text import human

CONNECT_SECONDS, SILENT_SECONDS = 10.0, 30.0  # until a server is reached; between two packets
LEAST_RATE, RATE_SECONDS = 4_000.0, 30.0  # bytes a second, on average over so many seconds
ABANDONED_SECONDS = 600.0  # after which what is still incomplete is nobody's
POLL_SECONDS = 0.1
PART_BYTES = 2**12


class Source(NamedTuple):
    """A file to download.

    Attributes:
      url: where it is.
      checksum: ALGORITHM:HEX.
      most_bytes: more than it is long; a server that sends more sends something else.
    """

    url: str
    checksum: str
    most_bytes: int

    @property
    def name(self) -> str:
        """The file name in the URL."""
        return self.url.rsplit("/", 1)[-1]


class _Refused(Exception):
    """A download that is not gone on with; the text says why."""


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
        _remove_abandoned(folder)
        path = pooch.retrieve(
            source.url, source.checksum, fname=source.name, path=folder, downloader=_fetch(source)
        )
    except ValueError:  # the checksum's
        raise UserError(
            f"{flag} {name}: {source.url} has changed, or was damaged on its way: its "
            f"{source.checksum.partition(':')[0]} is not {source.checksum.partition(':')[2]}"
        ) from None
    except Exception as error:
        raise UserError(
            f"{flag} {name}: cannot download it ({_reason(error)}); get {source.url} and "
            f"put it at {folder / source.name} ({source.checksum})"
        ) from error
    return Path(path)


def _reason(error: Exception) -> str:
    if isinstance(error, _Refused):
        return str(error)
    return getattr(error, "strerror", None) or type(error).__name__


def _remove_abandoned(folder: Path) -> None:
    """Removes what kills have left of downloads: a file of pooch's that nobody writes to."""
    for path in files_in(folder, "tmp????????"):
        with contextlib.suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def _fetch(source: Source) -> Any:
    """A downloader for pooch, which gives up where too much comes, or too little."""

    def fetch(url: str, output_file: str, pooch: Any) -> None:
        transfer = _Transfer(url, output_file, source.most_bytes)
        transfer.start()
        try:
            with showing_bytes(f"downloading {source.name}") as show:
                _watch(transfer, show)
        finally:
            transfer.given_up = True
        if transfer.error:  # not as it is: some of requests are ValueErrors, as a checksum's is
            raise _Refused(_reason(transfer.error)) from transfer.error

    return fetch


class _Transfer(threading.Thread):
    """Receives a file, in a thread of its own: a server that sends a byte now and then would keep
    this one from ever looking at the time.

    Attributes:
      bytes: that have come.
      expected: how many the server says there are, if it does.
      given_up: whether nobody waits for it any longer.
      error: why it failed, if it did.
    """

    def __init__(self, url: str, path: str, most_bytes: int):
        super().__init__(daemon=True)
        self.url, self.path, self.most_bytes = url, path, most_bytes
        self.bytes, self.expected = 0, None
        self.given_up = False
        self.error: Exception | None = None

    def run(self) -> None:
        """Receives it, and keeps the error if there is one."""
        try:
            self._receive()
        except Exception as error:
            self.error = error

    def _receive(self) -> None:
        import requests  # pooch's own

        timeout = CONNECT_SECONDS, SILENT_SECONDS
        with (
            open(self.path, "wb") as file,
            requests.get(self.url, timeout=timeout, stream=True) as response,
        ):
            response.raise_for_status()
            self.expected = int(response.headers.get("Content-Length", 0)) or None
            self._check(self.expected or 0, "states")
            for part in response.iter_content(PART_BYTES):
                if self.given_up:
                    return
                self.bytes += len(part)
                self._check(self.bytes, "has sent")
                file.write(part)

    def _check(self, count: int, does: str) -> None:
        if count > self.most_bytes:
            raise _Refused(
                f"the server {does} {human(count)}B, and {human(self.most_bytes)}B are the most "
                "that it can be"
            )


def _watch(transfer: _Transfer, show: Callable[[int, int | None], object]) -> None:
    """Waits for the end of a transfer.

    Raises:
      _Refused: if it is too slow.
    """
    began, before = time.monotonic(), 0
    while transfer.is_alive():
        transfer.join(POLL_SECONDS)
        show(transfer.bytes, transfer.expected)
        if time.monotonic() - began < RATE_SECONDS:
            continue
        came = transfer.bytes - before
        if transfer.is_alive() and came < LEAST_RATE * RATE_SECONDS:
            raise _Refused(f"{human(came)}B came in the last {RATE_SECONDS:g} s")
        began, before = time.monotonic(), transfer.bytes
