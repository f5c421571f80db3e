"""Fixtures that call recipes as a user does, in a process of their own or in this one."""

import shutil
import subprocess
import sys

import pytest

from tests.sweeps import ENVIRONMENT, EXPERIMENTS


@pytest.fixture
def call():
    """A function that runs a script of `experiments/` as a process."""

    def run(script, *words, cwd):
        command = [sys.executable, str(EXPERIMENTS / script), *words]
        return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)

    return run


@pytest.fixture
def answer(load_script, capsys, monkeypatch):
    """A function that runs a script with arguments in this process, and returns its exit status,
    standard output and standard error."""

    def run(script, words):
        module, status = load_script(script), 0
        monkeypatch.setattr(sys, "argv", [script, *words.split()])
        capsys.readouterr()
        try:
            module.run_main(module.main, module.RECIPES, module.__doc__, words.split())
        except SystemExit as left:
            status = left.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(load_script, capsys, monkeypatch):
    """A function that runs a script with bad arguments and returns its error, after checking that
    it is one line, that the status is 2 and that nothing was written."""

    def run(script, words, folder):
        before = sorted(folder.rglob("*"))
        module = load_script(script)
        monkeypatch.setattr(sys, "argv", [script, *words.split()])
        with pytest.raises(SystemExit) as exit_info:
            module.run_main(module.main, module.RECIPES, module.__doc__, words.split())
        assert exit_info.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert sorted(folder.rglob("*")) == before
        return err

    return run


@pytest.fixture
def snapshot(tmp_path):
    """A function that returns all there is in the folder of the test, and what it holds."""
    return lambda: {
        path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")
    }


@pytest.fixture
def victim(tmp_path):
    """A folder beside run folders, which is nobody's business."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis").write_text("years of work")
    return tmp_path / "victim"


@pytest.fixture
def copy(small_sweep, tmp_path, victim):
    """A function that copies the finished run folder of a small sweep."""
    return lambda sweep: shutil.copytree(small_sweep(sweep).folder, tmp_path / "it")
