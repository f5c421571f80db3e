"""Nothing outside a run folder is opened for it: links in it lead nowhere, also those that somebody
makes while it is looked at; and nobody waits for a pipe."""

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.looking import in_time, status_of

ROOT = Path(__file__).parents[2]
PATHS = {"open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir"}
SEEN = []
WATCHING = []  # what is being watched; there is no removing a hook


def _watch(event, given):
    if WATCHING and event in PATHS and isinstance(given[0], str | bytes):
        flags = given[2] if event == "open" else 0
        SEEN.append((os.fsdecode(given[0]), flags))


@pytest.fixture
def opened():
    """A function that returns the paths that were opened, listed or changed since it was called
    last, as they are once links are resolved."""
    if _watch not in WATCHING:
        sys.addaudithook(_watch)
    WATCHING.append(_watch)
    SEEN.clear()

    def resolved():
        found, kept = {real(*one) for one in SEEN}, SEEN.copy()
        assert kept
        SEEN.clear()
        return found

    yield resolved
    WATCHING.clear()


def real(path, flags):
    """What is behind a path; a link itself where it is not followed."""
    if flags & os.O_NOFOLLOW:
        return Path(os.path.realpath(Path(path).parent), Path(path).name)
    return Path(os.path.realpath(path))


def ours(folder):
    """Where files may be opened: the folder, this package, Python and what it is installed with."""
    known = [folder, ROOT, sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()]
    known += [sys.pycache_prefix] if sys.pycache_prefix else []  # bytecode of what is imported
    known += ["/proc", "/sys", "/dev", "/usr", "/etc", os.environ["SEEDBED_CACHE"]]
    known += [Path.home() / ".cache", Path.home() / ".config"]
    return [Path(os.path.realpath(path)) for path in known]


def check_inside(paths, folder):
    known = ours(folder)
    found = [path for path in paths if not any(path.is_relative_to(one) for one in known)]
    assert not found, found


LINKS = [
    "plan.json", "metrics", "params", "results", ".locks/folder", "report.html", "evaluation",
    "validation_accuracy.png", "run-0.gif", "vocabulary-0.json", "manifest.json",
]  # fmt: skip


def linked(folder, victim, name):
    """Moves what has the name out of the folder and puts a link in its place."""
    path, target = folder / name, victim / name.replace("/", "-")
    if path.exists():
        path.rename(target)
    else:
        target.write_text("private")
    path.symlink_to(target)


@pytest.mark.parametrize("command", ["resume", "report.tools.report", "report.tools.show"])
def test_a_folder_full_of_links_has_nothing_opened_behind_them(
    copy, victim, snapshot, opened, load_script, answer, tmp_path, monkeypatch, capsys, command
):
    folder = copy("mlp")
    for name in LINKS:
        linked(folder, victim, name)
    monkeypatch.chdir(tmp_path)
    before = snapshot()
    opened()
    if command == "resume":
        status, _, err = answer("mlp.py", "--resume it")
    else:
        status, err = status_of(command, folder), capsys.readouterr().err
    check_inside(opened(), folder)
    assert status == 2
    assert " is a link: " in err
    assert snapshot() == before


LATE = [
    ("mlp", "manifest.json", "report.tools.show"),
    ("mlp", "metrics/0-000000-000000.parquet", "report.tools.report"),
    ("mlp", "params/0-000000.safetensors", "mlp.tools.evaluate"),
    ("mlp", "evaluation/predictions-000003.safetensors", "report.tools.report"),
    ("mlp", "plan.json", "resume"),
    ("mlp", "results/0-000000.json", "resume"),
    ("lm", "vocabulary-0.json", "lm.tools.sample"),
    ("lm", "evaluation/samples.json", "report.tools.report"),
    ("dqn", "run-0.gif", "report.tools.report"),
]


@pytest.fixture
def late(monkeypatch):
    """Has folders pass as they were when they were opened: what is in them was put there since."""
    monkeypatch.setattr("research.recorded.check_contents", lambda folder: None)


def refused(command, folder, says, answer, capsys):
    if command == "resume":
        status, _, err = answer("mlp.py", "--resume it")
    else:
        status, err = status_of(command, folder), capsys.readouterr().err
    assert status == 2
    assert says in err, err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("sweep", "name", "command"), LATE)
def test_a_link_that_is_made_while_a_folder_is_looked_at_is_not_followed(
    copy, victim, late, opened, load_script, answer, tmp_path, monkeypatch, capsys,
    sweep, name, command,
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    folder = copy(sweep)
    stop(folder, command)
    linked(folder, victim, name)
    before = {path: path.read_bytes() for path in victim.iterdir()}
    opened()
    refused(command, folder, f"{name} is a link: ", answer, capsys)
    check_inside(opened(), folder)
    assert {path: path.read_bytes() for path in victim.iterdir()} == before


@pytest.mark.parametrize(("sweep", "name", "command"), LATE)
def test_nobody_waits_for_a_pipe(
    copy, late, load_script, answer, tmp_path, monkeypatch, capsys, sweep, name, command
):
    monkeypatch.chdir(tmp_path)
    folder = copy(sweep)
    stop(folder, command)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with in_time():
        refused(command, folder, "is a pipe" if says_so(name) else "error: ", answer, capsys)


def says_so(name):
    """Whether the file is not simply taken for missing, as a pipe is where one may be missing."""
    return name not in ("manifest.json", "vocabulary-0.json")


def stop(folder, command):
    """Has a finished folder look as if it could be resumed."""
    if command == "resume":
        path = folder / "manifest.json"
        path.write_text(path.read_text().replace('"status": "finished"', '"status": "stopped"'))
