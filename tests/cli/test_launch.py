"""Tests of sweeps in several processes: the launcher's flags, its workers, and killed workers."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pandas as pd
import pytest

from research.cli import launch, local_workers, machine, slurm_workers
from research.cli.local_workers import LocalWorker, Place
from research.cli.slurm_workers import Request, Worker
from research.cli.worker_process import is_final, was_asked_to_stop
from research.errors import UserError
from research.runs.session import usable_cores

ROOT = Path(__file__).parents[2]
MLP = str(ROOT / "experiments" / "mlp.py")
SWEEP = "--data iris --hidden 8 --learning-rate 1e-3 1e-2 --seeds 4 --steps 60 --name it"
# One device in all processes: how runs lie on devices is the same then.
ENVIRONMENT = {
    **os.environ,
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=1",
}


@pytest.fixture
def no_gpus(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


def test_launcher_flags_may_stand_anywhere_and_the_rest_is_passed_on(no_gpus):
    words = f"--on slurm {MLP} --seeds 4 --workers 3 --learning-rate 1e-3 -0.1 --cpus 2 --steps 60"
    given, flags = launch.parse([*words.split(), "--slurm", "account=ours", "qos=long"])
    assert (given.experiment, given.on, given.workers, given.cpus) == (MLP, "slurm", 3, 2)
    assert given.slurm == {"account": "ours", "qos": "long"}
    assert " ".join(flags) == "--seeds 4 --learning-rate 1e-3 -0.1 --steps 60"


def test_flags_cannot_be_abbreviated(no_gpus):
    given, flags = launch.parse([MLP, "--work", "3"])
    assert given.workers == min(2, usable_cores())
    assert flags == ["--work", "3"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "required: experiment"),
        ("nonesuch.py", "no file nonesuch.py"),
        ("--seeds 4 MLP", "no file 4: the experiment comes before its flags"),
        ("MLP --on cloud", "--on cloud: give local or slurm"),
        ("MLP --workers 0", "--workers 0: must be at least 1"),
        ("MLP --workers two", "--workers two: not a whole number"),
        ("MLP --workers", "--workers: it takes a value"),
        ("MLP --retries -1", "--retries -1: must be at least 0"),
        ("MLP --partition gpu", "--partition gpu: only with --on slurm"),
        ("MLP --wait", "--wait: only with --on slurm"),
        ("MLP --on slurm --minutes 0", "--minutes 0"),
        (
            "MLP --workers 99999",
            "--workers 99999: this machine has no GPU and .* core.* --unbounded",
        ),
        ("MLP --on slurm --workers 9999", "--workers 9999: more than 1,000"),
        ("MLP --retries 1001", "--retries 1001: more than 1,000"),
        ("MLP --workers 2 --workers 3", "--workers 2 and --workers 3: --workers is given twice"),
        ("MLP --on slurm --slurm a=b c=d --slurm a=c", "--slurm a=b a=c: a is given twice"),
        ("MLP --on slurm --slurm exclusive", "--slurm exclusive: give KEY=VALUE"),
    ],
)
def test_bad_flags_are_refused(words, says, no_gpus):
    with pytest.raises(UserError, match=says):
        launch.parse(words.replace("MLP", MLP).split())


def test_slurm_is_refused_where_there_is_none(no_gpus, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no sbatch on the PATH"):
        launch.launch([MLP, "--on", "slurm"])


def test_more_workers_than_gpus_are_refused_unless_forced(monkeypatch):
    monkeypatch.setattr(local_workers, "visible_gpus", lambda: ["0", "3"])
    with pytest.raises(UserError, match=r"--workers 3: this machine has 2 GPUs, .* --unbounded"):
        launch.parse([MLP, "--workers", "3"])
    assert launch.parse([MLP])[0].workers == 2
    assert launch.parse([MLP, "--workers", "3", "--unbounded"])[0].workers == 3
    alone, shared = (
        [place.environment for place in local_workers.make_places(count)] for count in (2, 3)
    )
    assert [one["CUDA_VISIBLE_DEVICES"] for one in alone] == ["0", "3"]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in shared] == ["0", "3", "0"]
    memory = "XLA_PYTHON_CLIENT_MEM_FRACTION"
    assert not any(memory in one for one in alone)
    assert {one[memory] for one in shared} == {"0.45"}


@pytest.mark.parametrize(
    ("gpus", "asked", "promised"), [(1, "", True), (1, "cpu", False), (None, "", False)]
)
def test_a_slurm_worker_is_promised_the_gpus_that_are_asked_for(
    tmp_path, monkeypatch, gpus, asked, promised
):
    """The task runs on another machine, whose environment may be set up for the CPU alone."""
    submitted = []
    monkeypatch.setenv("JAX_PLATFORMS", asked)
    monkeypatch.setattr(
        slurm_workers.submitit, "AutoExecutor", lambda *_, **__: FakeExecutor(submitted)
    )
    slurm_workers.submit_workers(tmp_path / "it", ["true"], 1, 0, Request(gpus=gpus))
    (worker,) = submitted
    assert (machine.PROMISED_GPU in worker.environment) == promised


class FakeExecutor:
    """An executor that keeps what is submitted."""

    def __init__(self, submitted):
        self.submitted = submitted

    def update_parameters(self, **_):
        pass

    def batch(self):
        return contextlib.nullcontext()

    def submit(self, worker):
        self.submitted.append(worker)
        return types.SimpleNamespace(job_id="7_0")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes keep to no cores here")
def test_cores_are_split_evenly_or_taken_in_turn(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 4, 5, 6})
    assert local_workers.shares_of_cores(2) == [[0, 1], [4, 5, 6]]
    assert local_workers.shares_of_cores(7) == [[0], [1], [4], [5], [6], [0], [1]]


def test_only_final_exit_statuses_prevent_a_retry():
    assert [status for status in (0, 1, 2, 130, 143, -9) if is_final(status)] == [0, 2, 130]
    assert was_asked_to_stop(143)
    assert was_asked_to_stop(-signal.SIGTERM)


def test_a_worker_that_dies_is_restarted_a_limited_number_of_times(capsys):
    worker = LocalWorker(1, ["sh", "-c", "echo here; kill -9 $$"], Place(), retries=1)
    worker.start()
    worker.join()
    assert capsys.readouterr().out.splitlines() == [
        "[1] here",
        "worker 1 was killed by SIGKILL and is started again",
        "[1] here",
        "worker 1 was killed by SIGKILL and is given up",
    ]


def test_a_worker_that_is_asked_to_stop_is_not_restarted(capsys):
    worker = LocalWorker(0, ["sleep", "60"], Place(), retries=3)
    worker.start()
    worker.ask_to_stop()
    worker.join(timeout=10)
    assert not worker.is_alive()
    assert capsys.readouterr().out == ""


def test_a_killed_slurm_worker_is_restarted(capfd):
    worker = Worker(["sh", "-c", "echo $NAME; kill -9 $$"], {"NAME": "here"}, retries=1)
    assert worker() == -signal.SIGKILL
    assert capfd.readouterr().out.count("here") == 2


def test_a_slurm_worker_saves_before_its_task_is_requeued(tmp_path):
    """submitit saves in a signal handler and then ends the task. The worker process gets the
    signal as well and must survive it."""
    saving = f'trap "echo saved >{tmp_path}/saved; exit 143" TERM; while :; do sleep 0.1; done'
    worker, again = Worker(["sh", "-c", saving], {}), []

    def queue_again(signum, frame):
        again.append(worker.checkpoint())
        sys.exit()

    def time_is_over():
        while worker.child is None:
            time.sleep(0.1)
        time.sleep(0.5)  # until the shells have set their traps
        worker.child.send_signal(signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, queue_again)
    try:
        threading.Thread(target=time_is_over).start()
        with pytest.raises(SystemExit):
            worker()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert worker.child is not None
    assert worker.child.wait() == 143
    assert (tmp_path / "saved").is_file()
    (submission,) = again
    assert submission.function.command == worker.command
    submission.dump(tmp_path / "pickle")  # the process is not in it


def test_slurm_gets_only_the_options_that_were_given():
    told = slurm_workers.parameters("it", 3, Request(cpus=2, more={"account": "ours"}))
    assert told["slurm_srun_args"] == ["--cpus-per-task=2"]
    assert told["slurm_additional_parameters"] == {"requeue": True, "account": "ours"}
    assert not {"slurm_partition", "gpus_per_node"} & told.keys()


def test_the_run_folder_holds_no_executable_code(tmp_path):
    logs = slurm_workers.log_folder(tmp_path / "runs" / "it")
    assert logs == tmp_path / "runs" / ".launch" / "it"
    assert logs.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds the worker in /proc")
def test_a_killed_worker_changes_no_bit_of_the_results(tmp_path):
    """Compares with the runs of a single process, to the last bit."""
    out = launch_and_kill_one(make_folder(tmp_path / "shared"))
    assert "was killed by SIGKILL and is started again" in out
    assert "all of it: scripts/report" in out
    assert out.splitlines()[-1] == "numbers: runs/it/evaluation"  # which the recipe makes
    alone = [sys.executable, MLP, *SWEEP.split(), "--parallel", "4"]
    folder = make_folder(tmp_path / "alone")
    subprocess.run(alone, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)
    shared = tmp_path / "shared" / "runs" / "it"
    assert json.loads((shared / "manifest.json").read_text())["status"] == "finished"
    metrics, expected = metrics_of(shared), metrics_of(folder / "runs" / "it")
    assert metrics.groupby("run")["step"].max().tolist() == [60] * 8
    pd.testing.assert_frame_equal(metrics, expected, check_exact=True)


def start_launcher(sweep, workers, folder):
    """Starts the launcher as a process whose output lines can be read."""
    words = [sys.executable, "-m", "research.cli.launch", MLP, *sweep.split()]
    words += ["--workers", str(workers), "--unbounded"]
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def launch_and_kill_one(folder):
    """Launches two workers, kills one once it trains, and returns what the launcher prints."""
    with start_launcher(SWEEP, 2, folder) as launcher:
        assert launcher.stdout is not None
        lines = []
        for line in launcher.stdout:
            lines.append(line)
            if "resumed in" in line and not any("resumed in" in old for old in lines[:-1]):
                os.kill(a_worker(launcher.pid), signal.SIGKILL)
    assert launcher.returncode == 0, "".join(lines)
    return "".join(lines)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="finds the worker in /proc")
def test_a_worker_saves_and_exits_when_its_launcher_is_killed(tmp_path):
    long = SWEEP.replace("--steps 60", "--steps 2000000 --log-every 100 --eval-every 1000")
    with start_launcher(long, 1, tmp_path) as launcher:
        assert launcher.stdout is not None
        next(line for line in launcher.stdout if "compiled in" in line)
        worker = a_worker(launcher.pid)
        launcher.kill()
    deadline = time.monotonic() + 60
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_running(worker)
    folder = tmp_path / "runs" / "it"
    assert json.loads((folder / "manifest.json").read_text())["status"] == "stopped"
    assert list(folder.glob("checkpoints/*/*/facts.json"))


def make_folder(path):
    path.mkdir()
    return path


def a_worker(launcher):
    """The process ID of one of the launcher's workers."""
    for path in sorted(Path("/proc").glob("[0-9]*/cmdline")):
        try:
            words = path.read_bytes().split(b"\0")
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
        if parent == launcher and b"--worker" in words:
            return int(path.parent.name)
    raise AssertionError("the launcher has no worker")


def is_running(number):
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def metrics_of(folder):
    return pd.read_parquet(folder / "metrics").sort_values(["run", "step"], ignore_index=True)
