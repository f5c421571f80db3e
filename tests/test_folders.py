"""Tests of listing folders, their names, and the format of run folders."""

import ast
from pathlib import Path

import pytest

from research.errors import UserError
from research.folders import check_format, files_in, named

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
    "research/atomic.py": "rglob",  # for hidden names
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
