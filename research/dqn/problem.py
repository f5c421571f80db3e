"""What DQN and PQN have in common as tasks: what they work through, and how they are judged."""

from collections.abc import Callable, Sequence
from typing import Any

from research.dqn.environments import Environment, make_environment
from research.dqn.goals import GOALS
from research.task import Problem, Requirement, Task, bind, no_requirements


def agent_task(
    config: Any,
    env: Environment,
    init: Callable[..., Any],
    step: Callable[..., Any],
    evaluate: Callable[..., Any],
    *,
    steps: int,
    work_at_start: int = 0,
    requirements: Callable[[Any], Sequence[Requirement]] = no_requirements,
) -> Task:
    """A task of three functions that take `config` and `env` first.

    Args:
      config: with `env` and `train_every`.
      steps, work_at_start, requirements: as of `Task`.
    """
    return Task(
        init=bind(init, config, env),
        step=bind(step, config, env),
        evaluate=bind(evaluate, config, env),
        key_metric="evaluation_return",
        higher_is_better=True,
        work_unit="env steps",
        work_per_step=config.train_every,
        work_at_start=work_at_start,
        steps=steps,
        goal=GOALS.get(config.env),
        requirements=requirements,
    )


def agent_problem(task: Task, config: Any) -> Problem:
    """The task, and the environment's parameters for all runs to share."""
    env = make_environment(config.env, config.protocol)
    return Problem(task, env.params, {"environment": config.env, "protocol": config.protocol})
