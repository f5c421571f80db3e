"""Tests of downloads, from servers that are right, slow, broken or somebody else's."""

import hashlib
import http.server
import os
import threading
import time

import pooch
import pytest

from research import downloads
from research.console import showing_bytes
from research.downloads import Source, data_folder, download
from research.errors import UserError
from research.lm.corpora import CORPORA
from research.mlp.images import IMAGES

CONTENT = b"content" * 1_000
LENGTH = len(CONTENT)
CHECKSUM = "md5:" + hashlib.md5(CONTENT).hexdigest()
SOURCE = Source("http://127.0.0.1:9/some/file.bin", CHECKSUM, len(CONTENT))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder."""
    monkeypatch.setenv("SEEDBED_DATA", str(tmp_path))
    (tmp_path / "it").mkdir()
    return tmp_path / "it"


@pytest.mark.parametrize("flag", ["--data", "--corpus"])
def test_an_error_names_the_flag_that_was_given(folder, monkeypatch, flag):
    def refuse(*args, **options):
        raise ConnectionError

    monkeypatch.setattr(pooch, "retrieve", refuse)
    says = rf"^{flag} it: cannot download it \(ConnectionError\); get {SOURCE.url} and put it at "
    with pytest.raises(UserError, match=rf"{says}{folder}/file\.bin \({SOURCE.checksum}\)$"):
        download("it", SOURCE, flag)


def test_a_file_that_the_user_put_there_is_used(folder):
    (folder / "file.bin").write_bytes(CONTENT)
    assert download("it", SOURCE, "--data") == folder / "file.bin"


@pytest.mark.parametrize("given", ["", None])
def test_the_default_data_folder_is_in_the_users_cache(monkeypatch, given):
    if given is None:
        monkeypatch.delenv("SEEDBED_DATA", raising=False)
    else:
        monkeypatch.setenv("SEEDBED_DATA", given)
    assert data_folder().is_absolute()
    assert data_folder().parts[-2:] == ("seedbed", "data")


class _Server(http.server.BaseHTTPRequestHandler):
    """Answers each path in another way; all but `/right` and `/redirect` are wrong."""

    def do_GET(self):
        getattr(self, "send_" + self.path.strip("/"))()

    def start(self, length=LENGTH, status=200, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_right(self):
        self.start()
        self.wfile.write(CONTENT)

    def send_redirect(self):
        self.start(0, 302, Location="/right")

    def send_local(self):
        self.start(0, 302, Location="file:///etc/hostname")

    def send_circle(self):
        self.start(0, 302, Location="/circle")

    def send_missing(self):
        self.start(0, 404)

    def send_damaged(self):
        self.start()
        self.wfile.write(CONTENT.upper())

    def send_truncated(self):
        self.start()
        self.wfile.write(CONTENT[:-1])

    def send_shorter(self):
        self.start(len(CONTENT) - 1)
        self.wfile.write(CONTENT[:-1])

    def send_longer(self):
        self.start(10**12)
        self.wfile.write(CONTENT)

    def send_endless(self):
        self.start(None)
        while True:
            self.wfile.write(CONTENT)

    def send_stalled(self):
        self.start()
        self.wfile.write(CONTENT[:100])
        self.server.over.wait(20)

    def send_dripping(self):
        self.start()
        while not self.server.over.wait(0.05):
            self.wfile.write(b"c")

    def send_nothing(self):
        while not self.server.over.wait(0.05):
            self.wfile.write(b"HTTP/1.1 ")  # and never a whole line

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server, and short limits; returns a function from path to source."""
    monkeypatch.setattr(downloads, "RATE_SECONDS", 0.4)
    monkeypatch.setattr(downloads, "POLL_SECONDS", 0.02)

    class Quiet(http.server.ThreadingHTTPServer):
        over = threading.Event()
        daemon_threads = True

        def handle_error(self, request, client_address):
            """A client that has given up is no error."""

    with Quiet(("127.0.0.1", 0), _Server) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{made.server_address[1]}"
        yield lambda path: SOURCE._replace(url=f"{address}/{path}")
        made.over.set()
        made.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["right", "redirect"])
def test_the_right_file_is_kept(server, folder, path):
    assert download("it", server(path), "--data") == folder / path
    assert (folder / path).read_bytes() == CONTENT
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("damaged", "has changed, or was damaged on its way: its md5 is not"),
        ("shorter", "has changed, or was damaged"),
        ("truncated", "cannot download it"),
        ("missing", r"cannot download it \(HTTPError\)"),
        ("local", r"cannot download it \(InvalidSchema\)"),
        ("circle", r"cannot download it \(TooManyRedirects\)"),
        ("longer", r"\(the server states 1TB, and 7kB are the most that it can be\)"),
        ("endless", r"\(the server has sent .*kB, and 7kB are the most that it can be\)"),
        ("stalled", r"B came in the last 0\.4 s\)"),
        ("dripping", r"B came in the last 0\.4 s\)"),
        ("nothing", r"\(0B came in the last 0\.4 s\)"),
    ],
)
def test_anything_else_ends_in_a_line_soon_and_leaves_nothing(server, folder, path, says):
    began = time.monotonic()
    with pytest.raises(UserError, match=rf"^--data it: .*{says}"):
        download("it", server(path), "--data")
    assert time.monotonic() - began < 5
    assert not list(folder.iterdir())


def test_what_a_kill_has_left_is_removed_and_what_another_process_writes_is_not(server, folder):
    old, new, own = folder / "tmpabcdefgh", folder / "tmpstuvwxyz", folder / "tmp.csv"
    for path in (old, new, own):
        path.write_bytes(b"part")
    os.utime(old, (0, 0))
    os.utime(own, (0, 0))
    download("it", server("right"), "--data")
    assert sorted(folder.iterdir()) == sorted([folder / "right", new, own])


def test_the_bytes_of_a_download_are_shown_on_a_terminal_alone(monkeypatch, capsys):
    for terminal in (False, True):
        monkeypatch.setenv("TTY_COMPATIBLE", str(int(terminal)))
        with showing_bytes("downloading it\x1b]0;") as show:
            show(5_000, 10_000)
        out, err = capsys.readouterr()
        assert out == ""
        assert ("downloading it\\x1b]0;" in err) == terminal
        assert ("5.0/10.0 kB" in err) == terminal


def test_every_named_file_has_a_checksum_and_a_bound():
    sources = [one for named in (*CORPORA.values(), *IMAGES.values()) for one in named.sources]
    assert len(sources) > 10
    for source in sources:
        assert source.checksum.startswith(("md5:", "sha256:"))
        assert 0 < source.most_bytes <= 250_000_000
