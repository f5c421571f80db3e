"""Tests of disks that are full or cannot be written: one line, and nothing half-written."""

import os
import shutil
import subprocess

import pytest

from research.dqn.tools import watch
from research.lm.tools import sample
from research.mlp.tools import attack, evaluate, explain, export
from research.recorded import read_manifest
from research.report.tools import report, show

TOOLS = [
    (show, "mlp", "validation_accuracy.png"),
    (report, "mlp", "report.html"),
    (evaluate, "mlp", "evaluation/scores.parquet"),
    (attack, "mlp --steps 2", "attacks.png"),
    (explain, "mlp --steps 16 --repeats 1", "importance.png"),
    (export, "mlp", "export/schema.json"),
    (watch, "dqn --steps 3", "run-"),
    (sample, "lm --tokens 3", "evaluation/samples.json"),
]
NAMES = [tool.__name__.rpartition(".")[2] for tool, *_ in TOOLS]


@pytest.fixture(autouse=True)
def _keep_settings(monkeypatch):
    monkeypatch.setattr("research.cli.machine.configure_jax", lambda *_: None)


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def last_line(tool, folder, flags, capsys):
    """Calls a tool, checks that it ends with status 2 and one line, and returns that."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        tool.run([str(folder), *flags])
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(("tool", "sweep", "file"), TOOLS, ids=NAMES)
def test_a_full_disk_leaves_everything_as_it_was(
    tool, sweep, file, small_sweep, tmp_path, monkeypatch, capsys
):
    name, *flags = sweep.split()
    folder = shutil.copytree(small_sweep(name).folder, tmp_path / "it")
    before = contents(folder)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("research.atomic.os.fsync", full)
    line = last_line(tool, folder, flags, capsys)
    assert line.startswith(f"error: cannot write {folder / file}")
    assert line.endswith(": No space left on device\n")
    assert contents(folder) == before


@pytest.fixture
def mount():
    """A function that mounts a file system of a few megabytes, for those who may mount one."""
    places = []

    def mounted(place):
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(place)]
        if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no file system can be mounted")
        places.append(place)
        return place

    yield mounted
    for place in places:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def small_disk(mount, tmp_path):
    """A file system of a few megabytes, and what sets its options."""
    place = mount(tmp_path / "disk")
    return place, lambda how: subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)


def fill(place):
    with open(place / "filler", "wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


@pytest.mark.parametrize(("tool", "sweep"), [(show, "mlp"), (sample, "lm --tokens 3")])
@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_disk_of_the_system_gives_the_same_line(
    tool, sweep, state, small_sweep, small_disk, capsys
):
    place, remount = small_disk
    name, *flags = sweep.split()
    folder = shutil.copytree(small_sweep(name).folder, place / "it")
    fill(place) if state == "full" else remount("ro")
    before = contents(folder)
    line = last_line(tool, folder, flags, capsys)
    assert line.startswith(f"error: cannot write {folder}/")
    assert line.endswith(
        "No space left on device\n" if state == "full" else "Read-only file system\n"
    )
    assert contents(folder) == before


def test_a_page_elsewhere_needs_no_room_in_the_run_folder(small_sweep, small_disk, capsys):
    """Examples cannot be kept there; the page of what there is can be written."""
    place, remount = small_disk
    folder = shutil.copytree(small_sweep("lm").folder, place / "it")
    shutil.rmtree(folder / "evaluation")
    remount("ro")
    page = place.parent / "page.html"
    report.run([str(folder), "--out", str(page)])
    assert page.stat().st_size > 100_000
    assert "the page has no example of" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("room", [30_000, 60_000, 200_000])
def test_a_disk_that_fills_while_it_trains_costs_lines_only(answer, small_disk, room):
    """Of a sweep of some 300 kB; whatever is missing in the end is made when there is room."""
    place, _ = small_disk
    words = "--data wine --hidden 64x64 --seeds 3 --steps 300 --chunk-every 10 --log-every 10 "
    words += f"--checkpoint-every 1e-6 --out {place} --name it"
    with open(place / "filler", "wb") as file:
        file.write(b"x" * (3 * 2**20 - room))
    status, out, error = answer("mlp.py", words)
    assert "Traceback" not in out + error
    assert status in (0, 2)
    assert len(error.splitlines()) == (1 if status else 0), error
    assert not [path for path in place.rglob("*") if ".partial" in path.name]
    (place / "filler").unlink()
    again = f"--resume {place / 'it'}" if (place / "it").exists() else words
    for _ in range(2):
        status, _, error = answer("mlp.py", again)
    assert status == 2
    assert "is finished and is not overwritten" in error
    assert (place / "it" / "ensembles.png").is_file()
    assert not any((place / "it" / "checkpoints").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("tracker", "package"), [("tensorboard", "tensorboardX"), ("wandb",) * 2])
def test_a_full_disk_of_a_tracker_costs_a_line(
    tracker, package, call, answer, mount, tmp_path, monkeypatch
):
    """W&B has a process and logs of its own, whose errors are no concern of the user's either."""
    pytest.importorskip(package)
    words = f"--data wine --hidden 8 --seeds 1 --steps 40 --name it --{tracker}"
    monkeypatch.chdir(tmp_path)
    answer("mlp.py", f"{words} --prepare")
    folder = tmp_path / "runs" / "it"
    fill(mount(folder / tracker))
    done = call("mlp.py", *words.split(), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Traceback" not in done.stdout
    assert done.stdout.count("mlp: tracking has ended, training continues: cannot write") == 1
    assert read_manifest(folder)["status"] == "finished"
    assert (folder / "ensembles.png").is_file()
