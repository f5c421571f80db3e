"""Tests of tracking a run folder in a thread beside the training."""

import threading
import time

import pytest

from research.report import tracking as module
from research.report.trackers import EVENTS, MEMORY, TensorBoard
from research.report.tracking import tracking
from research.runs.locks import locked
from tests.report.tracked import GrowingFolder, read_scalars

JOB = "0-000000"


@pytest.fixture
def folder(tmp_path):
    return GrowingFolder(tmp_path)


@pytest.fixture
def lines():
    return []


def steps(folder):
    """The steps of the first setting that have been written."""
    files = sorted((folder.path / "tensorboard").glob(f"*/{EVENTS}"))
    return [step for step, _ in read_scalars(files[0])] if files else []


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_steps_are_written_during_training(folder, lines, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.01)
    with tracking(folder.path, [TensorBoard], lines.append):
        for step in (1, 2):
            folder.append(JOB, range(10), [step])
            wait_for(lambda step=step: steps(folder)[-1:] == [step])
    assert steps(folder) == [1, 2]
    assert lines == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_last_steps_are_written_however_the_training_ends(folder, lines, error):
    def train():
        with tracking(folder.path, [TensorBoard], lines.append):
            folder.append(JOB, range(10), [1, 2])
            raise error

    with pytest.raises(error):
        train()
    assert steps(folder) == [1, 2]
    assert "tracking" not in [thread.name for thread in threading.enumerate()]


def test_a_tracker_error_is_one_line_and_does_not_stop_training(folder, lines, monkeypatch):
    def full(tracker):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "SECONDS", 0.01)
    monkeypatch.setattr(TensorBoard, "save", full)
    with tracking(folder.path, [TensorBoard], lines.append):
        folder.append(JOB, range(10), [1])
        wait_for(lambda: lines)
        folder.append(JOB, range(10), [2])
    (line,) = lines
    assert line.startswith("tracking has ended, training continues: ")
    assert "No space left on device" in line


def test_nothing_is_tracked_through_a_link(folder, lines, monkeypatch, tmp_path):
    """The folder is one when tracking begins, and replaced later."""
    monkeypatch.setattr(module, "SECONDS", 0.01)
    place, elsewhere = folder.path / "tensorboard", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with tracking(folder.path, [TensorBoard], lines.append):
        folder.append(JOB, range(10), [1])
        wait_for((place / MEMORY).is_file)
        place.rename(tmp_path / "moved")
        place.symlink_to(elsewhere)
        folder.append(JOB, range(10), [2])
        wait_for(lambda: lines)
    (line,) = lines
    assert f"{place} is a link" in line
    assert not list(elsewhere.iterdir())


def test_only_one_of_several_processes_tracks(folder, lines, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.01)
    folder.append(JOB, range(10), [1])
    with locked(folder.path / ".locks" / "tracking"):
        with tracking(folder.path, [TensorBoard], lines.append):
            pass
        assert not (folder.path / "tensorboard").exists()
    assert lines == []


def test_another_process_takes_over_tracking(folder, lines, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.01)
    with tracking(folder.path, [TensorBoard], lines.append):
        folder.append(JOB, range(10), [1])
        wait_for(lambda: steps(folder) == [1])
        with tracking(folder.path, [TensorBoard], lines.append):  # the other, which waits
            time.sleep(0.05)
    folder.append(JOB, range(10), [2])
    with tracking(folder.path, [TensorBoard], lines.append):
        pass
    assert steps(folder) == [1, 2]
    assert lines == []


def test_steps_that_arrive_while_the_lock_is_released_are_written(folder, lines, monkeypatch):
    """Another process, just refused the lock, has written its last steps and ended."""
    follow, calls = module._follow, []

    def last_look(path, kinds, ended):
        follower = follow(path, kinds, ended)
        if not calls:
            folder.append(JOB, range(10), [2])
        calls.append(follower)
        return follower

    monkeypatch.setattr(module, "_follow", last_look)
    folder.append(JOB, range(10), [1])
    with tracking(folder.path, [TensorBoard], lines.append):
        pass
    assert steps(folder) == [1, 2]
    assert len(calls) == 2
