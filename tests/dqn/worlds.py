"""Small environments for tests, registered with gymnax under their names.

The five diagnostic ones each isolate one mistake; their action values are known:

    Constant-test     ends at once, reward 1                        Q = 1
    Observed-test     ends at once, reward is the observed sign     Q(s) = s
    Discounted-test   two steps, reward 1 at the second             Q(first) = gamma, Q(second) = 1
    Chosen-test       ends at once, reward -1 or 1 by the action    Q = (-1, 1)
    Cut-test          reward 1 in the second place, where it stays  Q(first) = gamma / (1 - gamma),
                      until a time limit of 3 steps strikes         Q(second) = 1 / (1 - gamma)

`Mixed-test` draws one of the five for each episode, and shows which: of the first five numbers of
its observation that one's is 1, and then come its own two. To train once asks all five questions.

`Diary-test` tells in its observation where it is: `(episode, place, last action)`, with reward
place + 1. It ends after a number of steps that differs from episode to episode, or is cut at 4.
"""

from typing import Any

import gymnax.registration
import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces


@struct.dataclass
class WorldState:
    """The state of a world."""

    name: Any  # float32 [], the observed sign, or the number of the episode
    place: Any  # float32 []
    action: Any  # float32 [], the last one, or which of the five worlds this is
    last: Any  # int32 [], steps until the end
    time: Any  # int32 []


@struct.dataclass
class WorldParams:
    """The time limit, and a factor to sweep."""

    max_steps_in_episode: int = 100
    reward_scale: float = 1.0


class World(environment.Environment):
    """A small environment, defined by its reward and length."""

    def __init__(self, reward, steps=1, limit=100, names=(0.0, 1.0), random_steps=False):
        super().__init__()
        self.reward, self.steps, self.limit = reward, steps, limit
        self.names, self.random_steps = names, random_steps

    @property
    def default_params(self) -> Any:
        return WorldParams(max_steps_in_episode=self.limit)

    def step_env(self, key, state, action, params):
        reward = self.reward(state, action) * params.reward_scale
        place = jnp.minimum(state.place + 1, 1.0) if self.steps is None else state.place + 1
        state = state.replace(place=place, action=jnp.float32(action), time=state.time + 1)
        observation = self.see(state)
        terminated = jnp.bool_(False) if self.steps is None else state.time >= state.last
        return observation, state, reward, terminated, {"discount": 1.0}

    def reset_env(self, key, params):
        name_key, last_key = jax.random.split(key)
        low, high = self.names
        if self.random_steps:
            name = jax.random.randint(name_key, (), 0, 1 << 20).astype(jnp.float32)
            last = jax.random.randint(last_key, (), 1, 8)
        else:
            name = jnp.where(jax.random.bernoulli(name_key), low, high)
            last = jnp.int32(self.steps or 0)
        state = WorldState(name, jnp.float32(0), jnp.float32(-1), last, jnp.int32(0))
        return self.see(state), state

    def see(self, state):
        return jnp.stack([state.name, state.place, state.action])

    def is_truncated(self, state, params):
        return state.time >= params.max_steps_in_episode

    def action_space(self, params=None):
        return spaces.Discrete(2)

    def observation_space(self, params):
        return spaces.Box(-1.0, 1e9, (3,), jnp.float32)


class Plain(World):
    """A world that does not observe the last action, on which nothing depends."""

    def see(self, state):
        return jnp.stack([state.name, state.place])


class Mixed(environment.Environment):
    """One of the five diagnostic worlds, drawn uniformly; signs are -1 or 1 in all of them."""

    steps = (1, 1, 2, 1, 1000)

    @property
    def default_params(self) -> Any:
        return WorldParams(max_steps_in_episode=3)

    def step_env(self, key, state, action, params):
        kind, sign, place = state.action, state.name, state.place
        rewards = jnp.stack([jnp.float32(1), sign, place, 2 * jnp.float32(action) - 1, place])
        reward = jnp.sum(jnp.where(kind == jnp.arange(5), rewards, 0))
        state = state.replace(place=jnp.minimum(place + 1, 1.0), time=state.time + 1)
        return self.see(state), state, reward, state.time >= state.last, {"discount": 1.0}

    def reset_env(self, key, params):
        bits = jax.random.bits(key, (2,), jnp.uint32)
        kind, sign = bits[0] % 5, jnp.where(bits[1] % 2 == 0, -1.0, 1.0)
        last = jnp.array(self.steps, jnp.int32)[kind]
        state = WorldState(sign, jnp.float32(0), kind.astype(jnp.float32), last, jnp.int32(0))
        return self.see(state), state

    def see(self, state):
        shown = (state.action == jnp.arange(5)).astype(jnp.float32)
        return jnp.concatenate([shown, jnp.stack([state.name, state.place])])

    def is_truncated(self, state, params):
        return state.time >= params.max_steps_in_episode

    def action_space(self, params=None):
        return spaces.Discrete(2)

    def observation_space(self, params):
        return spaces.Box(-1.0, 1.0, (7,), jnp.float32)


WORLDS = {
    "Constant-test": lambda: Plain(lambda state, action: jnp.float32(1)),
    "Observed-test": lambda: Plain(lambda state, action: state.name, names=(-1.0, 1.0)),
    "Discounted-test": lambda: Plain(lambda state, action: state.place, steps=2),
    "Chosen-test": lambda: Plain(lambda state, action: 2 * jnp.float32(action) - 1),
    "Cut-test": lambda: Plain(lambda state, action: state.place, steps=None, limit=3),
    "Mixed-test": Mixed,
    "Diary-test": lambda: World(
        lambda state, action: state.place + 1, steps=1, limit=4, random_steps=True
    ),
}

for _name, _factory in WORLDS.items():
    if _name not in gymnax.registration.registered_envs:
        gymnax.registration.register(_name, _factory)
