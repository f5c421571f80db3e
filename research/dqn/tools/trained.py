"""Trained agents of a run folder: to watch, and to work with in Python."""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from research.cli import own_code
from research.cli.own_tasks import ProblemMaker, problem_maker
from research.dqn.algorithms import algorithm_of
from research.dqn.env_params import PREFIX, add_env_params, with_env_params
from research.dqn.environments import Environment, make_environment
from research.dqn.own_environments import code_in
from research.dqn.rollout import play_episodes
from research.errors import UserError
from research.limits import as_int, as_seed
from research.report.one_run import OneRun, shown_briefly
from research.report.read import RunFolderData, workload_of
from research.runs.experiment import Experiment, restore_config, restore_hparams
from research.runs.params import load_params
from research.task import Problem, make_key


@dataclasses.dataclass(frozen=True)
class TrainedAgent:
    """A trained agent.

    Attributes:
      run: its number, seed and score.
      config, hparams: that it was trained with.
      env, env_params: the environment and its parameters.
      network: the Flax module: `network.apply(params, observations)`.
      params: of the network, as Flax takes them.
      values: observations [N, ...] -> action values float32 [N, A]; pure.
    """

    run: OneRun
    config: Any
    hparams: Any
    env: Environment
    env_params: Any
    network: Any
    params: Any
    values: Callable[[jax.Array], jax.Array]

    def __repr__(self) -> str:
        return shown_briefly(self)

    def q_values(self, observation: Any) -> np.ndarray:
        """The value of every action, float32 [A]; of observations [N, ...], [N, A]."""
        given = jnp.asarray(observation, self.env.observation_dtype)
        one, shape = given.ndim == len(self.env.observation_shape), self.env.observation_shape
        if given.shape[not one :] != shape:
            raise UserError(f"an observation of {self.env.name} is {list(shape)}, not "
                            f"{list(given.shape)}")  # fmt: skip
        values = np.asarray(self._jitted(given[None] if one else given))
        return values[0] if one else values

    def policy(self, observation: Any) -> Any:
        """The action of the highest value, an int; of observations [N, ...], int [N]."""
        best = self.q_values(observation).argmax(axis=-1)
        return int(best) if best.ndim == 0 else best

    def returns(self, episodes: int = 100, seed: int = 0) -> np.ndarray:
        """The undiscounted returns of whole episodes, float32 [episodes], played as an evaluation
        plays them, with its share of random actions."""
        key = make_key(as_seed("seed", seed))
        return np.asarray(self._play(as_int("episodes", episodes, low=1), key))

    @cached_property
    def _jitted(self) -> Any:
        return jax.jit(self.values)

    @cached_property
    def _play(self) -> Any:
        epsilon = getattr(self.hparams, "eval_epsilon", 0.0)

        def play(episodes: int, key: jax.Array) -> jax.Array:
            played = play_episodes(self.env, self.env_params, self.values, epsilon, key, episodes)
            return played[0]

        return jax.jit(play, static_argnums=0)


def changed_code(data: RunFolderData, agent: TrainedAgent) -> str:
    """A line where the code of an agent's environment is not what it was trained on; else ""."""
    facts = data.manifest["data"][agent.run.group]
    if facts.get("source_sha256") in (None, agent.env.facts.get("source_sha256")):
        return ""
    return f"{agent.env.name} has changed since run {agent.run.number} was trained on it"


def restore(
    data: RunFolderData,
    run: OneRun,
    experiment: Experiment | None = None,
    env_name: str | None = None,
    check: Callable[[Environment], None] | None = None,
) -> TrainedAgent:
    """The agent that a run has trained.

    Args:
      data: the run folder.
      run: of it.
      experiment: that made it, if its code is in no file: the user has it at hand.
      env_name: of its environment, if its code is not where it was: the user has named it.
      check: of the environment, before anything else is read.

    Raises:
      UserError: if it is no agent, its params are not there, or the folder asks for code that the
        user has not named on this machine before.
    """
    maker = experiment or problem_maker(data.manifest, data.path, _usual(data))
    config = restore_config(run.config, maker.config)
    if env_name is not None:
        config = dataclasses.replace(config, env=env_name)
        own_code.remember(code_in(env_name))
    how = f"add --env {config.env} to scripts/watch {data.path}"
    named = code_in(experiment.config.env) if experiment else []
    asked = [place for place in code_in(config.env) if place not in named]
    own_code.check_known(asked, data.path, how)
    problem = maker.make_problem(config)  # checks what a changed file may hold
    env, values = _offered(problem, config, data)
    if check is not None:
        check(env)
    given = [name.removeprefix(PREFIX) for name in run.hparams if name.startswith(PREFIX)]
    hparams = restore_hparams(run.hparams, add_env_params(maker.hparams, env, given))
    init = lambda: problem.task.init(problem.shared, hparams, make_key(0))
    params = load_params(data.path, run.number, jax.eval_shape(init).params, data.params)
    return TrainedAgent(
        run=run,
        config=config,
        hparams=hparams,
        env=env,
        env_params=with_env_params(env.params, hparams),
        network=problem.offers.get("network"),
        params={"params": params},
        values=values(hparams, params),
    )


def _usual(data: RunFolderData) -> ProblemMaker | None:
    """What makes the problem of an algorithm of this package; None of any other."""
    algorithm = algorithm_of(data.manifest)
    if algorithm is not None:
        preset = next(iter(algorithm.presets.values()))
        return ProblemMaker(preset.config, preset.hparams, algorithm.make_problem)
    workload = workload_of(data.manifest)
    if workload != "dqn" or not data.manifest.get("code"):  # which may make agents, too
        raise UserError(f"{data.path} is a run folder of {workload}: only agents can be watched")
    return None


def _offered(problem: Problem, config: Any, data: RunFolderData) -> tuple[Environment, Any]:
    """The environment, and what gives the values that the agent acts by.

    Raises:
      UserError: if the problem, which may be the user's own, does not offer them.
    """
    if "policy_values" not in problem.offers:
        raise UserError(
            f"{data.path}: its problem does not offer policy_values, by which an agent acts; "
            "agent_problem in research/dqn/agents.py says what that is"
        )
    env = problem.offers.get("environment") or make_environment(config.env, config.protocol)
    return env, problem.offers["policy_values"]
