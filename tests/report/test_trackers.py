"""Tests of trackers: TensorBoard's files and W&B's runs, read back from the disk."""

import json
import os
import socket
import sys
import threading
from contextlib import closing

import numpy as np
import pytest

from research.errors import UserError
from research.report.follower import Follower, TrackedSetting
from research.report.trackers import EVENTS, TensorBoard, WandB, chosen_trackers, safe_name
from tests.report.tracked import (
    GrowingFolder,
    read_events,
    read_scalars,
    read_wandb,
    wandb_history,
)

JOB = "0-000000"


@pytest.fixture
def folder(tmp_path):
    return GrowingFolder(tmp_path)


def track(folder, kind):
    """Tracks a run folder for one session."""
    with closing(kind(folder.path)) as tracker:
        Follower(folder.path, [tracker]).update()


def events_files(folder):
    return sorted((folder.path / "tensorboard").glob(f"*/{EVENTS}"))


def expected(loss, step):
    """The values of a setting with losses [S, T] at a step."""
    values = loss[:, step - 1].astype(np.float64)
    facts = {"iqm": np.mean(np.sort(values)[1:-1]), "least": values.min(), "most": values.max()}
    tags = {f"loss/{name}": value for name, value in facts.items()}
    if step % 2 == 0:
        tags |= {f"score/{name}": 2 * value for name, value in facts.items()}
    return tags | {"left_out": 0.0}


def test_tensorboard_has_a_file_per_setting_with_the_logged_values(folder):
    folder.append(JOB, range(10), [1, 2, 3])
    track(folder, TensorBoard)
    files = events_files(folder)
    assert [file.parent.name for file in files] == ["000-rate-0.1", "001-rate-0.2"]
    for setting, file in enumerate(files):
        assert read_events(file)[0].file_version == "brain.Event:2"
        scalars = read_scalars(file)
        assert [step for step, _ in scalars] == [1, 2, 3]
        for step, values in scalars:
            right = expected(folder.loss[setting * 5 : setting * 5 + 5], step)
            assert values == pytest.approx(right, rel=1e-6)  # float32 in the file


def test_tensorboard_shows_the_hyperparameters_of_a_setting(folder):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    folder.append(JOB, range(10), [1])
    track(folder, TensorBoard)
    (_, _, started, *_) = read_events(events_files(folder)[1])
    (value,) = started.summary.value
    content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
    given = content.session_start_info.hparams
    assert given["rate"].number_value == 0.2
    assert given["seeds"].number_value == 5
    assert given["hidden"].string_value == "[8, 4]"
    assert given["data"].string_value == "digits"


def test_a_resumed_sweep_writes_no_step_twice(folder):
    for steps in ([1, 2], [3, 4], [5]):
        folder.append(JOB, range(10), steps)
        track(folder, TensorBoard)
    track(folder, TensorBoard)  # nothing new
    for file in events_files(folder):
        assert [step for step, _ in read_scalars(file)] == [1, 2, 3, 4, 5]
        assert len(read_events(file)) == 3 + 5  # a header and two of hparams, once


def test_steps_written_just_before_a_kill_are_not_repeated(folder):
    folder.append(JOB, range(10), [1])
    track(folder, TensorBoard)
    memory = folder.path / "tensorboard" / "written.json"
    remembered = memory.read_bytes()
    folder.append(JOB, range(10), [2])
    track(folder, TensorBoard)
    memory.write_bytes(remembered)
    first, second = events_files(folder)
    first.write_bytes(first.read_bytes() + b"more than is written next" * 100)
    second.write_bytes(second.read_bytes()[:-5])
    track(folder, TensorBoard)
    for file in (first, second):
        assert [step for step, _ in read_scalars(file)] == [1, 2]


def test_a_lost_event_file_is_written_again_from_the_start(folder):
    folder.append(JOB, range(10), [1, 2])
    track(folder, TensorBoard)
    lost, kept = events_files(folder)
    lost.unlink()
    before = kept.read_bytes()
    track(folder, TensorBoard)
    assert [step for step, _ in read_scalars(lost)] == [1, 2]
    assert kept.read_bytes() == before


def test_non_finite_values_are_counted_and_never_written(folder):
    folder.bad_from[:5] = 2
    folder.append(JOB, range(10), [1, 2])
    track(folder, TensorBoard)
    assert read_scalars(events_files(folder)[0])[1] == (2, {"left_out": 5.0})


def test_a_damaged_tracker_state_is_named(folder):
    (folder.path / "tensorboard").mkdir()
    (folder.path / "tensorboard" / "written.json").write_text("{")
    with pytest.raises(UserError, match=r"written\.json is damaged: .*; remove .*tensorboard"):
        TensorBoard(folder.path)


MEMORIES = [
    ("[]", "it holds no object"),
    ('{"0": {"step": 1}}', "folder: field required"),
    ('{"0": {"step": "1", "folder": "000", "bytes": 1}}', "step: input should be a valid integer"),
    ('{"0": {"step": 1, "folder": "../../victim", "bytes": 0}}', "folder: string should match"),
    ('{"0": {"step": 1, "folder": "/victim", "bytes": 0}}', "folder: string should match"),
    ('{"0": {"step": 1, "folder": "000-../x", "bytes": 0}}', "folder: string should match"),
]


