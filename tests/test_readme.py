"""Tests that code in the guides runs, and that files, links and commands in them exist."""

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from research.cli import machine
from research.dqn.tools import watch
from research.errors import UserError
from research.report import load_run
from research.report.tools import report
from research.runs.experiment import Experiment
from research.runs.recipe_code import describe_code
from tests.sweeps import SMALL_DQN

ROOT = Path(__file__).parents[1]
GUIDES = {
    str(path): (ROOT / path).read_text()
    for path in (
        "README.md",
        "experiments/README.md",
        "research/README.md",
        "scripts/README.md",
        "experiments/results/README.md",
    )
}
CODE = {
    f"{path}:{number}": code
    for path, text in GUIDES.items()
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
}
NOTEBOOK = [CODE.pop(name) for name in list(CODE) if name.startswith("experiments/README.md")]
SWEEP, WORKLOAD = CODE["README.md:0"], CODE["research/README.md:0"]
CORRIDOR = CODE.pop("research/README.md:1")
AGENT = CODE.pop("research/README.md:2")
RECIPE = CODE.pop("research/README.md:3")  # it goes below WORKLOAD
SCHEDULER = CODE.pop("research/README.md:4")
PLAIN = CODE.pop("research/README.md:5")


@pytest.mark.parametrize("name", CODE)
def test_python_code_in_guides_runs(name, tmp_path, monkeypatch, capsys):
    """It runs for fewer steps than the guide shows."""
    code = CODE[name].replace("300", "20")
    monkeypatch.chdir(tmp_path)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # JAX's own
        exec(code, {"__name__": "__main__"})
    settings = re.findall(r"^([\d.]+) ", capsys.readouterr().out, re.MULTILINE)
    assert settings in (["0.001", "0.010"], ["0.01", "0.10", "0.50"])


def test_the_scheduler_of_the_guide_has_the_worst_run_go_on_from_the_best():
    """Without it, the run with the smallest rate ends far behind."""
    left_alone = SCHEDULER.replace("step % 20 == 0", "False")
    worst = []
    for code in (SCHEDULER, left_alone):
        names = {"__name__": "__main__"}
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            exec(code, names)
        metrics = names["metrics"]
        worst.append(metrics[metrics["step"] == 100]["validation_accuracy"].min())
    assert worst[0] > worst[1] + 0.1


@pytest.mark.parametrize("name", ["dqn", "mlp", "lm"])
def test_a_run_folder_is_read_without_this_package(small_sweep, tmp_path, monkeypatch, name):
    assert "research" not in PLAIN
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_sweep(name).folder, "runs/NAME")
    names = {}
    exec(PLAIN, names)
    run = load_run("runs/NAME")
    jax.tree.map(np.testing.assert_array_equal, names["params"], run.trained(2).params["params"])
    expected = run.scores.set_index("run")[run.key_metric]
    found = names["scores"][names["metric"]][expected.index]
    np.testing.assert_array_equal(found, expected)


def test_the_recipe_of_the_guide_trains_the_task_above_it(tmp_path, monkeypatch, capsys):
    task_alone = WORKLOAD[: WORKLOAD.index("axes = ")]
    words = ["bandit.py", "--arms", "5", "10", "--seeds", "3", "--steps", "20", "--out", "."]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(machine, "configure_jax", lambda *_: None)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(task_alone + RECIPE, {"__name__": "__main__"})
    assert "bandit: 18 runs = 6 settings x 3 seeds, 20 steps each" in capsys.readouterr().out
    assert list(tmp_path.glob("bandit-*/regret.png"))


def test_the_environment_of_the_guide_is_trained_and_watched(tmp_path, monkeypatch, load_script):
    assert len(CORRIDOR.splitlines()) < 40
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("corridor.py").write_text(CORRIDOR)
    words = f"--env corridor.py:Corridor --env-param wind=0,0.3 {SMALL_DQN} --out . --name trained"
    script = load_script("dqn.py")
    monkeypatch.setattr(sys, "argv", ["dqn.py"])
    script.run_main(script.main, script.RECIPES, "", words.split())
    watch.main(watch.Arguments("trained", steps=10))
    assert Path("trained/run-0.gif").exists() or Path("trained/run-1.gif").exists()


def test_the_notebook_of_the_guide_runs_cell_by_cell(small_sweep, tmp_path, monkeypatch, capsys):
    """Where the output is no terminal, as in a notebook, nothing moves a cursor."""
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    for name, sweep in {"cartpole": "dqn", "novel": "lm"}.items():
        shutil.copytree(small_sweep(sweep).folder, tmp_path / "runs" / name)
    names = {"__name__": "__main__"}
    assert len(NOTEBOOK) > 4
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # JAX's own
        for cell in NOTEBOOK:
            exec(cell.replace("steps=300", "steps=40"), names)
    out = capsys.readouterr().out
    assert "wine: 16 runs = 2 settings x 8 seeds" in out
    assert re.search(r"0\.01 against 0\.0001: 0\.\d+ \[0\.\d+, 0\.\d+\], better", out)
    assert not set(out) & {"\x1b", "\r", "\b"}
    assert len(names["table"]) == len(names["logits"]) == 178


