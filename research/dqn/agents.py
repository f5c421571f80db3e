"""What the tasks of all agents have in common: a policy, its evaluation, and an environment."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from research.dqn.env_params import with_env_params
from research.dqn.environments import GOALS, Environment, make_environment
from research.dqn.rollout import evaluate_values
from research.task import Metrics, Problem, Requirement, SplitStep, Task, bind, no_requirements


def agent_task(
    config: Any,
    env: Environment,
    init: Callable[..., Any],
    draw: Callable[..., Any],
    step: Callable[..., Any],
    policy_values: Callable[..., Any],
    *,
    steps: int,
    work_at_start: int = 0,
    requirements: Callable[[Any], Sequence[Requirement]] = no_requirements,
    extends: Callable[[Any], Sequence[Requirement]],
) -> Task:
    """The task of an agent, from functions that take `config` and `env` first.

    Args:
      config: with `env`, `train_every` and `eval_episodes`.
      init: its State has a field `actors`.
      draw, step: the parts of a `SplitStep`.
      policy_values: `(config, env, hparams, params) -> observations [N, ...] -> action values
        float32 [N, A]`, by which the agent acts.
      steps, work_at_start, requirements, extends: as of `Task`.
    """
    return Task(
        init=bind(init, config, env),
        step=SplitStep(bind(draw, config, env), bind(step, config, env), packed=("actors",)),
        evaluate=bind(evaluate, config, env, policy_values),
        key_metric="evaluation_return",
        higher_is_better=True,
        work_unit="env steps",
        work_per_step=config.train_every,
        work_at_start=work_at_start,
        steps=steps,
        goal=GOALS.get(config.env),
        requirements=requirements,
        extends=extends,
    )


def evaluate(
    config: Any,
    env: Environment,
    policy_values: Callable[..., Any],
    shared: Any,
    hparams: Any,
    state: Any,
    key: jax.Array,
) -> Metrics:
    """Mean return and length of `eval_episodes` episodes in environments of their own."""
    return evaluate_values(
        env,
        with_env_params(shared, hparams),
        policy_values(config, env, hparams, state.params),
        hparams.eval_epsilon,
        key,
        config.eval_episodes,
    )


def agent_problem(
    task: Task,
    config: Any,
    algorithm: str,
    make_network: Callable[[Any, Environment], Any],
    policy_values: Callable[..., Any],
) -> Problem:
    """The task, the environment's parameters for all runs to share, and what a trained agent offers
    to tools: its `environment`, its `network`, a Flax module, and `policy_values`, a function
    `(hparams, params) -> observations [N, ...] -> action values float32 [N, A]`.

    Args:
      algorithm: its name in `algorithms`, for the record.
      make_network: of config and environment.
      policy_values: as of `agent_task`.
    """
    env = make_environment(config.env, config.protocol)
    facts = {"algorithm": algorithm, "environment": config.env, "protocol": config.protocol}
    notes = env.facts.get("notes", ())
    offers = {
        "environment": env,
        "network": make_network(config, env),
        "policy_values": bind(policy_values, config, env),
    }
    facts |= env.facts
    return Problem(task, env.params, facts, notes=notes, workload="dqn", offers=offers)
