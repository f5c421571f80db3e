"""Standard streams whose readers go away, whose disks are full, and that lack letters."""

import errno
import io
import os
import sys

import pytest

from research import streams
from research.errors import plain_exit
from research.streams import lasting_streams


@pytest.fixture
def piped(monkeypatch):
    """Both streams as pipes of their own, in strict ASCII; gives the ends to read from."""
    reading = []
    for name in ("stdout", "stderr"):
        read, write = os.pipe()
        reading.append(os.fdopen(read, "rb"))
        file = io.TextIOWrapper(os.fdopen(write, "wb"), "ascii", "strict")
        monkeypatch.setattr(sys, name, file)
    yield reading
    for file in [*reading, sys.stdout.buffer, sys.stderr.buffer]:
        file.close()


def test_a_reader_that_goes_away_ends_nothing(piped):
    for end in piped:
        end.close()
    done = []
    with plain_exit():
        for _ in range(3):
            print("x" * 100_000)
            print("x" * 100_000, file=sys.stderr)
        done.append(True)
    assert done


def test_what_is_read_arrives_at_once(piped):
    with lasting_streams():
        print("first")
        assert piped[0].readline() == b"first\n"


def test_what_the_encoding_lacks_is_escaped_on_both_streams(piped):
    before = sys.stdout, sys.stderr
    with lasting_streams():
        print("é 中 \udce9 ─")
        print("…", file=sys.stderr)
    assert piped[0].readline() == rb"\xe9 \u4e2d \udce9 \u2500" + b"\n"
    assert piped[1].readline() == rb"\u2026" + b"\n"
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(("code", "status"), [(errno.EIO, 0), (errno.ENOSPC, 1)])
def test_a_closed_terminal_is_no_error_and_a_full_disk_is_one_at_the_end(
    piped, monkeypatch, code, status
):
    def fail(self, data):
        raise OSError(code, os.strerror(code))

    class Failing(io.FileIO):
        write = fail

    monkeypatch.setattr(streams._Lasting, "__bases__", (Failing,))
    done, found = [], 0
    try:
        with plain_exit():
            print("a line")
            done.append(True)
    except SystemExit as left:
        found = left.code
    assert done
    assert found == status


def test_a_stream_that_is_closed_stays_so(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with lasting_streams():
        print("nowhere")
    assert sys.stdout is None
