"""Tests of standard streams: readers that go away, full disks, and narrow encodings."""

import contextlib
import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from research.console import print_paragraph, print_table, say, waiting
from research.errors import plain_exit
from research.streams import lasting_streams


@contextlib.contextmanager
def streams_to(*handles):
    """Redirects both standard streams to open files, in strict ASCII, while open."""
    before = sys.stdout, sys.stderr
    files = [os.fdopen(handle, "wb", buffering=0) for handle in handles]
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedWriter(file), "ascii", "strict") for file in files
    )
    try:
        yield
    finally:
        made = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = before
        for file in made:
            with contextlib.suppress(OSError):
                file.close()


def print_to(*handles):
    """The exit status of a program that prints much to open files and runs to its end."""
    done = []
    try:
        with streams_to(*handles), plain_exit():
            for _ in range(3):
                print("x" * 100_000)
                print("x" * 100_000, file=sys.stderr)
            done.append(True)
    except SystemExit as left:
        assert done
        return left.code
    assert done
    return 0


def test_a_reader_that_goes_away_does_not_end_the_program():
    (first, out), (second, err) = os.pipe(), os.pipe()
    os.close(first)
    os.close(second)
    assert print_to(out, err) == 0


def test_a_closed_terminal_does_not_end_the_program():
    terminal, out = os.openpty()
    err = os.dup(out)
    os.close(terminal)
    assert print_to(out, err) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_reported_at_the_end_only():
    read, err = os.pipe()
    done = []

    def lose():
        with streams_to(os.open("/dev/full", os.O_WRONLY), err), plain_exit():
            print("lost")
            done.append(True)

    with pytest.raises(SystemExit) as left:
        lose()
    assert left.value.code == 1
    assert done
    with os.fdopen(read, "rb") as file:
        assert (
            file.readline() == b"error: the output could not be written: No space left on device\n"
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_both_streams_on_a_full_disk_end_the_program_only_at_its_end():
    """Rich's live displays print from a thread of their own."""
    done = []

    def lose():
        full = [os.open("/dev/full", os.O_WRONLY) for _ in range(2)]
        with streams_to(*full), plain_exit():
            console = Console(force_terminal=True, width=80)
            with Live("live", console=console, refresh_per_second=100) as live:
                for number in range(5):
                    live.update(str(number), refresh=True)
                    say(console, "line")
            with waiting(console, "waiting"):
                print_table(console, ["a"], [["b"]])
                print_paragraph(console, "words")
            done.append(True)

    with pytest.raises(SystemExit) as left:
        lose()
    assert left.value.code == 1
    assert done


def test_output_is_flushed_and_escaped_for_the_encoding():
    (read_out, out), (read_err, err) = os.pipe(), os.pipe()
    with (
        os.fdopen(read_out, "rb") as from_out,
        os.fdopen(read_err, "rb") as from_err,
        streams_to(out, err),
    ):
        before = sys.stdout, sys.stderr
        with lasting_streams():
            print("é 中 \udce9 ─")
            print("…", file=sys.stderr)
            assert from_out.readline() == rb"\xe9 \u4e2d \udce9 \u2500" + b"\n"
            assert from_err.readline() == rb"\u2026" + b"\n"
        assert (sys.stdout, sys.stderr) == before


def test_a_closed_stream_stays_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with lasting_streams():
        print("nowhere")
    assert sys.stdout is None


TITLE = "\x1b]0;owned\x07\x9b31m\u202e"


def test_whoever_prints_a_terminal_is_not_commanded(tmp_path):
    """Neither are readers of a file, which a terminal may show later."""
    made = os.O_WRONLY | os.O_CREAT
    handles = [os.open(tmp_path / name, made) for name in ("out", "err")]
    with streams_to(*handles), lasting_streams():
        print(f"{TITLE}\x1b[31m\ttext")
        print(TITLE, file=sys.stderr)
    assert (tmp_path / "out").read_text() == r"\x1b]0;owned\x07\x9b31m\u202e\x1b[31m" + "\ttext\n"
    assert (tmp_path / "err").read_text() == r"\x1b]0;owned\x07\x9b31m\u202e" + "\n"


@pytest.mark.parametrize("asked", ["terminal", "FORCE_COLOR"])
def test_colours_and_progress_are_left_where_they_are_drawn(tmp_path, monkeypatch, asked):
    terminal, out = os.openpty()
    if asked == "FORCE_COLOR":
        os.close(out)
        os.close(terminal)
        terminal, out = os.pipe()
        monkeypatch.setenv("FORCE_COLOR", "1")
    with streams_to(os.dup(out), os.open(os.devnull, os.O_WRONLY)), lasting_streams():
        print(f"\r\x1b[2K\x1b[31mred\x1b[0m{TITLE}")
    assert os.read(terminal, 1000).startswith(b"\r\x1b[2K\x1b[31mred\x1b[0m\\x1b]0;owned\\x07")
    os.close(out)
    os.close(terminal)
