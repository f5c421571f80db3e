"""A command in another environment: what it sends, and what is said where it fails."""

import pytest

from research.accelerators import elsewhere
from research.accelerators.elsewhere import asked_device, run_elsewhere, send
from research.errors import UserError
from tests.accelerators.small_device import SMALL


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A function that makes a checkout whose `scripts/run` is a given shell script."""

    def make(lines):
        script = tmp_path / "scripts" / "run"
        script.parent.mkdir()
        script.write_text(f"#!/bin/sh\n{lines}\n")
        script.chmod(0o755)
        monkeypatch.setattr(elsewhere, "ROOT", tmp_path)

    return make


def test_facts_arrive_from_among_the_lines_of_compilers(checkout, capsys, monkeypatch):
    send({"kernels": 4, "group": "hidden=8\nsent: {}"})
    sent = capsys.readouterr().out.strip()
    monkeypatch.setenv("SENT", sent)
    noise = "head -c 200000 /dev/zero | tr '\\0' w >&2"  # more than a pipe holds
    checkout(f'echo W0000 noise; {noise}; printf "%s\\n" "$SENT"; echo "$1 $SEEDBED_VENV"')
    assert list(run_elsewhere(["word"], SMALL)) == [{"kernels": 4, "group": "hidden=8\nsent: {}"}]


def test_the_process_knows_which_device_it_compiles_for(checkout, monkeypatch):
    assert asked_device() is None
    checkout('printf \'sent: {"device": "%s"}\\n\' "$SEEDBED_COMPILES_FOR-$SEEDBED_EXTRA"')
    assert list(run_elsewhere([], SMALL)) == [{"device": "small-cuda13"}]
    monkeypatch.setenv(elsewhere.VARIABLE, "v5e")
    assert asked_device() == "v5e"


def test_its_last_line_says_why_it_failed(checkout):
    checkout("echo noise >&2; echo 'error: no compiler' >&2; exit 2")
    with pytest.raises(UserError, match=r"^no compiler$"):
        list(run_elsewhere([], SMALL))


def test_without_a_checkout_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(elsewhere, "ROOT", tmp_path)
    with pytest.raises(UserError, match="compiling for small needs a checkout of the repository"):
        list(run_elsewhere([], SMALL))
