"""Environments that gymnax does not know: loaded by the place of their code, and checked.

    FILE.py:NAME                 a class, an object, or a function that makes an environment, or an
                                 environment and its parameters, as `gymnax.make` does
    package.module:NAME
    FILE.py:NAME(CartPole-v1)    a wrapper, called with an environment of any kind

What is loaded has the interface of a gymnax environment: `reset(key, params) -> (observation,
state)` and `step(key, state, action, params)`, both pure functions. `step` gives six values, as in
gymnax 1 (observation, state, reward, terminated, truncated, info), or five, as before (observation,
state, reward, done, info).
"""

import hashlib
import importlib
import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from research.errors import UserError, did_you_mean, shortlist
from research.own_modules import add_to_path, describe_raised, import_file
from research.task import make_key

_WHERE = re.compile(r"(?P<place>[^():]+):(?P<name>[A-Za-z_]\w*)(?:\((?P<inner>.+)\))?")
_TRUNCATED = ("truncated", "TimeLimit.truncated")  # what may tell of a time limit in `info`
RESET, STEP = "reset(key, params)", "step(key, state, action, params)"
_LAST_SEEN = ("final_observation", "terminal_observation")


class Own(NamedTuple):
    """An environment of the user.

    Attributes:
      raw: with `reset`, and a `step` of six values.
      params: its default parameters; `()` if it has none.
      facts: what a run folder records of it: JSON types.
    """

    raw: Any
    params: Any
    facts: dict[str, Any]


def is_own(name: str) -> bool:
    """Whether the name of an environment is the place of its code."""
    return ":" in name


def code_in(name: str) -> list[str]:
    """Returns the files and modules that the name of an environment, or a wrapper, names."""
    return [part.rpartition(":")[0] for part in name.rstrip(")").split("(") if is_own(part)]


def load_own(where: str, make_known: Callable[[str], Any]) -> Own:
    """Loads an environment, and checks that it can be trained on.

    Args:
      where: as in the head of this module.
      make_known: makes an environment that gymnax knows, by its name, for a wrapper.

    Raises:
      UserError: if there is no such code, it fails, or what it makes is no environment.
    """
    raw, params = _with_params(_make(where, make_known))
    for name in ("reset", "step"):
        if not callable(getattr(raw, name, None)):
            raise UserError(
                f"--env {where}: {type(raw).__name__} has no {name}; an environment has {RESET} "
                f"and {STEP}"
            )
    with _told(where, RESET):
        start = jax.eval_shape(raw.reset, _key(), params)
    _check_start(where, start)
    _check_actions(where, raw, params)
    with _told(where, STEP):
        result = jax.eval_shape(raw.step, _key(), start[1], jnp.int32(0), params)
    _check_result(where, raw, start, result)
    _check_pure(where, raw, start[1], params)
    five = len(result) == 5
    facts: dict[str, Any] = {"source_sha256": _digest(where)} if _file(where) else {}
    if five:
        facts["notes"] = [_note_of(result[4])]
    raw = _FiveValues(raw) if five else raw
    if any(map(_is_key, jax.tree.leaves(start[1]))):
        raw = _StoredKeys(raw, params)
    return Own(raw, () if params is None else params, facts)


def number_of_actions(raw: Any, params: Any) -> int | None:
    """Returns how many actions there are; None if they are not a choice of one among some."""
    space = raw.action_space(params) if hasattr(raw, "action_space") else None
    number: Any = getattr(raw, "num_actions", None) if space is None else getattr(space, "n", None)
    one = isinstance(number, int) or getattr(number, "shape", None) == ()
    return int(number) if one else None


class _FiveValues:
    """An environment whose `step` gives five values, with a `step` of six.

    Whatever ends an episode is a terminal state, unless `info` tells of a time limit.
    """

    def __init__(self, raw: Any):
        self._env = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> Any:
        """Returns observation, state, reward, terminated, truncated and info."""
        if not _has_own_step_env(self._env):
            observation, state, reward, done, info = self._env.step(key, state, action, params)
            return observation, state, reward, *_ends(done, info, observation)
        step_key, reset_key = jax.random.split(key)
        last, after, reward, done, info = self._env.step_env(step_key, state, action, params)
        first, fresh = self._env.reset(reset_key, params)
        pick = lambda new, old: jnp.where(done, new, old)
        observation, state = jax.tree.map(pick, (first, fresh), (last, after))
        return observation, state, reward, *_ends(done, info, last)


