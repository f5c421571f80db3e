"""Fixtures that run recipes in this process, and small sweeps that all tests share."""

import contextlib
import fcntl
import importlib.util
import io
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
ENVIRONMENT = {**os.environ, "COLUMNS": "100"}
TEXT = "the cat sat on the mat and saw a rat\n" * 120
# Of a DQN that trains in a moment, on any environment.
SMALL_DQN = (
    "--n-step 1 --hidden 8 --num-envs 4 --env-steps 200 --log-every 40 --train-every 8 "
    "--learning-starts 40 --buffer-size 160 --batch-size 8 --target-update-every 8 "
    "--eval-episodes 1 --seeds 1"
)
SWEEPS = {
    "mlp": "mlp.py --data wine --hidden 8 --learning-rate 1e-3 1e-2 --seeds 3 --steps 60",
    "regression": "mlp.py --data diabetes --hidden 8 --learning-rate 1e-2 --seeds 2 --steps 40",
    "dqn": "dqn.py --n-step 1 --env-param gravity=9.8,20 --hidden 8 --num-envs 4 "
    "--eval-episodes 2 --env-steps 400 --log-every 40 --train-every 8 --seeds 2 "
    "--learning-starts 40 --buffer-size 160 --batch-size 8 --target-update-every 8",
    "lm": "lstm_lm.py --corpus text.txt --hidden 8 --embedding-size 6 --batch-size 4 --window 8 "
    "--epochs 1 --steps 120 --seeds 2 --output-dropout 0 0.5 --tied False True",
}


@pytest.fixture
def load_script(monkeypatch):
    """A function that imports a script of `experiments/` and leaves JAX's settings alone."""
    _prepare_to_load(monkeypatch)
    return _load


def _prepare_to_load(monkeypatch):
    monkeypatch.setattr("research.cli.machine.configure_jax", lambda *_: None)


def _load(script):
    spec = importlib.util.spec_from_file_location(script.removesuffix(".py"), EXPERIMENTS / script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Done(NamedTuple):
    """A finished sweep: its run folder, and its output and error streams."""

    folder: Path
    out: str
    err: str


@pytest.fixture(scope="session")
def small_sweep(request, tmp_path_factory):
    """A function that returns the `Done` of one of `SWEEPS`, which all tests of the session share,
    in whichever process they run, and none changes."""
    home = tmp_path_factory.getbasetemp()
    shared = (home.parent if hasattr(request.config, "workerinput") else home) / "sweeps"
    shared.mkdir(exist_ok=True)

    def run(name):
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # others wait until the first has trained it
            made = shared / f"{name}.json"
            if not made.exists():
                done = run_command(SWEEPS[name], tmp_path_factory.mktemp(name))
                made.write_text(json.dumps([str(done.folder), done.out, done.err]))
        folder, out, err = json.loads(made.read_text())
        return Done(Path(folder), out, err)

    return run


def run_command(command, home, more=()):
    """Runs a recipe in a folder, and further words besides."""
    (home / "text.txt").write_text(TEXT)
    script, *words = command.split()
    words += [*more, "--name", "it"]
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        _prepare_to_load(patch)
        patch.chdir(home)
        patch.setenv("COLUMNS", "100")
        patch.setattr(sys, "argv", [script, *words])
        module = _load(script)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            module.run_main(module.main, module.RECIPES, module.__doc__, words)
    return Done(home / "runs" / "it", out.getvalue(), err.getvalue())
