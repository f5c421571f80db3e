"""Asks a sweep to stop at the next chunk: by SIGTERM, SIGINT and SIGHUP (which a closed terminal
sends), and when the launcher that started this process has ended."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

LAUNCHER = "SEEDBED_LAUNCHER"  # the variable that holds the number of that process


class StopRequest:
    """Whether the process was asked to stop, and by which signal; SIGHUP if its launcher has
    ended."""

    def __init__(self):
        self.signum: int | None = None
        self._launcher = os.environ.get(LAUNCHER)

    def __bool__(self) -> bool:
        if self.signum is None and self._launcher not in (None, str(os.getppid())):
            self.signum = signal.SIGHUP
        return self.signum is not None

    def ask(self, signum: int, frame: FrameType | None = None) -> None:
        """The signal handler. Asked twice by the keyboard, it stops at once."""
        if self and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Turns SIGTERM, SIGINT and SIGHUP into a request to stop, while open; where `nohup`
    ignores SIGHUP, it stays ignored. Outside the main thread, which signals never reach,
    nothing changes."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    asking = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asking.append(signal.SIGHUP)
    before = {signum: signal.signal(signum, request.ask) for signum in asking}
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
