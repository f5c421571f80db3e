"""Tests of the server of a live page."""

import http.client
import json
import os

import numpy as np
import pytest

from research.errors import UserError
from research.report.live import LivePage, serving


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
    for part in held:
        part.rename(part.with_suffix(".parquet"))
    assert get("/")[0] == 200


def test_an_invalid_or_used_port_is_named(path):
    live = LivePage([path])
    with serving(live, 0) as address:
        port = int(address.strip("/").rpartition(":")[2])
        with pytest.raises(UserError, match=f"--port {port}: .*give another"), serving(live, port):
            pass
    with pytest.raises(UserError, match="--port 70000"), serving(live, 70000):
        pass
