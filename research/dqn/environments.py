"""Gymnax environments with a discrete choice of actions, under one plain interface.

It adds what gymnax leaves to its users: observations in their smallest exact type, float32 rewards,
a state whose types do not change, and time limits apart from terminal states.

gymnax is imported inside functions only: its modules make arrays as they load, and with the first
array JAX fixes its devices, which a program has yet to choose when it imports this module.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from research.dqn.own_environments import is_own, load_own, number_of_actions
from research.errors import UserError, did_you_mean, shortlist
from research.task import make_key

PROTOCOLS = ("gymnax", "original")
STICKY_ACTIONS = 0.1  # Young and Tian (2019), section 2
# Steps of an episode. The games of Young and Tian have no time limit but Freeway's, 2,500 frames,
# and an environment of the user may have none; evaluation needs one.
LONG_LIMIT = 10_000

# Observations whose numbers are all 0 or 1, whatever type they come in; MinAtar's are, too.
_BINARY = ("Catch-bsuite", "DeepSea-bsuite", "Pong-misc")
_DOWNLOADS = ("MNISTBandit-bsuite",)
_CONTINUOUS = (
    "Pendulum-v1", "MountainCarContinuous-v0", "PointRobot-misc", "Reacher-misc", "Swimmer-misc",
)  # fmt: skip

# The return from which on an environment counts as solved.
GOALS = {"CartPole-v1": 475.0, "Acrobot-v1": -100.0, "MountainCar-v0": -110.0}


class Outcome(NamedTuple):
    """The result of one step of one environment.

    Attributes:
      observation: what the agent sees next; after an end, of the new episode.
      final_observation: what this action led to, before any reset.
      reward: float32 [].
      terminated: bool [], the episode ended in a terminal state.
      truncated: bool [], a time limit cut the episode short. Never together with `terminated`.
    """

    observation: jax.Array
    final_observation: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array


class Environment(NamedTuple):
    """One environment, not yet vectorized; its parameters are passed in and may be traced.

    Attributes:
      name: as gymnax knows it, or the place of its code.
      num_actions: A; actions are int32 from 0 to A - 1.
      observation_shape: of what `reset` and `step` give.
      observation_dtype: bool where every number is 0 or 1.
      categories: how many values an observation takes that is one integer; 0 for any other.
      bounds: (low, high) of every number of a vector, infinite without a bound; () for others.
      params: the default parameters, a pytree of float32, int32 and bool arrays.
      reset: `(params, key) -> (state, observation)`.
      step: `(params, key, state, action) -> (state, Outcome)`; an episode that ended is reset.
      draw: `(params, key) -> drawn`, what a step draws whatever the state, such as the episode that
        begins if one ends.
      step_drawn: `step` with what was drawn in place of the key.
      raw: the gymnax environment.
      facts: what a run folder records of an environment that gymnax does not know; JSON types.
      longest: the steps after which an evaluation leaves an episode that has not ended, unless its
        parameter `max_steps_in_episode` is larger; None where every episode ends by itself.
    """

    name: str
    num_actions: int
    observation_shape: tuple[int, ...]
    observation_dtype: Any
    categories: int
    bounds: tuple[tuple[float, float], ...]
    params: Any
    reset: Callable[[Any, jax.Array], tuple[Any, jax.Array]]
    step: Callable[[Any, jax.Array, Any, jax.Array], tuple[Any, Outcome]]
    draw: Callable[[Any, jax.Array], Any]
    step_drawn: Callable[[Any, Any, Any, jax.Array], tuple[Any, Outcome]]
    raw: Any
    facts: Any
    longest: int | None = None


@cache
def make_environment(name: str, protocol: str = "gymnax") -> Environment:
    """Makes an environment by its gymnax name, or by the place of its code.

    Args:
      name: any that is registered with gymnax, such as CartPole-v1 or Breakout-MinAtar, or
        `FILE.py:NAME` and the like, see `own_environments`.
      protocol: `gymnax` leaves the environment as it is. For MinAtar there is also `original`
        (Young and Tian, 2019): with probability 0.1 the last action is repeated, all six actions
        are available, and only Freeway has a short time limit.

    Raises:
      UserError: for an unknown name or protocol, an environment whose actions are continuous, or
        one that downloads data.
    """
    with _as_gymnax_expects(), jax.ensure_compile_time_eval():  # it may be made inside a trace
        raw, params, facts = _make_raw(name, protocol)
        actions = number_of_actions(raw, params)
        space = _observation_space(raw, params)
    if actions is None:
        raise UserError(
            f"--env {name}: its actions are continuous; Q-learning needs a discrete choice, "
            "as in CartPole-v1"
        )
    binary = is_minatar(name) or name in _BINARY
    reset = _reset(raw, binary)
    draw, step = _parts(raw, binary)
    params = jax.tree.map(_array, params)
    _, observation = jax.eval_shape(reset, params, jax.eval_shape(lambda: make_key(0)))
    return Environment(
        name=name,
        num_actions=actions,
        observation_shape=observation.shape,
        observation_dtype=observation.dtype,
        categories=_categories(space, observation),
        bounds=_bounds(space, observation),
        params=params,
        reset=reset,
        step=_whole(draw, step),
        draw=draw,
        step_drawn=step,
        raw=raw,
        facts=facts,
        longest=LONG_LIMIT if is_own(name) else None,
    )


def _make_raw(name: str, protocol: str) -> tuple[Any, Any, dict[str, Any]]:
    """The environment and its parameters under a protocol, and what is recorded of it."""
    import gymnax
    from gymnax.registration import registered_envs
    from gymnax.wrappers.purerl import StickyActionWrapper

    if protocol not in PROTOCOLS:
        raise UserError(f"--protocol {protocol}: there are {shortlist(PROTOCOLS)}")
    if is_own(name):
        if protocol != "gymnax":
            raise UserError(f"--protocol {protocol}: it is MinAtar's, and {name} is your own")
        return load_own(name, lambda inner: _make_raw(inner, protocol)[0])
    if name not in registered_envs:
        raise UserError(f"--env {name}: no such environment; {_nearest(name, registered_envs)}")
    if name in _DOWNLOADS:
        raise UserError(f"--env {name}: it downloads data when made, which is not supported")
    if protocol == "gymnax":
        return *gymnax.make(name), {}
    if not is_minatar(name):
        raise UserError(f"--protocol original: it is MinAtar's, and {name} is none of its games")
    raw, params = gymnax.make(name, use_minimal_action_set=False)
    if name != "Freeway-MinAtar":
        params = params.replace(max_steps_in_episode=LONG_LIMIT)
    return StickyActionWrapper(raw, STICKY_ACTIONS), params, {}


@contextmanager
def _as_gymnax_expects() -> Iterator[None]:
    """Configures JAX as gymnax needs it: mixed types and ranks, and default types of 32 bits."""
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield


def _observation_space(raw: Any, params: Any) -> Any:
    """The space of the observations; None of an environment that does not say."""
    try:
        return raw.observation_space(params)
    except (AttributeError, NotImplementedError):
        return None


def _categories(space: Any, observation: Any) -> int:
    from gymnax.environments import spaces

    one_number = isinstance(space, spaces.Discrete) and observation.shape == ()
    return int(space.n) if one_number else 0


def _bounds(space: Any, observation: Any) -> tuple[tuple[float, float], ...]:
    if observation.ndim != 1 or observation.dtype != jnp.float32 or not hasattr(space, "low"):
        return ()
    if space.shape != observation.shape:
        return ()  # a wrapper that shows something else, but has the space of what it wraps
    ends = [np.broadcast_to(np.asarray(end, np.float64), observation.shape)
            for end in (space.low, space.high)]  # fmt: skip
    # The largest float32 stands for an infinite bound.
    low, high = (np.where(np.abs(end) < 1e30, end, np.copysign(np.inf, end)) for end in ends)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def is_minatar(name: str) -> bool:
    """Whether an environment is one of the games of Young and Tian (2019)."""
    return name.endswith("-MinAtar")


def _nearest(name: str, names: Sequence[str]) -> str:
    """Which environments may have been meant, of those that can be trained on."""
    usable = [one for one in names if one not in (*_DOWNLOADS, *_CONTINUOUS)]
    return did_you_mean(name, usable, 3) or f"there are {shortlist(usable, 40)}"


def _reset(raw: Any, binary: bool) -> Callable[..., Any]:
    def reset(params, key):
        with _as_gymnax_expects():
            observation, state = raw.reset(key, params)
            return _fixed(state), _exact(observation, binary)

    return reset


def _parts(raw: Any, binary: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`draw` and `step_drawn` of an environment."""
    return (_split_step if _resets_as_gymnax(raw) else _step)(raw, binary)


