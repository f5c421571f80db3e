"""Checks what the functions of a task take and return against the contract in `research.task`.

They are traced already: nothing is computed here. Without these checks, what does not fit fails
deep inside JAX, under `vmap` and `scan`, with shapes that the user never wrote.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from research.errors import UserError, shortlist
from research.task import Mean, Task

ARGUMENTS = {
    "init": ("shared", "hparams", "key"),
    "step": ("shared", "hparams", "state", "key", "t"),
    "evaluate": ("shared", "hparams", "state", "key"),
}


def check_signatures(task: Task) -> None:
    """Checks that the functions can be called with the arguments that the engine gives them.

    Raises:
      UserError: naming the function, and its arguments.
    """
    for name, arguments in ARGUMENTS.items():
        try:
            signature = inspect.signature(getattr(task, name))
        except (TypeError, ValueError):  # of a function that is not Python's
            continue
        try:
            signature.bind(*arguments)
        except TypeError:
            raise UserError(
                f"the task's {name} takes {signature}; it is called with ({', '.join(arguments)})"
            ) from None


def check_state(state: Any) -> None:
    """Checks what `init` returned: a state with `params` that consists of arrays alone.

    Raises:
      UserError: naming what does not fit.
    """
    if not hasattr(state, "params"):
        raise UserError(
            f"init returns {_described(state)}; a state is a NamedTuple or a dataclass with a "
            "field params"
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise UserError(
                f"init returns a state with a key, {_name(path)}; a state holds none: init, step "
                "and evaluate are given a fresh one at every call"
            )


def check_step(state: Any, returned: Any) -> None:
    """Checks what `step` returned, given the state it took: a state of the same shapes and types,
    and metrics.

    Raises:
      UserError: naming what does not fit.
    """
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise UserError(f"step returns {_described(returned)}; it has to return (state, metrics)")
    _check_metrics("step", returned[1])
    before, after = (dict(jax.tree_util.tree_leaves_with_path(one)) for one in (state, returned[0]))
    for path in [*before, *after]:
        one, other = before.get(path), after.get(path)
        if _shape(one) != _shape(other):
            raise UserError(
                f"{_name(path)} of the state is {_shape(one)} after init and {_shape(other)} after "
                "step; a state keeps its shapes and types"
            )
    if jax.tree.structure(state) != jax.tree.structure(returned[0]):
        raise UserError(
            f"init returns a state {_described(state)}, and step {_described(returned[0])}; they "
            "have to be of one structure"
        )


def check_evaluation(returned: Any) -> None:
    """Checks what `evaluate` returned: metrics.

    Raises:
      UserError: naming what does not fit.
    """
    _check_metrics("evaluate", returned)


def check_metric_names(task: Task, step: Mapping[str, Any], evaluate: Mapping[str, Any]) -> None:
    """Checks that every metric has a name of its own, and that the key metric is evaluated.

    Raises:
      UserError: naming those that do not fit.
    """
    if both := sorted(set(step) & set(evaluate)):
        example = f"validation_{both[0]}"
        named = f", with key_metric={example!r}" if task.key_metric in both else ""
        raise UserError(
            f"step and evaluate both report {shortlist(both)}: rename one, such as evaluate's to "
            f"{example}{named}"
        )
    if task.key_metric not in evaluate:
        raise UserError(
            f"the key metric {task.key_metric!r} is not evaluated; there are {shortlist(evaluate)}"
        )


def _check_metrics(function: str, metrics: Any) -> None:
    if not isinstance(metrics, Mapping):
        raise UserError(
            f"the metrics of {function} are {_described(metrics)}; they have to be a dict of "
            "scalars"
        )
    for name, metric in metrics.items():
        for part in metric if isinstance(metric, Mean) else [metric]:
            if getattr(part, "shape", None) != ():
                raise UserError(
                    f"the metric {name} of {function} is {_described(part)}; a metric is a scalar, "
                    "or a Mean of two"
                )


def _described(value: Any) -> str:
    if hasattr(value, "shape"):
        return _shape(value)
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _shape(leaf: Any) -> str:
    return "missing" if leaf is None else f"{leaf.dtype} {list(leaf.shape)}"


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path).lstrip(".") or "it"
