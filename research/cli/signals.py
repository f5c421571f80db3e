"""Asks a sweep to stop at the next chunk: by SIGTERM, SIGINT and SIGHUP (which a closed terminal
sends), and when the launcher that started this process has ended."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from research.console import print_text

PATIENCE = 5.0  # seconds that a handler has to run in; it cannot while a device is waited for
LAUNCHER = "SEEDBED_LAUNCHER"  # the variable that holds the number of that process


class StopRequest:
    """Whether the process was asked to stop, and by which signal; SIGHUP if its launcher has
    ended."""

    def __init__(self):
        self.signum: int | None = None
        self.interrupted = threading.Event()  # whether KeyboardInterrupt was raised
        self._launcher = os.environ.get(LAUNCHER)

    def __bool__(self) -> bool:
        if self.signum is None and self._launcher not in (None, str(os.getppid())):
            self.signum = signal.SIGHUP
        return self.signum is not None

    def ask(self, signum: int, frame: FrameType | None = None) -> None:
        """The signal handler. Asked twice by the keyboard, it stops at once."""
        if self and signum == signal.SIGINT:
            self.interrupted.set()
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
        with _end_of_a_deaf_process(request):
            yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _end_of_a_deaf_process(request: StopRequest) -> Iterator[None]:
    """Ends the process, while open, if it is asked to stop at once and its handler cannot run: the
    main thread waits for a device, say for an episode that never ends.

    Nothing is lost but the work since the last checkpoint, as if it were killed.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    others = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if others != -1:  # an event loop is told of signals, as in a notebook
        signal.set_wakeup_fd(others, warn_on_full_buffer=False)
        os.close(reader)
    else:
        threading.Thread(target=_watch, args=(reader, request), daemon=True).start()
    try:
        yield
    finally:
        request.interrupted.set()
        if others == -1:
            signal.set_wakeup_fd(-1)
        os.close(writer)  # which ends the thread


def _watch(reader: int, request: StopRequest) -> None:
    """Reads the numbers of signals as they come, by a handler in C that always runs."""
    asked = False
    with os.fdopen(reader, "rb", buffering=0) as signals:
        while numbers := signals.read(64):
            for signum in numbers:
                if asked and signum == signal.SIGINT and not request.interrupted.wait(PATIENCE):
                    line = "interrupted while a device was waited for; --resume RUN resumes"
                    print_text(f"error: {line}", error=True)
                    os._exit(128 + signal.SIGINT)
                asked = asked or signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
