"""One episode of a trained agent, drawn by gymnax's visualizer, or by the environment itself."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from PIL import Image

from research.atomic import whole_file
from research.dqn.environments import Environment
from research.dqn.own_environments import is_own
from research.dqn.rollout import epsilon_greedy
from research.errors import UserError, shortlist

DRAWN = (
    "Acrobot-v1", "CartPole-v1", "MountainCar-v0", "Catch-bsuite", "Asterix-MinAtar",
    "Breakout-MinAtar", "Freeway-MinAtar", "Seaquest-MinAtar", "SpaceInvaders-MinAtar",
    "Pong-misc", "MetaMaze-misc", "FourRooms-misc",
)  # fmt: skip


class Episode(NamedTuple):
    """An episode, on the host.

    Attributes:
      states: of the gymnax environment, before each step.
      returns: float32 [T], undiscounted, up to each step.
      ended: whether the episode ended by itself or by its time limit.
    """

    states: list[Any]
    returns: np.ndarray
    ended: bool


def play_one(
    env: Environment,
    params: Any,
    values: Callable[[jax.Array], jax.Array],
    epsilon: float,
    key: jax.Array,
    most_steps: int,
) -> Episode:
    """An episode of a policy, or its first `most_steps` steps.

    Args:
      env, params: the environment and its parameters.
      values: observations [1, ...] -> action values float32 [1, A].
      epsilon: the probability of a random action.
      key: typed.
      most_steps: after how many to stop.
    """

    def play(carry, t):
        state, observation = carry
        act_key, step_key = jax.random.split(jax.random.fold_in(play_key, t))
        action = epsilon_greedy(values(observation[None]), epsilon, act_key)[0]
        after, outcome = env.step(params, step_key, state, action)
        done = outcome.terminated | outcome.truncated
        return (after, outcome.observation), (state, outcome.reward, done)

    start_key, play_key = jax.random.split(key)
    start = env.reset(params, start_key)
    scan = jax.jit(lambda start: lax.scan(play, start, np.arange(most_steps))[1])
    states, reward_T, done_T = jax.device_get(scan(start))
    length = int(np.argmax(done_T)) + 1 if done_T.any() else most_steps
    each = [jax.tree.map(lambda leaf: leaf[t], states) for t in range(length)]  # noqa: B023
    return Episode(each, np.cumsum(reward_T[:length]), bool(done_T.any()))


def check_drawn(env: Environment) -> None:
    """Checks that gymnax, or the environment's own `draw`, can draw the environment.

    Raises:
      UserError: if not.
    """
    if env.name in DRAWN or _draws_itself(env):
        return
    if is_own(env.name):
        raise UserError(
            f"{env.name} cannot be drawn: it has no draw(state, params) that returns an image, "
            "uint8 [H, W, 3]"
        )
    raise UserError(f"{env.name} cannot be drawn; gymnax draws {shortlist(DRAWN, 20)}")


def _draws_itself(env: Environment) -> bool:
    return is_own(env.name) and callable(getattr(env.raw, "draw", None))


def draw(env: Environment, params: Any, episode: Episode, path: Path) -> None:
    """Writes an episode as an animated GIF.

    Raises:
      UserError: if the environment cannot be drawn.
    """
    check_drawn(env)
    if _draws_itself(env):
        _save_gif(_own_frames(env, params, episode), 100, path)
        return
    import matplotlib

    matplotlib.use("Agg")  # neither a screen nor a loudspeaker is needed
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    import matplotlib.pyplot as plt
    from gymnax.visualize import Visualizer

    raw, states = env.raw, episode.states
    if hasattr(states[0], "env_state"):  # sticky actions wrap the game
        raw, states = raw._env, [state.env_state for state in states]
    with jax.numpy_dtype_promotion("standard"):
        drawn = Visualizer(raw, params, states, episode.returns)
        try:
            _write_gif(drawn, len(states), path)
        finally:
            plt.close(drawn.fig)


def _write_gif(drawn: Any, length: int, path: Path) -> None:
    """Writes the frames one by one, as gymnax's `animate` does, which draws each three times."""
    drawn.init()

    def frames() -> Iterator[Image.Image]:
        for step in range(length):
            drawn.update(step)
            drawn.fig.canvas.draw()
            yield Image.fromarray(np.array(drawn.fig.canvas.buffer_rgba())).convert("RGB")

    _save_gif(frames(), drawn.interval, path)


def _own_frames(env: Environment, params: Any, episode: Episode) -> Iterator[Image.Image]:
    """Yields the frames that an environment draws itself.

    Raises:
      UserError: if they are no images.
    """
    for state in episode.states:
        image = np.asarray(env.raw.draw(state, params))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            shape = list(image.shape)
            raise UserError(
                f"{env.name}: its draw gives {image.dtype} {shape}, not an image, uint8 [H, W, 3]"
            )
        yield Image.fromarray(image)


def _save_gif(frames: Iterator[Image.Image], milliseconds: int, path: Path) -> None:
    first = next(frames)
    with whole_file(path) as staging:
        first.save(staging, save_all=True, append_images=frames, duration=milliseconds, loop=0)
