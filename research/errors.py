"""The one exception that a person, not a programmer, is meant to read."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any


class UserError(Exception):
    """Something the person gave is wrong: one line that names it and says what would be right."""


class Stopped(Exception):
    """Asked to stop by a signal, and everything is saved; the text says how to go on."""

    def __init__(self, text: str, signum: int):
        super().__init__(text)
        self.signum = signum


@contextlib.contextmanager
def plain_exit() -> Iterator[None]:
    """Turns a `UserError` into one line on the standard error and exit status 2, without a
    traceback; an interrupt into status 130, and a signal that was waited for into 128 and its
    number. A reader that has gone is no error to be told. For `if __name__ == "__main__"`."""
    try:
        yield
    except UserError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2) from None
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        raise SystemExit(128 + stopped.signum) from None
    except BrokenPipeError:  # as under `| head`: whoever read has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + 13) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def shortlist(names: Iterable[Any], limit: int = 8) -> str:
    """`names` as one comma-separated phrase, cut after `limit`: for the end of an error line."""
    words = [str(name) for name in names]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more