def _whole(draw: Callable[..., Any], step: Callable[..., Any]) -> Callable[..., Any]:
    return lambda params, key, *args: step(params, draw(params, key), *args)


def _resets_as_gymnax(raw: Any) -> bool:
    """Whether the step is gymnax's own, which resets what ended by `reset_env`."""
    from gymnax.environments.environment import Environment as Gymnax

    return getattr(type(raw), "step", None) is Gymnax.step


def _split_step(raw: Any, binary: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Draws a step's key and the next episode, and steps: what gymnax's `step` does in one."""

    def draw(params, key):
        with _as_gymnax_expects():
            step_key, reset_key = jax.random.split(key)
            observation, state = raw.reset_env(reset_key, jax.tree.map(jnp.asarray, params))
            return step_key, _fixed(state), _exact(observation, binary)

    def step(params, drawn, state, action):
        step_key, new_state, new_observation = drawn
        with _as_gymnax_expects():
            params = jax.tree.map(jnp.asarray, params)
            observation, state, reward, terminated, _ = raw.step_env(
                step_key, state, action, params
            )
            terminated = jnp.asarray(terminated, bool)
            truncated = jnp.asarray(raw.is_truncated(state, params), bool) & ~terminated
            done, final = terminated | truncated, _exact(observation, binary)
            outcome = Outcome(
                observation=lax.select(done, new_observation, final),
                final_observation=final,
                reward=jnp.asarray(reward, jnp.float32),
                terminated=terminated,
                truncated=truncated,
            )
            reset = lambda new, old: lax.select(done, new, old)
            return jax.tree.map(reset, new_state, _fixed(state)), outcome

    return draw, step


def _step(raw: Any, binary: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Nothing to draw, and a step that takes its key."""

    def step(params, key, state, action):
        with _as_gymnax_expects():
            observation, state, reward, terminated, truncated, info = raw.step(
                key, state, action, params
            )
            terminated = jnp.asarray(terminated, bool)
            outcome = Outcome(
                observation=_exact(observation, binary),
                final_observation=_exact(info["final_observation"], binary),
                reward=jnp.asarray(reward, jnp.float32),
                terminated=terminated,
                truncated=jnp.asarray(truncated, bool) & ~terminated,
            )
            return _fixed(state), outcome

    return lambda params, key: key, step


def _exact(observation: Any, binary: bool) -> jax.Array:
    observation = jnp.asarray(observation)
    return observation > 0.5 if binary else _fixed(observation)


def _fixed(tree: Any) -> Any:
    """Leaves as arrays of strong types: a Python number would change its type along a scan."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), tree)


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    kinds = {"f": np.float32, "i": np.int32, "u": np.uint32, "b": np.bool_}
    return array.astype(kinds[array.dtype.kind])