@pytest.fixture(scope="module")
def trained_agent(tmp_path_factory):
    """The folder in which the script of the agent of the guide has trained it, in two settings."""
    home = tmp_path_factory.mktemp("agent")
    (home / "count_dqn.py").write_text(AGENT)
    words = f"count_dqn.py --bonus 0 0.1 {SMALL_DQN} --out . --name trained"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        patch.setattr(sys, "argv", words.split())
        patch.setattr(machine, "configure_jax", lambda *_: None)
        runpy.run_path("count_dqn.py", run_name="__main__")
    return home


@pytest.fixture
def own_agent(trained_agent, tmp_path, monkeypatch):
    """A copy of its run folder, for the user who has trained it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(trained_agent / "state"))
    return shutil.copytree(trained_agent / "trained", tmp_path / "trained")


def test_the_agent_of_the_guide_is_used_as_every_other(own_agent):
    """It has a config field and a hyper-parameter that DQN itself has not."""
    run = load_run(own_agent)
    assert run.config["cells"] == 4096
    assert run.metrics["cells_seen"].between(0, 1).all()
    agent = run.trained(1)
    assert agent.hparams.bonus == pytest.approx(0.1)
    assert agent.policy([0.0, 0.0, 0.0, 0.0]) in (0, 1)
    (page,) = report.main(report.Arguments((str(own_agent),)))
    assert len(list(own_agent.glob("run-*.gif"))) == 1
    assert "data:image/gif" in page.read_text()


def test_an_agent_of_a_notebook_is_used_with_its_experiment(own_agent):
    """Its code is in no file that the run folder could name."""
    manifest = json.loads((own_agent / "manifest.json").read_text())
    (own_agent / "manifest.json").write_text(json.dumps(manifest | {"code": None}))
    run, names = load_run(own_agent), {"__name__": "notebook"}
    exec(AGENT, names)
    with pytest.raises(UserError, match="has a field cells, which this version has not"):
        run.trained(1)
    experiment = Experiment("mine", names["make_problem"], names["Config"](), names["HParams"]())
    assert describe_code(experiment) is None
    assert run.trained(1, experiment).policy([0.0, 0.0, 0.0, 0.0]) in (0, 1)


def test_a_script_that_was_not_run_here_is_not_run_for_a_folder(own_agent, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(own_agent.parent / "of somebody else"))
    with pytest.raises(UserError, match=r"count_dqn.py, which you have not used .* run it once"):
        load_run(own_agent).trained()
    with pytest.raises(UserError, match=r"count_dqn.py, which you have not used .* run it once"):
        watch.main(watch.Arguments(str(own_agent), steps=3))


def test_the_readme_is_short_and_begins_with_commands():
    lines = GUIDES["README.md"].splitlines()
    assert len(lines) <= 150
    for command in ("scripts/run experiments/dqn.py", "scripts/test"):
        assert any(line.startswith(command) for line in lines[:20])


def test_the_example_sweep_and_task_are_short():
    assert len(SWEEP.strip().splitlines()) <= 10
    lines = [line for line in WORKLOAD.splitlines() if line.strip()]
    assert len(lines) < 40


@pytest.mark.parametrize("path", GUIDES)
def test_files_named_in_guides_exist(path):
    """An indented file name belongs to the folder listed above it."""
    folder = ROOT
    for indent, name in re.findall(r"^( {2})?(\S+/\S*|\w+\.py) {2,}\S", GUIDES[path], re.MULTILINE):
        file = folder / name if indent else ROOT / name
        folder = folder if indent else file
        assert file.exists() or name.startswith("runs/"), name


def test_every_folder_of_research_has_a_line():
    folders = {path.parent.name for path in (ROOT / "research").glob("*/*.py")}
    for folder in folders:
        assert f"research/{folder}/" in GUIDES["README.md"]
        assert f"research/{folder}/" in GUIDES["research/README.md"]


@pytest.mark.parametrize("path", GUIDES)
def test_links_in_guides_resolve(path):
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDES[path]):
        assert (ROOT / path).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("path", GUIDES)
def test_commands_in_guides_name_existing_scripts(path):
    for script, file in re.findall(
        r"^(?:\| `)?scripts/([\w-]+)(?: (\w+/\S+\.py))?", GUIDES[path], re.MULTILINE
    ):
        assert (ROOT / "scripts" / script).exists(), script
        assert not file or (ROOT / file).is_file(), file


def test_every_script_is_in_the_guide_to_them():
    for path in {*(ROOT / "scripts").iterdir()} - {ROOT / "scripts" / "README.md"}:
        assert f"scripts/{path.name}" in GUIDES["scripts/README.md"], path.name