@pytest.mark.parametrize(("text", "says"), MEMORIES)
def test_a_tracker_writes_to_no_folder_that_its_memory_names_elsewhere(folder, text, says):
    (folder.path / "tensorboard").mkdir()
    (folder.path / "tensorboard" / "written.json").write_text(text)
    with pytest.raises(UserError, match=f"{says}.*; remove .*tensorboard"):
        TensorBoard(folder.path)


@pytest.mark.parametrize("kind", [TensorBoard, WandB])
def test_a_tracker_reads_and_writes_nothing_through_a_link(folder, tmp_path, kind):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis").write_text("{}")
    own = folder.path / kind.flag
    own.symlink_to(victim)
    with pytest.raises(UserError, match="is a link"):
        kind(folder.path)
    own.unlink()
    own.mkdir()
    (own / "written.json").symlink_to(victim / "thesis")
    with pytest.raises(UserError, match="is a link"):
        kind(folder.path)
    (own / "written.json").unlink()
    os.mkfifo(own / "written.json")
    with pytest.raises(UserError, match="is a pipe"):
        kind(folder.path)


def test_events_are_not_written_through_a_link(folder, tmp_path):
    (tmp_path / "thesis").write_text("years of work")
    (folder.path / "tensorboard" / "000-rate-0.1").mkdir(parents=True)
    (folder.path / "tensorboard" / "000-rate-0.1" / EVENTS).symlink_to(tmp_path / "thesis")
    folder.append(JOB, range(10), [1])
    with closing(TensorBoard(folder.path)) as tracker, pytest.raises((UserError, OSError)):
        Follower(folder.path, [tracker]).update()
    assert (tmp_path / "thesis").read_text() == "years of work"


UNSAFE = ["../../etc/passwd", "/etc/passwd", "..", "a/b", "a b", "ä\n\0", "x" * 500, "X" * 500]


def test_unsafe_labels_become_short_distinct_names():
    names = [safe_name(TrackedSetting(n, label, {}, "")) for n, label in enumerate(UNSAFE)]
    assert len({name.lower() for name in names}) == len(UNSAFE)
    for name in names:
        assert len(name) < 100
        assert name.replace("-", "").replace(".", "").isalnum()
        assert name.isascii()
        assert not name.startswith(".")


def test_unsafe_labels_never_leave_the_folder(tmp_path):
    data = UNSAFE[:4]
    axes = {"config_axes": {"data": data}, "hparams_axes": {}}
    groups = [{"first_run": 5 * n, "runs": 5, "data": name} for n, name in enumerate(data)]
    folder = GrowingFolder(tmp_path, rates=(0.1,) * 4, groups=groups, **axes)
    folder.append(JOB, range(20), [1], data=data)
    before = {path for path in tmp_path.rglob("*") if "tensorboard" not in path.parts}
    track(folder, TensorBoard)
    assert len(events_files(folder)) == 4
    assert {path for path in tmp_path.rglob("*") if "tensorboard" not in path.parts} == before


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Sends all requests to a proxy that answers none of them and records each."""
    calls, server = [], socket.create_server(("127.0.0.1", 0))

    def listen():
        while True:
            try:
                connection, caller = server.accept()
            except OSError:
                return
            calls.append(caller)
            connection.close()

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    listener = threading.Thread(target=listen)
    listener.start()
    yield calls
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    listener.join()


@pytest.fixture
def wandb(no_network):
    """The wandb package, whose process is started and ended within the test."""
    import wandb

    wandb.teardown()
    yield wandb
    wandb.teardown()
    assert no_network == []


@pytest.mark.slow
def test_wandb_has_a_run_per_setting_and_resumes_it_offline(folder, wandb):
    for steps in ([1, 2], [3]):
        folder.append(JOB, range(10), steps)
        track(folder, WandB)
    ids = {n: run["id"] for n, run in _memory(folder).items()}
    for setting, name in enumerate(("000-rate-0.1", "001-rate-0.2")):
        files = sorted((folder.path / "wandb").glob(f"offline-run-*{ids[str(setting)]}*/*.wandb"))
        sessions = [read_wandb(file) for file in files]
        history = sorted(row for records in sessions for row in wandb_history(records))
        assert [step for step, _ in history] == [1, 2, 3]
        for step, values in history:
            right = expected(folder.loss[setting * 5 : setting * 5 + 5], step)
            assert values == pytest.approx(right, rel=1e-12)
        (run,) = [one.run for one in sessions[0] if one.WhichOneof("record_type") == "run"]
        assert (run.display_name, run.project, run.run_group) == (name, "seedbed", "run")
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        given = {"rate": [0.1, 0.2][setting], "seeds": 5, "hidden": [8, 4], "data": "digits"}
        assert given.items() <= config.items()


def _memory(folder):
    return json.loads((folder.path / "wandb" / "written.json").read_text())


def test_no_tracker_is_used_without_a_flag():
    assert chosen_trackers(tensorboard=False, wandb=False) == []


@pytest.mark.parametrize("kind", [TensorBoard, WandB])
def test_a_missing_tracker_package_gives_a_one_line_error(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, kind.package, None)
    with pytest.raises(UserError) as error:
        chosen_trackers(tensorboard=True, wandb=True)
    text = str(error.value)
    assert text.startswith(f"--{kind.flag}: the package {kind.package} is missing")
    assert "SEEDBED_ALSO='tensorboard wandb' scripts/run" in text
