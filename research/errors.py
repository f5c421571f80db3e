"""The one exception that is meant for the user, not for the programmer."""

import contextlib
import errno
from collections.abc import Iterable, Iterator
from typing import Any

from research.console import print_text
from research.plain_text import shortened
from research.streams import OutputLost, lasting_streams


class UserError(Exception):
    """Something the person gave is wrong: one line that names it and says what would be right."""


class Stopped(Exception):
    """Asked to stop by a signal, and everything is saved; the text says how to resume."""

    def __init__(self, text: str, signum: int):
        super().__init__(text)
        self.signum = signum


@contextlib.contextmanager
def plain_exit() -> Iterator[None]:
    """Turns a `UserError` into one line on the standard error and exit status 2, without a
    traceback; an interrupt into status 130, and a signal that was waited for into 128 and its
    number. What is printed meanwhile never ends the program, see `lasting_streams`. For
    `if __name__ == "__main__"`."""
    try:
        with lasting_streams(), _one_line_errors():
            yield
    except OutputLost as lost:
        print_text(f"error: {lost}", error=True)
        raise SystemExit(1) from None


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        _say_error(str(error))
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        _say_error(f"{shortened(str(error.filename))}: the name is too long for the file system")
        raise SystemExit(2) from None
    except Stopped as stopped:
        print_text(str(stopped), error=True)
        raise SystemExit(128 + stopped.signum) from None
    except KeyboardInterrupt:
        print_text("interrupted", error=True)
        raise SystemExit(130) from None


def _say_error(text: str) -> None:
    print_text("error: " + " ".join(text.split()), error=True)


def shortlist(names: Iterable[Any], limit: int = 8) -> str:
    """`names` as one comma-separated phrase, cut after `limit`: for the end of an error line."""
    words = [str(name) for name in names]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more
