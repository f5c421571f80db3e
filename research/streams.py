"""Standard streams that no letter and no reader can break."""

import contextlib
import errno
import io
import sys
from collections.abc import Iterator
from typing import Any, TextIO

GONE = (errno.EPIPE, errno.EIO)  # whoever read has left; the terminal is closed


class OutputLost(Exception):
    """Something that was printed could not be written, though somebody may want to read it."""


class _Lasting(io.FileIO):
    """A file that takes all it is given, written or not, and notes what went wrong first."""

    error: OSError | None = None

    def write(self, data: Any, /) -> int | None:
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in GONE:
                self.error = self.error or error
            return len(data)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """While open, what is printed never ends the program: a reader that goes away (`| head`), a
    closed terminal and a full disk lose lines and nothing else; and what the encoding of a stream
    lacks is written as an escape, such as `\\u00e9`.

    Raises:
      OutputLost: at the end, if lines were lost though nobody went away, as on a full disk.
    """
    before = sys.stdout, sys.stderr
    made = [_lasting(stream) for stream in before]
    sys.stdout, sys.stderr = (new or old for new, old in zip(made, before, strict=True))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in made:
            if stream is not None:
                stream.flush()
    for stream in made:
        if stream is not None and (error := _raw(stream).error):
            raise OutputLost(f"the output could not be written: {error.strerror}")


def _lasting(stream: TextIO | None) -> io.TextIOWrapper | None:
    """The same stream without ends; None where it is closed, or no file but a test's capture."""
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
        file = _Lasting(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):
        return None
    buffer = io.BufferedWriter(file)
    return io.TextIOWrapper(buffer, stream.encoding, "backslashreplace", line_buffering=True)


def _raw(stream: io.TextIOWrapper) -> _Lasting:
    return stream.buffer.raw  # pyright: ignore
