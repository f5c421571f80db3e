"""Errors that are meant for the user, and the exit status of each."""

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator
from typing import Any

from research.atomic import NotWritten
from research.console import print_line
from research.plain_text import one_line, shortened
from research.streams import OutputLost, lasting_streams

MOST_OF_LINE = 4_000  # letters of an error

# The machine's part of an error: no bug of the program, which a traceback would help to find.
OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
OF_THE_MACHINE = OF_WRITING | {
    errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
    errno.ENAMETOOLONG,
}  # fmt: skip


class UserError(Exception):
    """Invalid input from the user: one line that names it and says what would be right."""


def cannot_write(path: Any, error: OSError, flag: str = "") -> UserError:
    """Returns the error of a path that cannot be written, in one wording for all of them.

    Args:
      path: the path.
      error: why.
      flag: gives another path, such as `--out`; empty if none does.
    """
    instead = f"; give another {flag}" if flag else ""
    return UserError(f"cannot write {path}: {error.strerror or error}{instead}")


class Stopped(Exception):
    """A signal stopped the training after everything was saved; the text says how to resume."""

    def __init__(self, text: str, signum: int):
        super().__init__(text)
        self.signum = signum


class FolderLost(Exception):
    """The run folder that a process trains was removed, renamed or replaced meanwhile."""


@contextlib.contextmanager
def plain_exit() -> Iterator[None]:
    """Ends the program with one line and an exit status, instead of a traceback.

    A `UserError` gives status 2, and so does a file that the machine does not let be written or
    read, as where the disk is full; a run folder that is lost gives 1, an interrupt 130, a handled
    signal 128 plus its number. For `if __name__ == "__main__"`. Printing never ends the program
    meanwhile, see `lasting_streams`.
    """
    try:
        with lasting_streams(), _one_line_errors():
            yield
    except OutputLost as lost:
        with contextlib.suppress(OSError):  # the standard error may be on the same disk
            print_line(f"error: {lost}", error=True)
        raise SystemExit(1) from None


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        _say_error(str(error))
        raise SystemExit(2) from None
    except OSError as error:
        if not is_of_the_machine(error):
            raise
        _say_error(describe_os_error(error))
        raise SystemExit(2) from None
    except FolderLost as lost:
        _say_error(str(lost))
        raise SystemExit(1) from None
    except Stopped as stopped:
        print_line(str(stopped), error=True)
        raise SystemExit(128 + stopped.signum) from None
    except KeyboardInterrupt:
        print_line("interrupted", error=True)
        raise SystemExit(130) from None


def is_of_the_machine(error: OSError) -> bool:
    """Whether the machine is at fault, as where a disk is full, and not the program."""
    return isinstance(error, NotWritten) or error.errno in OF_THE_MACHINE


def describe_os_error(error: OSError) -> str:
    """What could not be written or read, and why, in one line."""
    if error.errno == errno.ENAMETOOLONG:
        return f"{shortened(str(error.filename))}: the name is too long for the file system"
    name = "" if error.filename is None else str(error.filename)
    reason = error.strerror or str(error)
    if isinstance(error, NotWritten):
        return str(error)
    if error.errno in OF_WRITING:
        return f"cannot write {name}: {reason}" if name else f"cannot write: {reason}"
    return f"{name}: {reason}" if name else reason


def _say_error(text: str) -> None:
    line = one_line(" ".join(text.split()))
    print_line(f"error: {shortened(line, MOST_OF_LINE)}", error=True)


def did_you_mean(given: str, names: Iterable[str], most: int = 1) -> str:
    """Returns the names that are nearest to what was given, as a question for error lines; empty
    if none is near. Upper and lower case are the same.

    Args:
      given: a name that there is not.
      names: those that there are.
      most: how many to name at most.
    """
    known = {name.lower(): name for name in names}
    close = difflib.get_close_matches(given.lower(), known, n=most, cutoff=0.5)
    return f"did you mean {' or '.join(known[one] for one in close)}?" if close else ""


def shortlist(names: Iterable[Any], limit: int = 8) -> str:
    """The first `limit` names, joined by commas, and how many more there are: for error lines."""
    words = [str(name) for name in names]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more
