"""Tests of the recipes of DQN and PQN as a user calls them."""

import numpy as np
import pandas as pd
import pytest

from tests.sweeps import EXPERIMENTS, SMALL_DQN, run_command


@pytest.mark.parametrize("script", ["dqn.py", "pqn.py"])
def test_the_recipes_stay_short(script):
    assert len((EXPERIMENTS / script).read_text().splitlines()) < 60


def test_a_sweep_prints_how_many_runs_solved_it(small_sweep):
    """Flags, progress, table and curve all count environment steps."""
    folder, out, err = small_sweep("dqn")
    assert err == ""
    assert "4 runs = 2 settings x 2 seeds, 400 env steps each" in out
    assert "reached" in out
    assert "of 2" in out
    assert (folder / "evaluation_return.png").stat().st_size > 10_000
    metrics = pd.read_parquet(folder / "metrics")
    assert set(metrics["env_gravity"]) == {9.8, 20.0}
    assert set(np.diff(sorted(set(metrics["work"])))) == {40}
    assert metrics["work"].max() == 400


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A folder that already holds a run folder."""
    (tmp_path / "runs" / "old").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--env CartPole", "--env CartPole: no such environment; did you mean CartPole-v1"),
        ("--env CartPole-v1 Acrobat-v1", "--env Acrobat-v1: no such environment; did you mean"),
        ("--env Pendulum", "--env Pendulum: no such environment; there are CartPole-v1"),
        ("--lr 0.1", "--lr: no such flag; did you mean --learning-rate?"),
        (
            "--hidden 64 64",
            "a value is given twice; for one net of several layers, give --hidden 64x64",
        ),
        ("--double true", "--double true: not True or False; did you mean True?"),
        ("--env Pendulum-v1", "--env Pendulum-v1: its actions are continuous"),
        ("--buffer-size 50", "--buffer-size 50: it holds less than one batch"),
        (
            "--n-step 200 --buffer-size 1000",
            "--buffer-size 1000: 10 environments fill it in 100 steps",
        ),
        ("--preset minatar --torso mlp", "--torso mlp: Breakout-MinAtar shows 10x10x4"),
        ("--gamma 1.1", "--gamma 1.1: must be between 0 and 1"),
        ("--gamma 0.9 -0.1", "--gamma -0.1: must be between 0 and 1"),
        ("--train-every 15", "--train-every 15: must be a multiple of --num-envs 10, such as 20"),
        ("--log-every 15", "--log-every 15: must be a multiple of the 10 env steps"),
        ("--double True --munchausen True", "--munchausen True --double True"),
        ("--tau 0.1 0.2 --env-param mass=1", "--env-param mass: CartPole-v1 has"),
        ("--priority-exponent 0.5 0.7", "--priority-exponent: nothing uses it"),
        ("--seeds -1", "--seeds -1"),
        ("--name old", "old is there already"),
    ],
)
def test_bad_input_gives_a_one_line_error_and_status_2(old, refused, words, says):
    assert says in refused("dqn.py", words, old)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--env Breakout", "--env Breakout: no such environment; did you mean Breakout-MinAtar"),
        ("--train-every 1000", "--train-every 1000: must be a multiple of --num-envs 32"),
        ("--trace-lambda 2", "--trace-lambda 2.0: must be between 0 and 1"),
    ],
)
def test_bad_input_of_pqn_gives_a_one_line_error_and_status_2(old, refused, words, says):
    assert says in refused("pqn.py", words, old)


ENVIRONMENT = """
from pathlib import Path
import jax.numpy as jnp
{when_imported}
class Still:
    num_actions = 2
    def reset(self, key, params):
        return jnp.zeros(1), jnp.int32(0)
    def step(self, key, state, action, params):
        return jnp.zeros(1), state, jnp.float32(action), jnp.bool_(True), {{}}
"""


def test_a_run_folder_cannot_name_code_that_the_user_has_not_named(
    load_script, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "mine.py").write_text(ENVIRONMENT.format(when_imported=""))
    bad = "Path('executed').touch()"
    (tmp_path / "theirs.py").write_text(ENVIRONMENT.format(when_imported=bad))
    script = load_script("dqn.py")

    def run(words):
        monkeypatch.setattr("sys.argv", ["dqn.py", *words.split()])
        script.run_main(script.main, script.RECIPES, "", words.split())

    run(f"--env mine.py:Still {SMALL_DQN} --prepare --name it")
    assert "a time limit counts as an end" in capsys.readouterr().out
    manifest = tmp_path / "runs" / "it" / "manifest.json"
    own = manifest.read_text()
    manifest.write_text(own.replace("mine.py", "theirs.py"))
    with pytest.raises(SystemExit) as left:
        run("--resume runs/it")
    assert left.value.code == 2
    assert "was trained with the code in theirs.py" in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()
    manifest.write_text(own)
    run("--resume runs/it")  # the user has named this one
    assert "finished" in manifest.read_text()


@pytest.mark.slow
def test_agents_that_stop_early_are_those_of_a_sweep_without_stopping(tmp_path):
    """To the bit: so few are not worth a narrower program, where they would differ by rounding."""
    words = "dqn.py --n-step 1 --hidden 16 --num-envs 4 --env-steps 800 --log-every 40 "
    words += "--train-every 8 --learning-starts 40 --buffer-size 400 --batch-size 8 "
    words += "--target-update-every 8 --eval-episodes 3 --eval-every 80 --seeds 16"
    folders = []
    for name, more in (("all", []), ("stop", ["--stop-when", "evaluation_return >= 10"])):
        (tmp_path / name).mkdir()
        folders.append(run_command(words, tmp_path / name, more))
    whole, stop = (pd.read_parquet(done.folder / "metrics") for done in folders)
    whole, stop = (table.set_index(["run", "step"]).sort_index() for table in (whole, stop))
    pd.testing.assert_frame_equal(stop, whole.loc[stop.index], check_exact=True)
    good = whole[whole["evaluation_return"] >= 10].reset_index().groupby("run")["step"].min()
    last = stop.reset_index().groupby("run")["step"].max()
    end = whole.reset_index()["step"].max()
    assert last.to_dict() == {run: good.get(run, end) for run in range(16)}
    assert "are left from step" not in folders[1].out
    assert f"{(good < end).sum()} of 16 runs stopped where the condition held" in folders[1].out
