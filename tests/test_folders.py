"""Tests of listing folders, their names, and the format of run folders."""

import ast
import os
import re
from pathlib import Path

import pytest

from research.errors import UserError
from research.folders import (
    check_format,
    check_is_file,
    file_name,
    files_in,
    named,
    read_file,
)

ROOT = Path(__file__).parents[1]


def test_hidden_files_are_not_listed(tmp_path):
    for name in ("b.json", "a.json", "._a.json", ".nfs01", ".partial", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in files_in(tmp_path, "*.json")] == ["a.json", "b.json"]
    assert [path.name for path in files_in(tmp_path)] == ["a.json", "b.json", "c.txt"]
    assert files_in(tmp_path / "nowhere") == []


LISTING = {"glob", "rglob", "iterdir", "listdir", "scandir", "walk"}
ALLOWED = {
    "research/folders.py": "glob scandir",  # the second looks at what hides, too
    "research/atomic.py": "glob rglob",  # for hidden names
    "research/runs/checkpoints.py": "rglob",  # leaves out what macOS puts beside files
    "research/benchmark/profiling.py": "rglob",  # a temporary folder of its own
}


def test_every_folder_is_listed_without_hidden_names():
    found = []
    for part in ("research", "experiments"):
        for path in (ROOT / part).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                lists = isinstance(node, ast.Attribute) and node.attr in LISTING
                if lists and node.attr not in ALLOWED.get(name, "").split():
                    found.append(f"{name}:{node.lineno}: {node.attr}")
    assert not found, "use research.folders.files_in: " + "; ".join(found)


@pytest.mark.parametrize("typed", [".", "./", "../run", "../run/.", "sub/.."])
def test_named_resolves_dots_in_paths(tmp_path, monkeypatch, typed):
    folder = tmp_path / "run"
    (folder / "sub").mkdir(parents=True)
    monkeypatch.chdir(folder)
    path = named(Path(typed))
    assert path.name == "run"
    assert path.resolve() == folder
    assert named(Path("runs/it/")) == Path("runs/it")


@pytest.mark.parametrize(
    ("manifest", "says"),
    [({"format": 1}, "is in format 1"), ({}, "format None"), ([], "is damaged"), (3, "is damaged")],
)
def test_a_manifest_of_another_format_is_refused(manifest, says):
    with pytest.raises(UserError, match=says):
        check_format(Path("run"), manifest)
    check_format(Path("run"), {"format": 2})


NAMES = [
    "validation_accuracy", "A/B", "A-B", "A B", "A..B", "../../x", "/etc/passwd", "..", "", "$x$",
    "A\n", "A", "a" * 80, "a" * 500, "ä", "ö", "\ud800", "-", "x-0123456789", ".hidden",
]  # fmt: skip


def test_names_from_data_become_distinct_names_of_files(tmp_path):
    made = [file_name(name) for name in NAMES]
    assert made == [file_name(name) for name in NAMES]
    assert len(set(made)) == len(NAMES)
    assert made[0] == NAMES[0]
    for name in [*made, *map(file_name, made)]:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,95}", name)
        assert (tmp_path / name).parent == tmp_path
        (tmp_path / f"{name}.png").touch()
    digested = [name for name in made if name not in NAMES]
    assert not {file_name(name) for name in digested} & set(made)


def test_a_file_is_read_and_no_link_pipe_or_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"1234")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert read_file(tmp_path / "file", 4) == b"1234"
    check_is_file(tmp_path / "file")
    with pytest.raises(UserError, match=r"file is damaged: 4 bytes; 3 are the most"):
        read_file(tmp_path / "file", 3)
    for name in ("link", "pipe", "folder"):
        for look in (read_file, check_is_file):
            with pytest.raises(UserError, match=f"{name} is a {name}: a run folder holds files"):
                look(tmp_path / name)
    for look in (read_file, check_is_file):
        with pytest.raises(FileNotFoundError):
            look(tmp_path / "nothing")
