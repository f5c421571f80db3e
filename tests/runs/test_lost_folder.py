"""Tests of a run folder that is removed, renamed or replaced while its sweep trains."""

import contextlib
import shutil

import pytest

from research.errors import FolderLost, plain_exit
from research.runs import checkpoints
from tests.runs.test_resume import assert_same, at, outcome, run, whole  # noqa: F401

pytestmark = pytest.mark.usefixtures("default_hangup")


def contents(folder):
    found = (path for path in folder.rglob("*") if ".partial" not in str(path))
    return {path: path.read_bytes() for path in found if path.is_file()}


def test_a_renamed_folder_ends_the_training_and_resumes_elsewhere(tmp_path, at, whole):  # noqa: F811
    folder, moved = tmp_path / "run", tmp_path / "moved"
    at(2, lambda: folder.rename(moved))
    with pytest.raises(FolderLost, match=r"run was removed, renamed or replaced while it was"):
        run(tmp_path)
    assert not folder.exists()
    run(tmp_path, "moved")
    assert_same(moved, whole)


def test_nothing_is_made_in_the_place_of_a_removed_folder(tmp_path, at, capsys):  # noqa: F811
    at(2, lambda: shutil.rmtree(tmp_path / "run"))
    with pytest.raises(SystemExit) as left, plain_exit():
        run(tmp_path)
    assert left.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'run'} was removed")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_put_in_its_place_is_left_alone(tmp_path, at):  # noqa: F811
    folder, before = tmp_path / "run", {}

    def replace():
        folder.rename(tmp_path / "moved")
        with contextlib.suppress(shutil.Error):  # what is being written may vanish meanwhile
            shutil.copytree(tmp_path / "moved", folder, ignore=shutil.ignore_patterns("*.partial"))
        before.update(contents(folder))

    at(4, replace)
    with pytest.raises(FolderLost):
        run(tmp_path)
    assert contents(folder) == before


def test_a_folder_that_replaces_it_before_a_checkpoint_is_written_is_left_alone(
    tmp_path, monkeypatch
):
    """The thread that writes it begins a moment after it was asked to."""
    write, folder, before = checkpoints.Checkpoints._write, tmp_path / "run", {}

    def replace_and_write(*args):
        if not before:
            folder.rename(tmp_path / "moved")
            shutil.copytree(tmp_path / "moved", folder)
            before.update(contents(folder))
        write(*args)

    monkeypatch.setattr(checkpoints.Checkpoints, "_write", replace_and_write)
    with pytest.raises(FolderLost):
        run(tmp_path)
    assert before
    assert contents(folder) == before


@pytest.mark.parametrize("first", [True, False])
def test_a_folder_that_is_renamed_during_a_checkpoint_is_not_made_anew(
    tmp_path, monkeypatch, first
):
    """Orbax makes the folders that are missing where it writes."""
    write, folder = checkpoints._write_state, tmp_path / "run"

    def move():
        if folder.exists():
            folder.rename(tmp_path / "moved")

    def write_and_move(path, leaves):
        if first:
            move()
        write(path, leaves)
        move()

    monkeypatch.setattr(checkpoints, "_write_state", write_and_move)
    with pytest.raises(FolderLost):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]


@pytest.mark.parametrize(
    "name", ["metrics", "params", "results", "checkpoints", "checkpoints/1-000004", ".locks"]
)
def test_nothing_is_written_through_a_link_that_replaces_a_folder(
    name,
    tmp_path,
    at,  # noqa: F811
    capsys,
):
    """The links of a folder are looked for where it is opened; this one comes later."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis").write_text("years of work")
    place = tmp_path / "run" / name

    def replace():
        place.rename(tmp_path / "moved")
        place.symlink_to(tmp_path / "elsewhere")

    at(4, replace, group=1)
    with pytest.raises(SystemExit) as left, plain_exit():
        run(tmp_path)
    assert left.value.code == 1
    error = capsys.readouterr().err
    lost = tmp_path / "run" if name == ".locks" else place
    assert error.startswith(f"error: {lost} was re")
    assert error.count("\n") == 1
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["thesis"]
    place.unlink()
    (tmp_path / "moved").rename(place)
    run(tmp_path)
    metrics, _ = outcome(tmp_path / "run")
    assert metrics["step"].max() == 6