class _StoredKeys:
    """An environment whose state holds typed keys, with their numbers in place of them, as a
    checkpoint stores them."""

    def __init__(self, raw: Any, params: Any):
        self._env, self._impls = raw, []

        def look(key: jax.Array) -> None:
            leaves = jax.tree.leaves(raw.reset(key, params)[1])
            self._impls = [jax.random.key_impl(one) if _is_key(one) else None for one in leaves]

        jax.eval_shape(look, _key())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, key: jax.Array, params: Any) -> Any:
        """Returns observation and state."""
        observation, state = self._env.reset(key, params)
        return observation, _without_keys(state)

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> Any:
        """Returns observation, state, reward, terminated, truncated and info."""
        leaves, treedef = jax.tree.flatten(state)
        typed = [
            jax.random.wrap_key_data(leaf, impl=impl) if impl else leaf
            for leaf, impl in zip(leaves, self._impls, strict=True)
        ]
        state = jax.tree.unflatten(treedef, typed)
        observation, state, *others = self._env.step(key, state, action, params)
        return observation, _without_keys(state), *others


def _without_keys(state: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, state)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _has_own_step_env(raw: Any) -> bool:
    """Whether there is a step that does not restart episodes; that of a wrapper would be the one of
    the environment inside."""
    return hasattr(type(raw), "step_env")


def _ends(done: Any, info: Any, last: Any) -> tuple[Any, Any, Any]:
    """Whether an episode was terminated or truncated, and an info with its last observation."""
    told = [info[name] for name in _TRUNCATED if name in info]
    truncated = jnp.asarray(told[0], bool) & done if told else jnp.zeros((), bool)
    seen = [info[name] for name in _LAST_SEEN if name in info]
    return done & ~truncated, truncated, {"final_observation": seen[0] if seen else last}


def _note_of(info: Any) -> str:
    told = [name for name in _TRUNCATED if name in info]
    how = f"info[{told[0]!r}] tells of time limits" if told else "a time limit counts as an end"
    return f"its step gives five values: {how}"


def _make(where: str, make_known: Callable[[str], Any]) -> Any:
    """Returns what the place of some code names, called if it makes an environment."""
    if not (found := _WHERE.fullmatch(where)):
        raise UserError(
            f"--env {where}: give FILE.py:NAME or package.module:NAME, and for a wrapper the "
            "environment in parentheses, as in wrappers.py:Flat(Breakout-MinAtar)"
        )
    place, name, inner = found["place"], found["name"], found["inner"]
    module = _load(where, place)
    if not hasattr(module, name):
        raise UserError(f"--env {where}: {place} has no {name}; {_names_in(module, name)}")
    made = getattr(module, name)
    if inner is not None:
        inside = _with_params(_make(inner, make_known))[0] if is_own(inner) else make_known(inner)
        with _told(where, f"{name}(environment)"):
            return made(inside)
    with _told(where, f"{name}()"):
        return made() if isinstance(made, type) or not hasattr(made, "step") else made


def _with_params(made: Any) -> tuple[Any, Any]:
    """An environment and its default parameters, which may have been made together."""
    if isinstance(made, tuple) and len(made) == 2 and not hasattr(made, "step"):
        return made
    return made, getattr(made, "default_params", ())


def _names_in(module: ModuleType, name: str) -> str:
    """What else a module has, of what is written there, for the end of an error line."""
    own = [
        one
        for one, value in vars(module).items()
        if not one.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", module.__name__) == module.__name__
    ]
    return did_you_mean(name, own) or f"it has {shortlist(own, 20) or 'no class or function'}"


def _load(where: str, place: str) -> ModuleType:
    """Imports a file or a module. Modules beside the file, or in the current folder, are found as
    Python itself would find them."""
    file = _file(where)
    if file and not Path(file).is_file():
        raise UserError(f"--env {where}: no file {file}")
    with _told(where, place):
        if file:
            return import_file(file)
        add_to_path(Path.cwd())
        return importlib.import_module(place)


def _file(where: str) -> str | None:
    place = where.partition(":")[0]
    return place if place.endswith(".py") else None


def _digest(where: str) -> str:
    return hashlib.sha256(Path(_file(where) or "").read_bytes()).hexdigest()


