"""Tests of the server of a live page."""

import contextlib
import http.client
import json
import os
import socket
import time

import numpy as np
import pytest

from research.errors import UserError
from research.report import live
from research.report.live import LivePage, serving
from research.runs.jobs import Job, Plan


@pytest.fixture
def path(make_sweep):
    return make_sweep(np.random.default_rng(0).normal(size=(2, 4, 6)), status="running")


@pytest.fixture
def get(path):
    """A function that sends a request to the server and returns status and body."""
    with serving(LivePage([path]), 0) as address:
        host, port = address.removeprefix("http://").strip("/").split(":")
        assert host == "127.0.0.1"

        def ask(target, **headers):
            connection = http.client.HTTPConnection(host, int(port), timeout=30)
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, body

        yield ask


def test_the_server_serves_the_page_and_nothing_else(get, path):
    status, page = get("/")
    assert status == 200
    assert b"data-live" in page
    for target in ("/manifest.json", "/../manifest.json", f"{path}/manifest.json"):
        assert get(target)[0] == 404


def test_the_page_of_a_running_sweep_says_how_far_all_of_it_is(get, path):
    jobs = Job(0, (0, 1, 2, 3), 0, 6, 4), Job(0, (4, 5, 6, 7), 0, 12, 4)
    (path / "plan.json").write_text(json.dumps(Plan(jobs).to_json()))
    (path / "results" / f"{jobs[0].name}.json").write_text("{}")
    content = json.loads(get("/content.json?have=")[1])["html"]
    assert "4 of 8 runs done, 33% of all steps" in content
    assert f'<progress value="{1 / 3}"' in content


def test_content_is_sent_only_if_it_has_changed(get, path):
    status, body = get("/content.json?have=")
    assert status == 200
    version = json.loads(body)["version"]
    assert get(f"/content.json?have={version}") == (204, b"")
    later = (path / "manifest.json").stat().st_mtime_ns + 10**9
    os.utime(path / "manifest.json", ns=(later, later))
    status, body = get(f"/content.json?have={version}")
    assert status == 200
    assert json.loads(body)["version"] != version


def test_a_file_time_in_the_future_hides_no_later_change(get, path):
    """As where the clock of a file server is ahead."""
    parts = sorted((path / "metrics").iterdir())
    future = time.time_ns() + 10**12
    os.utime(path / "manifest.json", ns=(future, future))
    version = json.loads(get("/content.json?have=")[1])["version"]
    os.utime(parts[0], ns=(future - 10**11, future - 10**11))
    assert get(f"/content.json?have={version}")[0] == 200


def test_requests_with_a_foreign_host_name_are_refused(get):
    """Otherwise a website could read the page through a host name that resolves to loopback."""
    assert get("/", Host="evil.example:8642")[0] == 403
    assert get("/content.json", Host="evil.example")[0] == 403
    assert get("/content.json", Host="localhost:8642")[0] == 200


def test_an_empty_folder_says_so_until_metrics_arrive(get, path):
    metrics = list((path / "metrics").iterdir())
    held = [part.rename(part.with_suffix(".away")) for part in metrics]
    status, body = get("/")
    assert status == 503
    assert b"has no metrics yet" in body
    assert b"http-equiv" in body  # it asks again
    for part in held:
        part.rename(part.with_suffix(".parquet"))
    assert get("/")[0] == 200


def test_an_invalid_or_used_port_is_named(path):
    page = LivePage([path])
    with serving(page, 0) as address:
        port = int(address.strip("/").rpartition(":")[2])
        with pytest.raises(UserError, match=f"--port {port}: .*give another"), serving(page, port):
            pass
    with pytest.raises(UserError, match="--port 70000"), serving(page, 70000):
        pass


@pytest.mark.parametrize("content", ["[]", "{", '{"format": 2}', ""])
def test_a_damaged_manifest_is_told_on_a_page_that_asks_again(get, path, content):
    (path / "manifest.json").write_text(content)
    status, body = get("/")
    assert status == 503
    assert b"<p>There is no page yet: " in body
    assert b"damaged" in body


def test_what_an_error_says_is_no_markup():
    page = live._page_of(UserError("no folder <script>alert(1)</script>\x1b]0;"))
    assert "<script" not in page
    assert "\x1b" not in page


@pytest.fixture
def address(path):
    """Host and port of a server."""
    with serving(LivePage([path]), 0) as found:
        host, port = found.removeprefix("http://").strip("/").split(":")
        yield host, int(port)


@pytest.fixture
def open_sockets(address):
    """A function that opens so many connections and sends something on each."""
    with contextlib.ExitStack() as opened:

        def connect(number, sends):
            some = [opened.enter_context(socket.create_connection(address)) for _ in range(number)]
            for one in some:
                one.settimeout(60)
                one.sendall(sends)
            return some

        yield connect


def test_a_burst_of_connections_is_answered(open_sockets):
    asking = open_sockets(100, b"GET /nothing HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert all(one.makefile("rb").readline().startswith(b"HTTP/1.0 404") for one in asking)


def test_connections_that_ask_nothing_are_ended_and_block_nobody(monkeypatch, open_sockets):
    monkeypatch.setattr(live, "SECONDS_TO_ASK", 0.2)
    idle = open_sockets(live.MOST_CONNECTIONS, b"GET /")
    (asking,) = open_sockets(1, b"GET /nothing HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert asking.recv(12) == b"HTTP/1.0 404"
    for one in idle:
        with contextlib.suppress(ConnectionResetError):
            assert one.makefile("rb").readline()[:13] in (b"", b"HTTP/1.0 400 ", b"<!DOCTYPE HTM")


def test_a_slow_client_is_ended_although_it_goes_on_sending(monkeypatch, open_sockets):
    monkeypatch.setattr(live, "SECONDS_TO_ASK", 0.2)
    (slow,) = open_sockets(1, b"GET / HTTP/1.0\r\n")
    ended = False
    for _ in range(600):
        time.sleep(0.05)
        try:
            slow.sendall(b"X")
        except OSError:
            ended = True
            break
    assert ended
