"""Tests of stopping by signals."""

import os
import signal
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
