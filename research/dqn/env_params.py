"""Parameters of an environment as hyper-parameters, of which each run may have its own values."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct

from research.dqn.environments import Environment, make_environment
from research.errors import UserError, shortlist
from research.limits import as_bool, as_float, as_int, as_stored
from research.plain_text import one_line
from research.task import Problem, field

PREFIX = "env_"
TIME_LIMIT = "max_steps_in_episode"


def take_env_params(arguments: Any, hparams: Any) -> tuple[Any, Any]:
    """Turns `--env-param gravity=9.8,20` into a hyper-parameter `env_gravity` with two values.

    Args:
      arguments: with `env`, `protocol` and `env_param`.
      hparams: the hyper-parameters that have flags.

    Returns:
      The arguments with a tuple for each parameter given, and `hparams` with a field for it.

    Raises:
      UserError: for a name that is not among the environment's scalar parameters, a value that is
        no number, or several environments.
    """
    if not arguments.env_param:
        return arguments, hparams
    if len(arguments.env) > 1:
        raise UserError(
            f"--env {' '.join(arguments.env)}: give one --env with --env-param; others have other "
            "parameters"
        )
    env = make_environment(arguments.env[0], arguments.protocol[0])
    axes = {}
    for word in arguments.env_param:
        name, _, values = word.partition("=")
        default = _scalar_param(env, name)
        if PREFIX + name in axes:
            raise UserError(
                f"--env-param {word}: {name} is given twice; give all its values in one "
                f"word, such as {name}=1,2"
            )
        axes[PREFIX + name] = tuple(_read(word, value, default) for value in values.split(","))
        if len(set(map(as_stored, axes[PREFIX + name]))) < len(axes[PREFIX + name]):
            raise UserError(f"--env-param {word}: a value is given twice")
    hparams = add_env_params(hparams, env, tuple(name.removeprefix(PREFIX) for name in axes))
    return _with_axes(arguments, axes), hparams


def _with_axes(arguments: Any, axes: dict[str, tuple[Any, ...]]) -> Any:
    """The arguments, a dataclass, with fields for axes."""
    fields = [
        (name, tuple, dataclasses.field(default=values, metadata={"axis": True}))
        for name, values in axes.items()
    ]
    kind = dataclasses.make_dataclass("Arguments", fields, bases=(type(arguments),), frozen=True)
    return kind(**vars(arguments))


def add_env_params(hparams: Any, env: Environment, names: Sequence[str]) -> Any:
    """`hparams` with a field `env_NAME` for each named parameter, at its default.

    Raises:
      UserError: for a name that is not among the environment's scalar parameters.
    """
    kinds = tuple((PREFIX + name, _scalar_param(env, name)) for name in names)
    return _extended(type(hparams), kinds)(**vars(hparams))


def with_goal_in_reach(
    make_problem: Callable[[Any], Problem], arguments: Any
) -> Callable[[Any], Problem]:
    """Returns `make_problem`, but for tasks without a goal where `--env-param` gives another time
    limit: the return that can be reached is then another, in each run its own.

    Args:
      make_problem: config -> problem.
      arguments: as `take_env_params` returns them.
    """
    limits = getattr(arguments, PREFIX + TIME_LIMIT, ())

    def make(config: Any) -> Problem:
        problem = make_problem(config)
        goal, usual = problem.task.goal, getattr(problem.shared, TIME_LIMIT, None)
        if goal is None or all(limit == usual for limit in limits):
            return problem
        note = (
            f"--env-param {TIME_LIMIT}: the goal of {config.env}, a return of {goal:g} within "
            f"{usual} steps, is left out"
        )
        return problem._replace(task=problem.task._replace(goal=None), notes=(*problem.notes, note))

    return make if limits else make_problem


def with_env_params(params: Any, hparams: Any) -> Any:
    """The environment's parameters, with the values of the fields `env_NAME` of `hparams`."""
    given = {
        field.name.removeprefix(PREFIX): getattr(hparams, field.name)
        for field in dataclasses.fields(hparams)
        if field.name.startswith(PREFIX)
    }
    typed = {name: jnp.asarray(value, getattr(params, name).dtype) for name, value in given.items()}
    return params.replace(**typed) if typed else params


def _scalar_param(env: Environment, name: str) -> Any:
    """The default of a parameter as a Python number."""
    fields = vars(env.params) if hasattr(env.params, "replace") else {}
    scalars = {name: value for name, value in fields.items() if np.ndim(value) == 0}
    if name not in scalars:
        known = shortlist(sorted(scalars), 20) or "no parameters that can be replaced"
        raise UserError(f"--env-param {one_line(name)}: {env.name} has {known}")
    return scalars[name].item()


def _read(word: str, value: str, default: Any) -> Any:
    """One value, of the type of the parameter's default.

    Raises:
      UserError: if it has another type, or does not fit an int32 or float32.
    """
    readers = {bool: {"True": True, "False": False}.__getitem__, int: int, float: float}
    checks = {bool: as_bool, int: as_int, float: as_float}
    try:
        read = readers[type(default)](value)
    except (ValueError, KeyError):
        kind = {bool: "True or False", int: "a whole number", float: "a number"}[type(default)]
        raise UserError(f"--env-param {word}: {value!r} is not {kind}") from None
    return checks[type(default)](f"--env-param {word.partition('=')[0]}", read)


@cache
def _extended(base: type, fields: tuple[tuple[str, Any], ...]) -> Any:
    members = {name: field(value, "of the environment") for name, value in fields}
    annotations = {name: type(value) for name, value in fields}
    namespace = {**members, "__annotations__": annotations, "__module__": base.__module__}
    return struct.dataclass(type(base.__name__, (base,), namespace))
