"""A polite way to stop: SIGTERM and SIGINT ask, and whoever trains answers at the next chunk."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Whether the process was asked to stop, and by which signal."""

    def __init__(self):
        self.signum: int | None = None

    def __bool__(self) -> bool:
        return self.signum is not None

    def ask(self, signum: int, frame: FrameType | None = None) -> None:
        """The signal handler. Asked twice by the keyboard, it stops at once."""
        if self and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """While open, SIGTERM and SIGINT only leave word; in another than the main thread, which
    signals never reach, nothing changes."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {
        signum: signal.signal(signum, request.ask) for signum in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
