"""Tests of `scripts/gpu_check`: all parts on a CPU, shortened, and its command line."""

import json
import subprocess
import sys

import pytest

from research.benchmark.gpu_check import check as command
from research.benchmark.gpu_check.check import PARTS, check, read_arguments
from research.benchmark.gpu_check.command_buffers import VARIANTS
from research.benchmark.gpu_check.plan import CheckPlan
from research.benchmark.gpu_check.profiles import KEPT
from research.benchmark.gpu_check.rejax import PUBLISHED
from research.cli.machine import DETERMINISTIC
from research.errors import UserError

KEYS = {
    "correctness": {"right"},
    "throughput": {"case", "precision", "runs", "units_per_second", "low", "high", "kernels",
                   "seconds_per_step", "peak_bytes"},
    "launch_cost": {"measured", "predicted", "kernels", "copies", "measured_over_predicted"},
    "command_buffers": {"variant", "flags_of_xla", "case", "units_per_second"},
    "rejax": {"runs", "units_per_second", "published"},
    "profiles": {"case", "steps", "seconds", "idle", "by_kind", "spent"},
}  # fmt: skip
PLAN = CheckPlan(
    minutes=10, quick=("mlp-small",), precisions=("float32",), runs=(2,), agents=(1,), repeats=1
)


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def test_every_part_writes_its_file_and_the_summary_tells_of_it(
    tmp_path, quickly, in_process, capsys
):
    found = check(PLAN, tmp_path)
    assert all(part.is_right for part in found.parts)
    summary = (tmp_path / "summary.txt").read_text()
    for part in PARTS:
        content = read(tmp_path, part.name)
        assert content["errors"] == [], content
        assert content["results"], part.name
        assert any(KEYS[part.name] <= set(one) for one in content["results"]), part.name
        assert f"{part.title}: {content['status']} after" in summary
    assert len(list(tmp_path.iterdir())) == len(PARTS) + 2
    assert [one["name"] for one in read(tmp_path, "summary")["parts"]] == [p.name for p in PARTS]
    assert "left out: goldens and contract tests: pytest and a checkout are needed" in summary
    assert "there is one device" not in summary  # tests have eight
    assert "JAX finds no GPU: this measures the CPU" in capsys.readouterr().out
    assert {what["what"] for what in read(tmp_path, "throughput")["results"]} == {
        "training", "evaluation",
    }  # fmt: skip
    assert {one["variant"] for one in read(tmp_path, "command_buffers")["results"]} == set(VARIANTS)
    assert read(tmp_path, "rejax")["results"][0]["published"] == PUBLISHED
    assert ("scatter", " ".join(DETERMINISTIC)) in in_process
    assert ("profiles", KEPT) in in_process


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--minutes", "0"], "--minutes 0: must be above 0"),
        (["--minutes", "nan"], "--minutes nan: must be a finite number"),
        (["--runs", "8", "8"], "--runs 8 8: a value is given twice"),
        (["--cases", "mpl"], "--cases mpl: there are mlp-small"),
        (["--precisions", "int8"], "--precisions int8: there are float32, bfloat16"),
        (["--runs", "8", "0"], "--runs 0: must be at least 1"),
        (["--agents", "0"], "--agents 0: must be at least 1"),
    ],
)
def test_bad_input_is_named_and_makes_no_folder(words, says, tmp_path):
    with pytest.raises(UserError, match=says):
        read_arguments([*words, "--out", str(tmp_path / "new")], "scripts/gpu_check")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_results_and_a_file_are_refused(tmp_path, capsys):
    (tmp_path / "rates.json").touch()
    file = tmp_path / "rates.json"
    for path, says in (
        (tmp_path, f"--out {tmp_path}: it is not empty; give a folder that is new"),
        (file, f"cannot write {file}/summary.txt: {file} is no folder; give another --out"),
    ):
        with pytest.raises(SystemExit) as left:
            command.run(["--out", str(path)])
        assert left.value.code == 2
        error = capsys.readouterr().err
        assert error == f"error: {says}\n"


def test_the_status_is_1_if_anything_was_found_wrong(tmp_path, in_process, monkeypatch):
    wrong = PARTS[0]._replace(measure=lambda part: part.add({"right": False}))
    monkeypatch.setattr(command, "check", lambda plan, folder: check(plan, folder, [wrong]))
    with pytest.raises(SystemExit) as left:
        command.run(["--out", str(tmp_path / "new")])
    assert left.value.code == 1


WITHOUT_A_DEVICE = """
import sys
from jax._src import xla_bridge
from research.benchmark.gpu_check.check import run
try:
    run(sys.argv[1:])
finally:
    assert not xla_bridge.backends_are_initialized(), "this process took the device"
"""


@pytest.mark.slow
def test_it_runs_on_a_cpu_and_leaves_the_device_to_its_processes(tmp_path):
    words = "--minutes 0.3 --cases mlp-small --runs 1 2 --agents 1 --precisions float32 --no-tests"
    call = [sys.executable, "-c", WITHOUT_A_DEVICE, *words.split(), "--out", str(tmp_path / "new")]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {part.name for part in PARTS} <= {path.stem for path in (tmp_path / "new").iterdir()}
    for part in PARTS:
        content = read(tmp_path / "new", part.name)
        assert content["status"] in ("finished", "incomplete", "skipped"), content
    assert "JAX finds no GPU" in done.stdout
