"""Tests of setting up the environment: commands called, and errors when something is missing.

A copy of scripts/ runs with stand-ins for uv, Python and nvidia-smi: no network, no waiting.
"""

import contextlib
import fcntl
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from research.cli.machine import hold_environment

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
GOOD_UV = """
echo "$@" >>"$CALLS"
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
printf '#!/bin/sh\\necho ran "$@"\\n' >"$UV_PROJECT_ENVIRONMENT/bin/python"
chmod +x "$UV_PROJECT_ENVIRONMENT/bin/python"
"""


class Machine:
    """A clone of the repository, and a PATH that holds only what the test put there."""

    def __init__(self, folder):
        self.root, self.bin = folder / "clone", folder / "bin"
        self.calls = folder / "calls"
        self.bin.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        shutil.copytree(ROOT / "experiments", self.root / "experiments")
        for name in ("uv.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)
        for tool in ("sh", "dirname", "cat", "cksum", "rm", "mkdir", "chmod", "env", "grep", "tr",
                     "readlink"):  # fmt: skip
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self.command("python3", "exit 0")
        self.command("uv", GOOD_UV)

    def command(self, name, body):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, *words, script="run", **variables):
        with self.start(*words, script=script, **variables) as process:
            output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, *words, script="run", **variables):
        env = {"PATH": str(self.bin), "CALLS": str(self.calls), **variables}
        command = [str(self.root / "scripts" / script), *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=self.root, env=env, **pipes)

    def uv_calls(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def fails_with(done, says):
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert says in lines[-1]


def test_the_first_call_sets_up_from_the_lock_and_runs_the_file(machine):
    done = machine.run("experiments/mlp.py", "--seeds", "3 4")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran experiments/mlp.py --seeds 3 4\n"
    (call,) = machine.uv_calls()
    assert call.startswith("sync --locked")
    assert "--no-dev" in call
    assert "--extra" not in call


def test_the_second_call_does_nothing_but_run(machine):
    machine.run("experiments/mlp.py")
    done = machine.run("experiments/mlp.py")
    assert done.stdout == "ran experiments/mlp.py\n"
    assert done.stderr == ""
    assert len(machine.uv_calls()) == 1


@pytest.mark.parametrize("name", ["uv.lock", "pyproject.toml"])
def test_another_lock_sets_up_again(machine, name):
    machine.run("experiments/mlp.py")
    with (machine.root / name).open("a") as file:
        file.write("# changed\n")
    machine.run("experiments/mlp.py")
    assert len(machine.uv_calls()) == 2


def test_a_set_up_that_failed_is_tried_again(machine):
    machine.command("uv", "exit 1")
    fails_with(machine.run("experiments/mlp.py"), "uv could not set up")
    machine.command("uv", GOOD_UV)
    assert machine.run("experiments/mlp.py").returncode == 0


def test_test_dependencies_are_kept_when_an_experiment_runs(machine):
    machine.run("experiments/mlp.py")
    stamp = machine.root / ".venv" / "seedbed-stamp"
    stamp.write_text(stamp.read_text().replace("run ", "dev ", 1))
    machine.run("experiments/mlp.py")
    assert len(machine.uv_calls()) == 1


@pytest.mark.parametrize(
    ("driver", "extra"), [("12.8", "cuda12"), ("13.0", "cuda13"), ("14.1", "cuda13")]
)
def test_cuda_follows_the_driver(machine, driver, extra):
    machine.command("nvidia-smi", f"echo '| NVIDIA-SMI 1  CUDA Version: {driver} |'")
    machine.run("experiments/mlp.py")
    assert f"--extra {extra}" in machine.uv_calls()[0]


def test_a_driver_that_does_not_answer_counts_as_no_gpu(machine):
    machine.command("nvidia-smi", "exit 9")
    machine.run("experiments/mlp.py")
    assert "--extra" not in machine.uv_calls()[0]


@pytest.mark.parametrize(("variable", "given"), [("cpu", ""), ("tpu", "--extra tpu")])
def test_environment_variables_override_detection(machine, variable, given):
    machine.command("nvidia-smi", "echo 'CUDA Version: 12.8'")
    machine.run("experiments/mlp.py", SEEDBED_EXTRA=variable)
    call = machine.uv_calls()[0]
    assert given in call
    assert ("--extra" in call) == bool(given)


def test_trackers_are_installed_on_request(machine):
    machine.run("experiments/mlp.py")
    machine.run("experiments/mlp.py", SEEDBED_ALSO="tensorboard")
    for _ in range(2):
        machine.run("experiments/mlp.py", SEEDBED_ALSO="wandb tensorboard")
    without, one, both = machine.uv_calls()
    assert "--extra" not in without
    assert "--extra tensorboard" in one
    assert "wandb" not in one
    assert "--extra tensorboard --extra wandb" in both


def test_choices_are_remembered(machine):
    machine.command("python3.12", "exit 0")
    asked = {"SEEDBED_ALSO": "wandb", "SEEDBED_EXTRA": "tpu", "SEEDBED_PYTHON": "python3.12"}
    machine.run("experiments/mlp.py", **asked)
    for script in ("show", "report", "run"):
        assert machine.run("experiments/mlp.py", script=script).returncode == 0
    assert len(machine.uv_calls()) == 1
    with (machine.root / "uv.lock").open("a") as file:
        file.write("# changed\n")
    machine.run("experiments/mlp.py")
    again = machine.uv_calls()[1]
    assert "--extra tpu --extra wandb" in again
    assert f"--python {machine.bin}/python3.12" in again


def test_uv_is_given_the_python_behind_a_shim(machine):
    machine.command("python3", 'case "$*" in *realpath*) echo /real/bin/python3.11 ;; esac')
    machine.run("experiments/mlp.py")
    assert "--python /real/bin/python3.11" in machine.uv_calls()[0]


def test_packages_of_the_user_are_kept(machine):
    machine.run("experiments/mlp.py")
    assert "--inexact" in machine.uv_calls()[0]


def test_bytecode_is_cached_if_python_writes_none_beside_sources(machine):
    shown = r'echo "${PYTHONDONTWRITEBYTECODE-unset} ${PYTHONPYCACHEPREFIX-unset}"'
    machine.command("uv", GOOD_UV.replace('echo ran "$@"', shown))
    assert machine.run("experiments/mlp.py").stdout == "unset unset\n"
    done = machine.run("experiments/mlp.py", PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout == f"unset {machine.root}/.venv-bytecode\n"
    given = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/elsewhere"}
    assert machine.run("experiments/mlp.py", **given).stdout == "unset /elsewhere\n"


def test_a_gpu_that_appears_gets_the_cuda_build_from_then_on(machine):
    machine.run("experiments/mlp.py")
    smi = machine.bin / "nvidia-smi"
    machine.command("nvidia-smi", "echo 'CUDA Version: 13.0'")
    done = machine.run("experiments/mlp.py")
    assert "setting up: cuda13" in done.stderr
    assert "--extra cuda13" in machine.uv_calls()[-1]
    calls = len(machine.uv_calls())
    smi.unlink()  # as on the node of a cluster where one logs in
    machine.run("experiments/mlp.py")
    assert len(machine.uv_calls()) == calls


def test_a_chosen_cpu_build_stays_until_auto_is_chosen(machine):
    machine.command("nvidia-smi", "echo 'CUDA Version: 13.0'")
    machine.run("experiments/mlp.py", SEEDBED_EXTRA="cpu")
    machine.run("experiments/mlp.py")
    assert len(machine.uv_calls()) == 1
    machine.run("experiments/mlp.py", SEEDBED_EXTRA="auto")
    assert "--extra cuda13" in machine.uv_calls()[-1]


def test_the_plugin_of_another_device_is_removed(machine):
    machine.run("experiments/mlp.py", SEEDBED_EXTRA="cuda12")
    machine.run("experiments/mlp.py", SEEDBED_EXTRA="cuda13")
    _, removed, installed = machine.uv_calls()
    assert removed.startswith("pip uninstall")
    assert "jax-cuda12-plugin" in removed
    assert "--extra cuda13" in installed


def test_the_stamp_of_an_older_version_triggers_a_new_setup(machine):
    machine.run("experiments/mlp.py")
    stamp = machine.root / ".venv" / "seedbed-stamp"
    stamp.write_text(stamp.read_text().replace("auto-cpu", "auto").strip() + " wandb\n")
    machine.run("experiments/mlp.py")
    assert "--extra wandb" in machine.uv_calls()[-1]
    assert machine.run("experiments/mlp.py").stderr == ""


@pytest.mark.parametrize("script", ["run", "show", "report"])
def test_a_script_is_found_through_links(machine, tmp_path, script):
    first, second = tmp_path / "first", tmp_path / "home" / "bin" / f"seed{script}"
    second.parent.mkdir(parents=True)
    first.symlink_to(machine.root / "scripts" / script)
    second.symlink_to("../../first")
    env = {"PATH": str(machine.bin), "CALLS": str(machine.calls)}
    command = [str(second), "-m", "x"]
    done = subprocess.run(command, cwd=machine.root, env=env, capture_output=True, text=True)
    assert done.stdout.startswith("ran "), done.stderr
    assert (machine.root / ".venv").is_dir()


def test_every_script_follows_links():
    for path in sorted((ROOT / "scripts").iterdir()):
        text = path.read_text("utf-8") if path.is_file() else ""
        if "$0" in text:
            assert text.count("$0") == text.count('readlink -f "$0"'), path.name


def test_wrong_arguments_or_variables_give_a_one_line_error(machine):
    fails_with(machine.run(), "usage: scripts/run FILE")
    known = "there are: experiments/dqn.py experiments/lstm_lm.py"
    fails_with(machine.run("experiments/nonesuch.py"), known)
    fails_with(machine.run("experiments/mlp.py", SEEDBED_EXTRA="rocm"), "SEEDBED_EXTRA=rocm")
    also = "SEEDBED_ALSO=wandb visdom: there are jupyter, optuna, tensorboard and wandb"
    fails_with(machine.run("experiments/mlp.py", SEEDBED_ALSO="wandb visdom"), also)
    fails_with(
        machine.run("experiments/mlp.py", SEEDBED_PYTHON="/no/python"), "Python 3.11 or newer"
    )
    machine.command("python3", "exit 1")  # too old
    fails_with(machine.run("experiments/mlp.py"), "Python 3.11 or newer is needed")


def test_a_missing_venv_module_gives_a_one_line_error(machine):
    (machine.bin / "uv").unlink()
    machine.command("python3", 'case "$*" in *venv*) exit 1 ;; esac')
    fails_with(machine.run("experiments/mlp.py"), "python3-venv")


def test_a_missing_network_gives_a_one_line_error(machine):
    (machine.bin / "uv").unlink()
    pip = "#!/bin/sh\\nexit 1\\n"
    machine.command(
        "python3",
        f'case "$*" in *venv*) for last; do :; done; mkdir -p "$last/bin";'
        f' printf \'{pip}\' >"$last/bin/python"; chmod +x "$last/bin/python" ;; esac',
    )
    fails_with(machine.run("experiments/mlp.py"), "pip could not install uv")


def test_bench_uses_a_python_that_has_jax(machine):
    machine.command("python3", 'case "$1" in -c) ;; *) echo "took $*"; echo "$PYTHONPATH" ;; esac')
    done = machine.run("--quick", script="bench")
    assert done.returncode == 0, done.stderr
    root = machine.root
    assert done.stdout == f"took -m research.benchmark.bench --quick\n{root}\n"
    assert done.stderr.startswith("with the JAX of ")
    assert not machine.uv_calls()


def test_bench_sets_up_if_jax_is_missing(machine):
    machine.command("python3", 'case "$*" in *jax*) exit 1 ;; esac')
    done = machine.run("--quick", script="bench")
    assert done.stdout == "ran -m research.benchmark.bench --quick\n"
    assert len(machine.uv_calls()) == 1


def test_bench_uses_an_existing_environment(machine):
    machine.run("experiments/mlp.py")
    assert machine.run(script="bench").stdout.startswith("ran ")


@pytest.fixture
def locking(machine):
    """The machine with Pythons that really lock, a uv that takes as long as `calls.wait` is there,
    and programs that run as long as `busy` is there."""
    locks = f'case "$4" in *fcntl*) exec {sys.executable} "$@" ;; esac'
    while_there = "while [ -e {} ]; do sleep 0.05; done".format
    machine.command("python3", locks)
    machine.command("python", f'{locks}\necho ran "$@"\n{while_there(machine.root / "busy")}')
    made = '"$UV_PROJECT_ENVIRONMENT/bin/python"'
    machine.command(
        "uv",
        f'echo "$@" >>"$CALLS"\n{while_there("$CALLS.wait")}\n'
        'mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"\n'
        f"cat {machine.bin}/python >{made}\nchmod +x {made}",
    )
    (machine.bin / "sleep").symlink_to(shutil.which("sleep") or "sleep")
    return machine


@contextlib.contextmanager
def a_file(path):
    """While open, the file is there: for what a stand-in waits for."""
    path.touch()
    try:
        yield
    finally:
        path.unlink()


def wait_until(is_so):
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail("it never was")


def test_two_first_calls_at_once_set_up_once(locking):
    with a_file(Path(f"{locking.calls}.wait")):
        first = locking.start("experiments/mlp.py", "first")
        wait_until(locking.uv_calls)
        second = locking.start("experiments/mlp.py", "second")
        assert "waiting for another script that is setting up" in second.stderr.readline()
        assert len(locking.uv_calls()) == 1
    assert first.communicate()[0] == "ran experiments/mlp.py first\n"
    assert second.communicate()[0] == "ran experiments/mlp.py second\n"
    assert len(locking.uv_calls()) == 1


def test_an_environment_is_not_changed_under_a_running_program(locking):
    locking.run("experiments/mlp.py")
    before = locking.uv_calls()
    with a_file(locking.root / "busy"):
        running = locking.start("experiments/mlp.py", "long")
        assert running.stdout.readline() == "ran experiments/mlp.py long\n"
        asked = locking.run("experiments/mlp.py", SEEDBED_ALSO="wandb")
        fails_with(asked, "error: a program is running in ")
        assert "SEEDBED_VENV=FOLDER" in asked.stderr
        assert locking.uv_calls() == before
        again = locking.start("experiments/mlp.py", "beside")  # needs no change
        assert again.stdout.readline() == "ran experiments/mlp.py beside\n"
    assert [one.communicate() for one in (running, again)] == [("", "")] * 2
    assert locking.run("experiments/mlp.py", SEEDBED_ALSO="wandb").returncode == 0
    assert len(locking.uv_calls()) == 1 + len(before)


def test_a_killed_set_up_leaves_no_lock(locking):
    with a_file(Path(f"{locking.calls}.wait")), locking.start("experiments/mlp.py") as first:
        wait_until(locking.uv_calls)
        first.kill()
    assert locking.run("experiments/mlp.py", "next").stdout == "ran experiments/mlp.py next\n"


def test_where_no_lock_can_be_made_nothing_is_locked(locking):
    environment = locking.root / "other" / "venv"
    environment.parent.mkdir()
    for name in ("set-up", "in-use"):
        Path(f"{environment}.{name}").mkdir()
    done = locking.run("experiments/mlp.py", SEEDBED_VENV=str(environment))
    assert (done.returncode, done.stdout) == (0, "ran experiments/mlp.py\n"), done.stderr


def test_a_process_holds_the_environment_that_it_runs_in(tmp_path, monkeypatch):
    in_use = tmp_path / "venv.in-use"
    in_use.touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    hold_environment.__wrapped__()
    with in_use.open("r+") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "elsewhere"))
    hold_environment.__wrapped__()  # not one that the scripts set up
    assert not (tmp_path / "elsewhere.in-use").exists()
