"""Tests of DQN configs: valid presets, and invalid combinations that are refused."""

import dataclasses

import pytest

from research.dqn import PRESETS, Config, HParams, make_problem
from research.dqn.config import check_intervals
from research.engine.axes import check_requirements, make_runs
from research.errors import UserError

CONFIG = Config(n_step=1, batch_size=128)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_valid(preset):
    problem = make_problem(PRESETS[preset].config)
    task, config = problem.task, PRESETS[preset].config
    assert task.work_at_start + task.steps * task.work_per_step == config.env_steps


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_every": 15}, "--train-every 15: must be a multiple of --num-envs 10, such as 20"),
        ({"target_update_every": 55}, "--target-update-every 55: must be a multiple"),
        ({"learning_starts": 1005}, "--learning-starts 1005: must be a multiple of --train-every"),
        ({"buffer_size": 10_004}, "--buffer-size 10004: must be a multiple of --train-every"),
        ({"env_steps": 100_001}, "--env-steps 100001: must be a multiple of --train-every"),
        ({"buffer_size": 100}, "--buffer-size 100: it holds less than one batch"),
        ({"buffer_size": 200, "n_step": 20}, "--buffer-size 200: 10 environments fill it in 20"),
        ({"learning_starts": 50, "n_step": 5}, "--learning-starts 50: there must be a transition"),
        ({"env_steps": 10_000}, "--env-steps 10000: none is left to learn from"),
    ],
)  # fmt: skip
def test_an_interval_that_is_no_multiple_is_refused(changes, says):
    """It is refused and not rounded, since that would be another experiment."""
    config = dataclasses.replace(CONFIG, **{"learning_starts": 10_000} | changes)
    with pytest.raises(UserError, match=says):
        check_intervals(config)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"replay": "prioritised"}, "--replay prioritised: there are uniform, prioritized"),
        ({"values": "c51"}, "--values c51: there are mean, categorical, quantile"),
        ({"loss": "mse"}, "--loss mse: there are huber, squared"),
        ({"hidden": (64, 0)}, "--hidden 64x0: each width must be at least 1"),
        ({"hidden": (), "dueling": True}, "--dueling True --hidden none"),
        ({"munchausen": True, "values": "categorical"}, "--munchausen True: it shifts"),
        ({"munchausen": True, "double": True}, "--munchausen True --double True"),
        ({"munchausen": True, "n_step": 3}, "--munchausen True --n-step 3"),
        ({"values": "quantile", "loss": "huber"}, "--loss huber --values quantile"),
    ],
)
def test_contradictory_options_are_refused(changes, says):
    with pytest.raises(UserError, match=says):
        dataclasses.replace(CONFIG, **changes)


@pytest.mark.parametrize(
    ("axes", "cell"),
    [
        ({"value_min": [-10, 0], "value_max": [0, 10]}, "value_min=0.0 value_max=0.0"),
        ({"value_max": [10, -20]}, "value_max=-20.0"),
        ({"value_min": [9.9999999]}, ""),  # 10 as a float32
        ({"value_min": [1e8], "value_max": [1e8 + 16]}, ""),  # atoms 0.3 apart where floats are 8
        ({"value_min": [-3e38], "value_max": [3e38]}, ""),  # the width is no float32
    ],
)
def test_an_empty_or_reversed_range_of_c51_is_named_with_its_cell(axes, cell):
    runs = make_runs(HParams(), axes, 2)
    task = make_problem(dataclasses.replace(CONFIG, values="categorical")).task
    with pytest.raises(UserError, match=r"--value-min .* --value-max .*must lie below.*" + cell):
        check_requirements(task, runs)
    check_requirements(make_problem(CONFIG).task, runs)  # which has no atoms


def test_a_valid_range_of_c51_is_accepted():
    runs = make_runs(HParams(), {"value_min": [-10, 0], "value_max": [1, 10]}, 2)
    task = make_problem(dataclasses.replace(CONFIG, values="categorical")).task
    check_requirements(task, runs)
