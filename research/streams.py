"""Standard streams that survive a reader that goes away, a full disk and a narrow encoding."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from research.plain_text import visible, visible_but_commands

COLOURED = ("FORCE_COLOR", "TTY_COMPATIBLE")  # ask for colours where there is no terminal
GONE = (errno.EPIPE, errno.EIO)  # the reader has closed the pipe; the terminal is closed


class OutputLost(Exception):
    """Printed output could not be written, though its reader was still there."""


class _Lasting(io.FileIO):
    """A file that accepts every write, even one that fails, and keeps the first error."""

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


class _Escaping(io.TextIOWrapper):
    """A text stream with escapes for all that a terminal would obey, whoever prints it: the parser
    of flags and warnings show words from files, too. Colours and progress are for terminals."""

    def write(self, text: str, /) -> int:
        drawn = self.isatty() or any(os.environ.get(name) for name in COLOURED)
        super().write(visible_but_commands(text) if drawn else visible(text))
        return len(text)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Keeps printing from ending the program while open.

    A reader that leaves (`| head`), a closed terminal and a full disk lose lines and nothing else.
    Characters that the encoding of a stream lacks become escapes, such as `\\u00e9`.

    Raises:
      OutputLost: at the end, if lines were lost for another reason than a reader that left, such as
        a full disk.
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
    """A stream to the same file that accepts every write; None if it is closed or no file."""
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
        file = _Lasting(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):
        return None
    buffer = io.BufferedWriter(file)
    return _Escaping(buffer, stream.encoding, "backslashreplace", line_buffering=True)


def _raw(stream: io.TextIOWrapper) -> _Lasting:
    return stream.buffer.raw  # pyright: ignore
