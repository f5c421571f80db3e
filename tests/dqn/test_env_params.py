"""Tests of environment parameters that the command line sets and one program sweeps."""

import dataclasses

import numpy as np
import pytest

from research.dqn import Config, HParams, make_problem
from research.dqn.env_params import (
    add_env_params,
    take_env_params,
    with_env_params,
    with_goal_in_reach,
)
from research.dqn.environments import make_environment
from research.engine import make_runs
from research.errors import UserError


@dataclasses.dataclass(frozen=True)
class Given:
    env: tuple[str, ...]
    env_param: tuple[str, ...]
    protocol: tuple[str, ...] = ("gymnax",)


def given(*words, env=("CartPole-v1",)):
    return Given(env, words)


def test_hparams_are_unchanged_without_env_params():
    arguments, hparams = given(), HParams()
    assert take_env_params(arguments, hparams) == (arguments, hparams)
    env = make_environment("CartPole-v1")
    assert with_env_params(env.params, hparams) is env.params


def test_values_become_an_axis_and_reach_the_environment():
    arguments, hparams = take_env_params(given("gravity=9.8,20", "force_mag=5"), HParams())
    assert arguments.env_gravity == (9.8, 20.0)
    assert arguments.env_force_mag == (5.0,)
    env = make_environment("CartPole-v1")
    params = with_env_params(env.params, hparams.replace(env_gravity=20.0))
    assert params.gravity.dtype == np.float32
    assert (float(params.gravity), float(params.masscart)) == (20.0, 1.0)
    assert hparams.learning_rate == HParams().learning_rate


def test_integer_parameters_stay_integers():
    env = make_environment("CartPole-v1")
    hparams = add_env_params(HParams(), env, ["max_steps_in_episode"])
    params = with_env_params(env.params, hparams.replace(env_max_steps_in_episode=7))
    assert params.max_steps_in_episode.dtype == np.int32
    assert int(params.max_steps_in_episode) == 7


@pytest.mark.parametrize(
    ("words", "goal"),
    [
        ([], 475.0),
        (["gravity=20"], 475.0),
        (["max_steps_in_episode=500"], 475.0),
        (["max_steps_in_episode=200,500"], None),
    ],
)
def test_a_goal_that_another_time_limit_puts_out_of_reach_is_left_out(words, goal):
    arguments, _ = take_env_params(given(*words), HParams())
    problem = with_goal_in_reach(make_problem, arguments)(Config())
    assert problem.task.goal == goal
    told = [note for note in problem.notes if "a return of 475 within 500 steps" in note]
    assert len(told) == (goal is None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["graviti=1"], "--env-param graviti: CartPole-v1 has .*gravity"),
        (["gravity"], "--env-param gravity: '' is not a number"),
        (["gravity=low"], "--env-param gravity=low: 'low' is not a number"),
        (["max_steps_in_episode=2.5"], "'2.5' is not a whole number"),
        (["max_steps_in_episode=3000000000"], "--env-param max_steps_in_episode 3000000000: must"),
        (["gravity=1e39"], "--env-param gravity 1e.39: a float32 holds at most"),
        (["gravity=1e-50"], "--env-param gravity 1e-50: a float32 holds nothing"),
        (["gravity=1", "gravity=2"], "--env-param gravity=2: gravity is given twice; give all its"),
        (["gravity=1,2,1.0"], "--env-param gravity=1,2,1.0: a value is given twice"),
        (["gravity=9.8,nan"], "--env-param gravity nan: must be a finite number"),
    ],
)
def test_an_unknown_env_param_gives_a_one_line_error(words, says):
    with pytest.raises(UserError, match=says):
        take_env_params(given(*words), HParams())


def test_several_environments_share_no_parameters():
    with pytest.raises(UserError, match="give one --env"):
        take_env_params(given("gravity=1", env=("CartPole-v1", "Acrobot-v1")), HParams())


def test_a_parameter_from_python_is_checked_as_one_from_the_command_line():
    env = make_environment("CartPole-v1")
    hparams = add_env_params(HParams(), env, ["max_steps_in_episode"])
    with pytest.raises(UserError, match="--env-max-steps-in-episode 3000000000: must be at most"):
        make_runs(hparams, {"env_max_steps_in_episode": [3_000_000_000]}, 1)
