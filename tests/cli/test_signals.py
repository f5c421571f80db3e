"""Tests of stopping by signals."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from research.cli.signals import stop_request

pytestmark = pytest.mark.usefixtures("default_hangup")
ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def ask(signum, until=lambda: False):
    os.kill(os.getpid(), signum)
    deadline = time.monotonic() + 5
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)


def handlers():
    return [signal.getsignal(signum) for signum in ALL]


@pytest.mark.parametrize("signum", ALL)
def test_a_signal_requests_a_stop_without_raising(signum):
    with stop_request() as request:
        assert not request
        assert request.signum is None
        ask(signum, lambda: bool(request))
        assert request
        assert request.signum == signum


@pytest.mark.parametrize("signum", ALL)
def test_a_second_ctrl_c_stops_at_once(signum):
    with stop_request() as request:
        ask(signum, lambda: bool(request))
        with pytest.raises(KeyboardInterrupt):
            ask(signal.SIGINT)


def test_a_second_sigterm_does_not_interrupt_saving():
    with stop_request() as request:
        ask(signal.SIGINT, lambda: bool(request))
        ask(signal.SIGTERM, lambda: request.signum == signal.SIGTERM)
        ask(signal.SIGTERM, lambda: True)
    assert request.signum == signal.SIGTERM


def test_nohup_keeps_a_hangup_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_request() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert not request
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_signal_handlers_are_restored(error):
    before = handlers()
    try:
        with stop_request():
            assert not any(a == b for a, b in zip(handlers(), before, strict=True))
            if error:
                raise error
    except (RuntimeError, KeyboardInterrupt):
        pass
    assert handlers() == before


def test_each_context_begins_without_a_request():
    with stop_request() as request:
        ask(signal.SIGTERM, lambda: bool(request))
    with stop_request() as again:
        assert not again


def test_no_handlers_are_set_outside_the_main_thread():
    before, seen = handlers(), []

    def work():
        with stop_request() as request:
            seen.extend([handlers(), bool(request)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, False]
    assert handlers() == before


def test_the_death_of_the_launcher_requests_a_stop(monkeypatch):
    monkeypatch.setenv("SEEDBED_LAUNCHER", str(os.getppid()))
    with stop_request() as request:
        assert not request
    monkeypatch.setenv("SEEDBED_LAUNCHER", str(os.getpid()))  # no parent of this process
    with stop_request() as request:
        assert request
        assert request.signum == signal.SIGHUP


DEAF = """
import hashlib
from research.cli import signals
signals.PATIENCE = 0.1
with signals.stop_request():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # in C, as when a device is waited for
"""


def test_a_second_ctrl_c_ends_a_process_whose_handler_cannot_run():
    command = [sys.executable, "-c", DEAF]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)  # two signals at once would be one
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGINT
    assert said == b"error: interrupted while a device was waited for; --resume RUN resumes\n"


def test_whoever_else_is_told_of_signals_still_is():
    """Such as the event loop of a notebook."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        with stop_request() as request:
            ask(signal.SIGTERM, lambda: bool(request))
        assert os.read(reader, 64) == bytes([signal.SIGTERM])
        assert signal.set_wakeup_fd(before) == writer
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
    with stop_request():
        pass
    assert signal.set_wakeup_fd(-1) == -1
