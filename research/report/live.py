"""The page of a sweep that is still running, served on loopback; it renews itself."""

import contextlib
import hashlib
import html
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from research.errors import UserError
from research.folders import files_in
from research.plain_text import visible
from research.recorded import read_manifest
from research.report.page.page import LiveProgress, make_content, make_page
from research.report.read import RunFolderData, read_run_folder
from research.report.summary import Summary, summarize

if TYPE_CHECKING:
    from research.runs.overall import Pace

HOST = "127.0.0.1"
RESAMPLES = 200  # of a band: the page is made anew every few seconds
MOST_CONNECTIONS = 32  # that are answered at once; others wait in the queue
QUEUE = 128  # connections that wait
SECONDS_TO_ASK = 10.0  # that a client has to send its whole request


class LivePage:
    """The page that is served: made anew when it is asked for and the run folders have changed."""

    def __init__(
        self,
        paths: Sequence[str | Path],
        metric: str | None = None,
        problem: str | None = None,
    ):
        """
        Args:
          paths: of the run folders.
          metric, problem: as `summarize` takes them.
        """
        self._paths = [Path(path) for path in paths]
        self._asked = metric, problem
        self._lock = threading.Lock()
        self._version, self._content = "", b""
        self._paces: dict[Path, Pace] = {}

    def page(self) -> bytes:
        """The whole page, of what the run folders hold now.

        Raises:
          UserError: if there is nothing yet, or it cannot be read.
        """
        return make_page(self._summary(), live=True, progress=self._progress()).encode()

    def content(self, have: str) -> bytes:
        """The content of the page as JSON; empty if it is still that of version `have`.

        Raises:
          UserError: if it cannot be read.
        """
        with self._lock:
            version = self._version_now()
            if version == have:
                return b""
            if version != self._version:
                content = make_content(self._summary(), RESAMPLES, self._progress())
                self._content = json.dumps(content | {"version": version}).encode()
                self._version = version
            return self._content

    def _progress(self) -> list[LiveProgress]:
        """How far each sweep is that is not finished, as far as its plan can be read."""
        from research.runs.overall import Pace, read_overall  # with JAX, which takes a second

        found = []
        for path in self._paths:
            with contextlib.suppress(OSError, UserError):
                if read_manifest(path)["status"] == "finished":
                    continue
                overall = read_overall(path)
                pace = self._paces.setdefault(path, Pace(overall))
                name = f"{path.resolve().name}: " if len(self._paths) > 1 else ""
                words = overall.in_words(pace.seconds_left(overall))
                found.append(LiveProgress(overall.share, name + words))
        return found

    def _summary(self) -> Summary:
        return summarize(self._read(), *self._asked)

    def _read(self) -> list[RunFolderData]:
        return [read_run_folder(path) for path in self._paths]

    def _version_now(self) -> str:
        """A version that changes when a folder does, whatever the clocks that stamp its files."""
        files = [file for path in self._paths for file in _watched(path)]
        stats = [(file, _stat(file)) for file in files]
        seen = [(str(file), stat.st_mtime_ns, stat.st_size) for file, stat in stats if stat]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def _watched(path: Path) -> list[Path]:
    parts = [*files_in(path / "metrics", "*.parquet"), *files_in(path / "evaluation")]
    return [path / "manifest.json", *parts]


def _stat(path: Path):
    with contextlib.suppress(FileNotFoundError):  # a job that is resumed cuts its metrics
        return path.stat()


class LiveServer(ThreadingHTTPServer):
    """A server of the page on loopback alone: for this machine, and by an SSH tunnel.

    It answers `MOST_CONNECTIONS` at once, while others wait. A connection that has not sent its
    request after `SECONDS_TO_ASK` is ended, however slowly it sends.
    """

    request_queue_size = QUEUE
    daemon_threads = True

    def __init__(self, live: LivePage, port: int):
        """
        Args:
          live: what to serve.
          port: 0 picks a free one.

        Raises:
          UserError: if the port is taken.
        """
        self._slots = threading.Semaphore(MOST_CONNECTIONS)
        self._asking: dict[Any, float] = {}  # connection -> when it was accepted
        try:
            super().__init__((HOST, port), _handler(live))
        except (OSError, OverflowError) as error:
            raise UserError(f"--port {port}: {error}; give another, or 0 for a free one") from None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers a connection in a thread of its own, as soon as there are few enough."""
        while not self._slots.acquire(timeout=0.1):
            self.service_actions()
        self._asking[request] = time.monotonic()
        super().process_request(request, client_address)

    def has_asked(self, request: Any) -> None:
        """Notes that the request of a connection is complete, so that it may take its time."""
        self._asking.pop(request, None)

    def service_actions(self) -> None:
        """Ends connections that are too slow to ask. Called twice a second by `serve_forever`."""
        latest = time.monotonic() - SECONDS_TO_ASK
        for request, began in list(self._asking.items()):
            if began < latest:
                self.has_asked(request)
                with contextlib.suppress(OSError):
                    request.shutdown(2)  # whoever reads from it goes on, as at the end of a file

    def shutdown_request(self, request: socket | tuple[bytes, socket]) -> None:
        """Closes a connection, after which another one is answered."""
        self.has_asked(request)
        super().shutdown_request(request)
        self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that went away; any other error is printed as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(live: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, LiveServer)
            self.server.has_asked(self.request)
            # Against DNS rebinding: a page of another name may not read this one.
            name = (self.headers.get("Host") or "").partition(":")[0]
            if name not in ("localhost", HOST):
                self._send(403, "text/plain", b"only as localhost")
                return
            url = urlsplit(self.path)
            have = parse_qs(url.query).get("have", [""])[0]
            routes: dict[str, tuple[str, Callable[[], bytes]]] = {
                "/": ("text/html; charset=utf-8", live.page),
                "/content.json": ("application/json", lambda: live.content(have)),
            }
            if url.path not in routes:
                self._send(404, "text/plain", b"there is only /")
                return
            kind, make = routes[url.path]
            try:
                body = make()
            except UserError as error:
                self._send(503, "text/html; charset=utf-8", _page_of(error).encode())
                return
            self._send(200 if body else 204, kind, body)

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _page_of(error: UserError) -> str:
    """A page that says why there is none yet, and asks again."""
    why = html.escape(visible(error))
    return (
        '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="3">'
        f"<title>Not yet</title><p>There is no page yet: {why}</p><p>This page asks again every "
        "three seconds.</p>"
    )


@contextlib.contextmanager
def serving(live: LivePage, port: int) -> Iterator[str]:
    """Serves the page while the context is open, and yields its address."""
    server = LiveServer(live, port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