@contextmanager
def _told(where: str, what: str):
    """Turns an exception of the user's code into a line that says where it was raised."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"--env {where}: {what} failed: {describe_raised(error)}") from error


def _check_start(where: str, start: Any) -> None:
    if not (isinstance(start, tuple) and len(start) == 2):
        raise UserError(f"--env {where}: reset gives {_said(start)}, not (observation, state)")
    if not hasattr(start[0], "shape"):
        raise UserError(
            f"--env {where}: its observation is a tree of {len(jax.tree.leaves(start[0]))} arrays; "
            "a wrapper has to join them into one"
        )


def _check_actions(where: str, raw: Any, params: Any) -> None:
    with _told(where, "action_space"):
        number = number_of_actions(raw, params)
    if number is None:
        raise UserError(
            f"--env {where}: its actions are no choice of one among some: action_space(params) has "
            "to have n, how many there are; Q-learning takes no continuous ones"
        )
    if number < 2:
        raise UserError(f"--env {where}: it has {number} actions: there is nothing to choose")


def _check_result(where: str, raw: Any, start: Any, result: Any) -> None:
    if not (isinstance(result, tuple) and len(result) in (5, 6)):
        raise UserError(
            f"--env {where}: step gives {_said(result)}; it has to give observation, state, "
            "reward, terminated, truncated and info"
        )
    observation, state, reward, *ends, info = result
    shape = getattr(reward, "shape", None)
    if shape != ():
        raise UserError(f"--env {where}: its reward is {_said(reward)}, not one number")
    for end in ends:
        if getattr(end, "shape", None) != ():
            raise UserError(f"--env {where}: what tells an end is {_said(end)}, not one bool")
    if _types(observation) != _types(start[0]):
        raise UserError(
            f"--env {where}: its observation is {_said(start[0])} after reset and "
            f"{_said(observation)} after step"
        )
    if jax.tree.structure(state) != jax.tree.structure(start[1]) or _types(state) != _types(
        start[1]
    ):
        raise UserError(
            f"--env {where}: its state after step has other arrays than after reset: "
            f"{_difference(start[1], state)}"
        )
    if not isinstance(info, dict):
        raise UserError(f"--env {where}: the last value of step is {_said(info)}, not a dict")
    told = any(name in info for name in _TRUNCATED) or len(ends) == 2
    ours = len(ends) == 1 and _has_own_step_env(raw)  # then episodes are restarted here
    if told and not ours and not any(name in info for name in _LAST_SEEN):
        raise UserError(
            f"--env {where}: info has no final_observation: what the last action led to, from "
            "which the value of an episode goes on that a time limit cut short"
        )


def _check_pure(where: str, raw: Any, state: Any, params: Any) -> None:
    """Checks that `step` keeps nothing between calls and takes no numbers from elsewhere."""
    step = raw.step_env if _has_own_step_env(raw) else raw.step
    before = dict(getattr(raw, "__dict__", {}))
    traced = []
    for _ in range(2):
        with _told(where, STEP):
            fresh = lambda key, state, action, params: step(key, state, action, params)
            traced.append(jax.make_jaxpr(fresh)(_key(), state, jnp.int32(0), params))
    after = dict(getattr(raw, "__dict__", {}))
    changed = [name for name in after if name not in before or after[name] is not before[name]]
    first, second = map(_as_text, traced)
    if changed or first != second:
        what = f"changes its own {changed[0]}" if changed else "is another one at every call"
        raise UserError(
            f"--env {where}: step is no pure function: it {what}; what changes belongs into the "
            "state, and random numbers come from the key"
        )


def _as_text(traced: Any) -> tuple[str, list[bytes]]:
    return str(traced.jaxpr), [bytes(jnp.asarray(one).tobytes()) for one in traced.consts]


def _key() -> Any:
    return jax.eval_shape(lambda: make_key(0))


def _types(tree: Any) -> list[tuple[Any, ...]]:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def _said(value: Any) -> str:
    """What a value is, in words."""
    if hasattr(value, "shape"):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    return f"a {type(value).__name__}"


def _difference(before: Any, after: Any) -> str:
    """The first leaf in which two states differ."""
    there = dict(jax.tree_util.tree_flatten_with_path(before)[0])
    here = dict(jax.tree_util.tree_flatten_with_path(after)[0])
    for path in [*there, *here]:
        one, other = there.get(path), here.get(path)
        if one is None or other is None or _types(one) != _types(other):
            name = jax.tree_util.keystr(path).lstrip(".") or "it"
            said = [_said(leaf) if leaf is not None else "missing" for leaf in (one, other)]
            return f"{name} is {said[0]}, then {said[1]}"
    return "their structures differ"
