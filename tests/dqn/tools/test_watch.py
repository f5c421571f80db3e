"""Tests of `scripts/watch` for DQN and PQN."""

import json
import shutil

import pandas as pd
import pytest
from PIL import Image

from research.dqn.tools import watch
from research.errors import UserError


def trained(load_script, script, preset, tmp_path, **changes):
    """A small run folder with two groups of two settings each."""
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


@pytest.fixture
def folder(small_sweep, tmp_path):
    """A copy of its run folder."""
    return shutil.copytree(small_sweep("dqn").folder, tmp_path / "it")


def test_an_agent_is_watched(folder, capsys):
    watch.main(watch.Arguments(str(folder), steps=3))
    (gif,) = folder.glob("run-*.gif")
    assert f"animation: {gif}" in capsys.readouterr().out
    with Image.open(gif) as animation:
        assert animation.n_frames == 3


def test_a_chosen_run_is_the_one_that_acts(folder, monkeypatch, capsys):
    """The agent has the hyper-parameters and params of that run and of no other."""
    row = check_run_acts(3, folder, monkeypatch, capsys)
    assert (row["seed"], row["env_gravity"]) == (1, 20)


def test_code_that_has_changed_since_the_training_is_told(folder, monkeypatch, capsys):
    monkeypatch.setattr(watch, "draw", lambda *_: None)
    watch.main(watch.Arguments(str(folder), steps=1, run=1))
    assert "has changed" not in capsys.readouterr().out
    manifest = json.loads((folder / "manifest.json").read_text())
    for facts in manifest["data"]:
        facts["source_sha256"] = "0" * 64  # as of a file that was another then
    (folder / "manifest.json").write_text(json.dumps(manifest))
    watch.main(watch.Arguments(str(folder), steps=1, run=1))
    assert "CartPole-v1 has changed since run 1 was trained on it" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "preset", "changes"),
    [("dqn.py", "article", DQN_CHANGES), ("pqn.py", "cartpole", {"minibatches": (2,)})],
)
def test_a_chosen_run_of_every_algorithm_acts(
    tmp_path, load_script, monkeypatch, capsys, script, preset, changes
):
    """The run is in the second group, so that its config must be used as well."""
    folder = trained(load_script, script, preset, tmp_path, **changes)
    row = check_run_acts(6, folder, monkeypatch, capsys)
    assert (row["seed"], row["hidden"], row["learning_rate"]) == (0, "4x4", 1e-3)


def check_run_acts(number, folder, monkeypatch, capsys):
    seen = []
    record = lambda env, params, episode, path: seen.append((env, episode, path))
    monkeypatch.setattr(watch, "draw", record)
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


def test_a_run_that_cannot_be_watched_gives_a_one_line_error(folder, tmp_path):
    with pytest.raises(UserError, match="is no run folder"):
        watch.main(watch.Arguments(str(tmp_path)))
    with pytest.raises(UserError, match="--steps 0: must be at least 1"):
        watch.main(watch.Arguments(str(folder), steps=0))
    with pytest.raises(UserError, match=r"--run 9: .* its runs are 0 to 3"):
        watch.main(watch.Arguments(str(folder), run=9))
    for params in (folder / "params").iterdir():
        params.unlink()
    with pytest.raises(UserError, match=r"has no params of run \d: they are written when"):
        watch.main(watch.Arguments(str(folder)))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["env"] = "FrozenLake-misc"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="FrozenLake-misc cannot be drawn; gymnax draws Acrobot-v1"):
        watch.main(watch.Arguments(str(folder)))


def test_of_two_environments_the_best_agent_of_each_is_watched(load_script, tmp_path, capsys):
    """One that cannot be drawn is named, and the other is drawn all the same."""
    changes = {name: value for name, value in DQN_CHANGES.items() if name != "n_step"}
    changes |= {"env": ("DeepSea-bsuite", "CartPole-v1"), "hidden": ((8,),), "seeds": ("1",)}
    changes |= {"learning_rate": (1e-3,), "log_every": 40, "eval_every": 400}
    folder = trained(load_script, "dqn.py", "cartpole", tmp_path, **changes)
    said = capsys.readouterr().out
    assert "DeepSea-bsuite: small at the last step" in said
    assert "CartPole-v1: small at the last step" in said
    (gif,) = watch.main(watch.Arguments(str(folder), steps=3))
    assert gif == folder / "run-1.gif"
    assert "run 0: DeepSea-bsuite cannot be drawn" in capsys.readouterr().out
