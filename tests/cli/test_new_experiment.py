"""Tests of the experiment that one begins with: its files, and that they train and pass."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from research.cli import new_experiment
from research.cli.new_experiment import Arguments, main
from research.errors import UserError
from research.report import load_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "tests" / "experiments").mkdir(parents=True)
    return tmp_path


def test_a_recipe_and_its_tests_are_written_under_the_name(clone):
    recipe, tests = main(Arguments("maze_walk"), clone)
    assert recipe == clone / "experiments" / "maze_walk.py"
    assert tests == clone / "tests" / "experiments" / "test_maze_walk.py"
    for path in (recipe, tests):
        text = path.read_text()
        assert "maze_walk" in text
        assert "sine" not in text
    assert "np.sin(" in recipe.read_text()


@pytest.mark.parametrize("name", ["", "Maze", "a/b", "../x", "class", "1st", "a b", "é"])
def test_a_name_that_is_none_is_refused(clone, name):
    with pytest.raises(UserError, match="a name is lower-case letters"):
        main(Arguments(name), clone)
    assert not list(clone.glob("**/*.py"))


def test_nothing_is_overwritten(clone):
    (clone / "tests" / "experiments" / "test_maze.py").write_text("mine")
    with pytest.raises(UserError, match=r"test_maze\.py is there already"):
        main(Arguments("maze"), clone)
    assert not list((clone / "experiments").iterdir())


def test_elsewhere_than_in_a_clone_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match="is no clone of the repository"):
        main(Arguments("maze"), tmp_path)


def test_the_recipe_trains(clone, load_script, monkeypatch, capsys):
    monkeypatch.setattr("tests.sweeps.EXPERIMENTS", clone / "experiments")
    main(Arguments("maze"), clone)
    monkeypatch.chdir(clone)
    monkeypatch.setattr(sys, "argv", ["maze.py"])
    script = load_script("maze.py")
    words = "--seeds 2 --steps 20 --learning-rate 0.01 0.03 --hidden 4 8 --name it"
    script.run_main(script.main, script.RECIPES, "", words.split())
    assert "maze: 8 runs = 4 settings x 2 seeds, 20 steps each" in capsys.readouterr().out
    assert (clone / "runs" / "it" / "error.png").is_file()
    best = load_run(clone / "runs" / "it").trained("best")
    network = script.Network(best.run.config["hidden"])
    assert network.apply(best.params, np.zeros((3, 1), np.float32)).shape == (3, 1)


@pytest.mark.slow
def test_its_tests_pass(tmp_path):
    for name in ("experiments", "research", "tests", "pyproject.toml"):
        place = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        place(ROOT / name, tmp_path / name)
    main(Arguments("maze"), tmp_path)
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/experiments/test_maze.py"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_the_example_is_what_the_templates_are_of():
    names = {path.name for path in new_experiment.TEMPLATES.glob("*.py")}
    assert names == {"sine.py", "sine_test.py"}
