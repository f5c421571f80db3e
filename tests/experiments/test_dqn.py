"""The scripts of DQN and PQN as a user calls them, and watching what they trained."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.experiments.conftest import EXPERIMENTS


@pytest.mark.parametrize("script", ["dqn.py", "pqn.py", "watch.py"])
def test_the_scripts_stay_short(script):
    assert len((EXPERIMENTS / script).read_text().splitlines()) < 110


def trained(load_script, script, preset, tmp_path, **changes):
    """A small run folder, of two groups and two settings each."""
    module = load_script(script)
    small = {
        "hidden": ((8,), (4, 4)), "num_envs": (4,), "eval_episodes": (2,), "env_steps": (400,),
        "train_every": (8,), "learning_rate": (1e-4, 1e-3), "seeds": ("2",),
        "out": str(tmp_path), "name": "small",
    }  # fmt: skip
    return module.main(module.arguments(preset, **small | changes))


DQN_CHANGES = {
    "learning_starts": (80,), "buffer_size": (160,), "batch_size": (8,),
    "target_update_every": (8,), "n_step": (2,),
}  # fmt: skip


def test_a_sweep_prints_who_solved_it(small_sweep):
    """In environment steps throughout: the flags, the progress, the table and the curve."""
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
def folder(small_sweep, tmp_path):
    """A copy of its run folder."""
    return shutil.copytree(small_sweep("dqn").folder, tmp_path / "it")


def test_an_agent_is_watched(folder, load_script, capsys):
    watch = load_script("watch.py")
    watch.main(watch.Arguments(str(folder), steps=3))
    (gif,) = folder.glob("run-*.gif")
    assert f"animation: {gif}" in capsys.readouterr().out
    with Image.open(gif) as picture:
        assert picture.n_frames == 3


def test_a_chosen_run_is_the_one_that_acts(folder, load_script, capsys):
    """Its hyper-parameters and params, and those of no other."""
    row = check_run_acts(3, folder, load_script, capsys)
    assert (row["seed"], row["env_gravity"]) == (1, 20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "preset", "changes"),
    [("dqn.py", "article", DQN_CHANGES), ("pqn.py", "cartpole", {"minibatches": (2,)})],
)
def test_a_chosen_run_of_every_algorithm_acts(
    tmp_path, load_script, capsys, script, preset, changes
):
    """Of the second group: its config, too."""
    folder = trained(load_script, script, preset, tmp_path, **changes)
    row = check_run_acts(6, folder, load_script, capsys)
    assert (row["seed"], row["hidden"], row["learning_rate"]) == (0, "4x4", 1e-3)


def check_run_acts(number, folder, load_script, capsys):
    watch = load_script("watch.py")
    seen = []
    watch.draw = lambda env, params, episode, path: seen.append((env, episode, path))
    watch.main(watch.Arguments(str(folder), run=number, steps=4))
    ((env, episode, path),) = seen
    assert path == folder / f"run-{number}.gif"
    assert len(episode.states) <= 4
    rows = pd.read_parquet(folder / "metrics")
    row = rows[(rows["run"] == number) & rows["evaluation_return"].notna()].iloc[-1]
    said = f"run {number}, seed {row['seed']:.0f}: evaluation_return {row['evaluation_return']:.4g}"
    assert said in capsys.readouterr().out
    assert env.name == json.loads((folder / "manifest.json").read_text())["config"]["env"]
    return row


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A folder with a run folder in it."""
    (tmp_path / "runs" / "old").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--env CartPole", "--env CartPole: no such environment; did you mean CartPole-v1"),
        ("--env CartPole-v1 Acrobat-v1", "--env Acrobat-v1: no such environment; did you mean"),
        ("--env Pendulum-v1", "--env Pendulum-v1: its actions are continuous"),
        ("--buffer-size 50", "--buffer-size 50: it holds less than one batch"),
        ("--n-step 2000", "--buffer-size 10000: 10 environments fill it in 1000 steps, and --n"),
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
def test_bad_input_is_one_clear_line_and_status_2(old, refused, words, says):
    assert says in refused("dqn.py", words, old)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--env Breakout", "--env Breakout: no such environment; did you mean Breakout-MinAtar"),
        ("--train-every 1000", "--train-every 1000: must be a multiple of --num-envs 32"),
        ("--trace-lambda 2", "--trace-lambda 2.0: must be between 0 and 1"),
    ],
)
def test_bad_input_of_pqn_is_one_clear_line_and_status_2(old, refused, words, says):
    assert says in refused("pqn.py", words, old)


def test_what_cannot_be_watched_says_so(folder, tmp_path, load_script):
    watch = load_script("watch.py")
    error = watch.UserError
    with pytest.raises(error, match="is no run folder"):
        watch.main(watch.Arguments(str(tmp_path)))
    with pytest.raises(error, match="--steps 0: must be at least 1"):
        watch.main(watch.Arguments(str(folder), steps=0))
    with pytest.raises(error, match=r"--run 9: .* its runs are 0 to 3"):
        watch.main(watch.Arguments(str(folder), run=9))
    for params in (folder / "params").iterdir():
        params.unlink()
    with pytest.raises(error, match=r"has no params of run \d: they are written when"):
        watch.main(watch.Arguments(str(folder)))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["env"] = "FrozenLake-misc"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(error, match="FrozenLake-misc cannot be drawn; gymnax draws Acrobot-v1"):
        watch.main(watch.Arguments(str(folder)))
