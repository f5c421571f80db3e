"""Tests of environments that gymnax does not know: what is loaded, adapted and refused."""

import sys
from pathlib import Path

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.cli import own_code
from research.dqn.environments import make_environment
from research.dqn.own_environments import code_in
from research.dqn.rollout import play_episodes
from research.errors import UserError

HEAD = """
import random
from typing import NamedTuple
import jax
from gymnax.environments.environment import Environment
import jax.numpy as jnp
import numpy as np
ONE = jnp.float32(1) * 2 - 1

class State(NamedTuple):
    place: jax.Array
    time: jax.Array

class Walk:
    num_actions = 2
    calls = 0
    def reset(self, key, params):
        return self.see(State(jnp.int32(0), 0)), State(jnp.int32(0), 0)
    def see(self, state):
        return jnp.stack([state.place, state.time]) * ONE
    def move(self, state, action):
        return State(state.place + action, state.time + 1)
"""
SIX = """
    def step(self, key, state, action, params):
        after = self.move(state, action)
        first, fresh = self.reset(key, params)
        terminated, truncated = after.place >= 3, after.time >= 5
        done = terminated | truncated
        state = jax.tree.map(lambda a, b: jnp.where(done, a, b), fresh, after)
        info = {"final_observation": self.see(after)}
        return self.see(state), state, ONE, terminated, truncated, info
"""
FIVE = """
    def reset_env(self, key, params):
        return self.reset(key, params)
    def step_env(self, key, state, action, params):
        after = self.move(state, action)
        done = (after.place >= 3) | (after.time >= 5)
        return self.see(after), after, ONE, done, INFO
    def step(self, key, state, action, params):
        return self.step_env(key, state, action, params)
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes a module of its own name, and returns the place of a name in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    made = []

    def write(code, name="Walk", head=HEAD):
        made.append(f"own_{tmp_path.name.replace('-', '_')}_{len(made)}.py")
        Path(made[-1]).write_text(head + code)
        return f"{made[-1]}:{name}"

    yield write
    for file in made:
        sys.modules.pop(file.removesuffix(".py"), None)


def play(env, actions):
    """The outcomes of some actions, from the first state on, as numpy arrays."""

    def run(key):
        state, _ = env.reset(env.params, jax.random.fold_in(key, 0))
        keys = jax.random.split(jax.random.fold_in(key, 1), len(actions))
        step = lambda state, given: env.step(env.params, given[0], state, given[1])
        return jax.lax.scan(step, state, (keys, actions))[1]

    return jax.device_get(jax.jit(run)(jax.random.key(0)))


RIGHT, STAY = jnp.ones(7, jnp.int32), jnp.zeros(7, jnp.int32)


def test_six_values_are_taken_as_they_are(write):
    env = make_environment(write(SIX))
    assert (env.num_actions, env.observation_shape, env.bounds) == (2, (2,), ())
    assert env.params == ()
    right, stay = play(env, RIGHT), play(env, STAY)
    assert right.terminated.tolist() == [False, False, True] * 2 + [False]
    assert not right.truncated.any()
    assert stay.truncated.tolist() == [False] * 4 + [True] + [False] * 2
    assert right.final_observation[2].tolist() == [3, 3]
    assert right.observation[2].tolist() == [0, 0]
    assert set(env.facts) == {"source_sha256"}


def test_of_five_values_an_end_is_a_terminal_state_and_that_is_told(write):
    env = make_environment(write(FIVE.replace("INFO", "{}")))
    stay = play(env, STAY)
    assert stay.terminated.tolist() == [False] * 4 + [True] + [False] * 2
    assert not stay.truncated.any()
    assert stay.final_observation[4].tolist() == [0, 5]  # of the step, not of the new episode
    assert stay.observation[4].tolist() == [0, 0]
    (note,) = env.facts["notes"]
    assert "a time limit counts as an end" in note


def test_five_values_may_tell_of_a_time_limit(write):
    env = make_environment(write(FIVE.replace("INFO", "{'truncated': after.time >= 5}")))
    stay, right = play(env, STAY), play(env, RIGHT)
    assert stay.truncated.tolist() == [False] * 4 + [True] + [False] * 2
    assert not stay.terminated.any()
    assert right.terminated[2]
    assert "tells of time limits" in env.facts["notes"][0]


def test_a_function_may_make_the_parameters_too(write):
    """As `gymnax.make` does; in a wrapper the environment alone is meant."""
    code = f"{SIX}\nmake = lambda: (Walk(), {{'wind': 0.5}})\ndef wrap(env): return env"
    where = write(code, "make")
    assert make_environment(where).params["wind"] == 0.5
    assert make_environment(where.replace(":make", f":wrap({where})")).params == ()


@pytest.mark.parametrize("steps", [None, 30_000])
def test_an_evaluation_leaves_an_episode_that_never_ends(write, steps):
    """After 10,000 steps, or where the environment itself would end it, if that is later."""
    code = SIX.replace("after.place >= 3, after.time >= 5", "jnp.bool_(False), jnp.bool_(False)")
    params = "Params = NamedTuple('Params', [('max_steps_in_episode', int)])"
    given = f"\n{params}\nWalk.default_params = Params({steps})" if steps else ""
    env = make_environment(write(code + given))
    always = lambda seen: jnp.tile(jnp.array([[0.0, 1.0]]), (len(seen), 1))
    play = jax.jit(lambda key: play_episodes(env, env.params, always, 0.0, key, 2))
    returns, lengths = play(jax.random.key(0))
    assert lengths.tolist() == [steps or 10_000] * 2
    assert returns.tolist() == [steps or 10_000] * 2


@pytest.mark.parametrize(
    "made", ["make = lambda: Walk()", "make = Walk()", "def make(): return Walk()"]
)
def test_a_class_a_function_and_an_object_will_do(write, made):
    assert make_environment(write(f"{SIX}\n{made}", "make")).num_actions == 2


def test_a_module_is_found_in_the_current_folder(write):
    where = write(SIX)
    assert make_environment(where.replace(".py:", ":")).observation_shape == (2,)


WRAPPER = """
class Blind:
    def __init__(self, env):
        self._env = env
    def __getattr__(self, name):
        return getattr(self._env, name)
    def reset(self, key, params):
        observation, state = self._env.reset(key, params)
        return observation[:1], state
    def step(self, key, state, action, params):
        observation, *others, info = self._env.step(key, state, action, params)
        return observation[:1], *others, {"final_observation": info["final_observation"][:1]}
"""


KEYED = """
class Keyed(Walk):
    def reset(self, key, params):
        key, place_key = jax.random.split(jax.random.key(7))
        return ONE * jax.random.bernoulli(place_key)[None], (key, {"time": jnp.int32(0)})
    def step(self, key, state, action, params):
        own, rest = state
        own, draw_key = jax.random.split(own)
        seen = ONE * jax.random.bernoulli(draw_key)[None]
        after = own, {"time": rest["time"] + 1}
        return seen, after, ONE, jnp.bool_(False), jnp.bool_(False), {"final_observation": seen}
"""


def test_keys_in_a_state_are_stored_as_their_numbers(write):
    env = make_environment(write(KEYED, name="Keyed"))
    state, seen = env.reset(env.params, jax.random.key(0))
    assert all(np.issubdtype(leaf.dtype, np.number) for leaf in jax.tree.leaves(state))
    drawn = [float(seen[0])]
    for _ in range(30):
        state, outcome = env.step(env.params, jax.random.key(0), state, jnp.int32(0))
        drawn.append(float(outcome.observation[0]))
    assert 5 < sum(drawn) < 25  # a key that stood still would draw the same each time
    assert state[1]["time"] == 30


def test_wrappers_take_gymnax_environments_and_own_ones(write):
    wrapper = write(WRAPPER, "Blind", head="")
    cartpole = make_environment(f"{wrapper}(CartPole-v1)")
    assert (cartpole.observation_shape, cartpole.num_actions) == ((1,), 2)
    assert cartpole.params == gymnax.make("CartPole-v1")[1]
    outcome = play(cartpole, RIGHT)
    going = ~outcome.terminated
    np.testing.assert_array_equal(outcome.observation[going], outcome.final_observation[going])
    own = make_environment(f"{wrapper}({write(SIX)})")
    assert play(own, RIGHT).observation.shape == (7, 1)
    twice = make_environment(f"{wrapper}({wrapper}(Acrobot-v1))")
    assert twice.observation_shape == (1,)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "Walk has no step; an environment has"),
        (SIX.replace("ONE,", "jnp.ones(3),"), r"its reward is float32 \[3\], not one number"),
        (SIX.replace(", info\n", "\n"), r"the last value of step is bool \[\], not a dict"),
        (SIX.replace(", truncated, info\n", "\n"), "step gives 4 values; it has to give"),
        (SIX.replace('"final_observation"', '"last"'), "info has no final_observation"),
        (SIX.replace("key, state, action, params):", "key, state):"),
         r"step\(key, state, action, params\) failed: TypeError: Walk.step\(\) takes 3 positional"),
        (SIX.replace("after = self", "assert action.shape == (2,)\n        after = self"),
         r"params\) failed: AssertionError at .*own_.*\.py:\d+: assert action.shape == \(2,\)$"),
        (SIX.replace("after = self", "self.unfinished()\n        after = self")
         + "    def unfinished(self):\n        raise NotImplementedError\n",
         r"params\) failed: NotImplementedError at .*own_.*\.py:\d+: raise NotImplementedError$"),
        (SIX.replace("after = self", "Environment().is_terminated(0, 0)\n        after = self"),
         r"NotImplementedError at .*own_.*\.py:\d+: Environment\(\).is_terminated\(0, 0\), "
         "in is_terminated$"),
        (SIX.replace("after = self", "if action > 0: pass\n        after = self"),
         r"params\) failed: Tracer.* at .*own_.*\.py:\d+: "),
        (SIX.replace("after = self", "self.last = state.place\n        after = self"),
         "step is no pure function: it changes its own last"),
        (SIX.replace("ONE,", "ONE * random.random(),"), "no pure function: it is another one"),
        (SIX.replace("ONE,", "ONE * np.random.rand(3).sum(),"), "no pure function: it is another"),
        (SIX + "    def see(self, state):\n        return {'a': state.place, 'b': state.time}\n",
         "its observation is a tree of 2 arrays"),
        (SIX + "    num_actions = 1\n", "it has 1 actions"),
        (SIX + "    num_actions = None\n", "its actions are no choice of one among some"),
        (SIX.replace("return self.see(state), state,", "return self.see(state), state.place,"),
         "its state after step has other arrays than after reset"),
        (SIX.replace("fresh, after)", "fresh, after)._replace(time=jnp.float32(0))"),
         r"time is int32 \[\], then float32 \[\]"),
        (SIX.replace("return self.see(state), state,", "return self.see(state)[:1], state,"),
         r"its observation is float32 \[2\] after reset and float32 \[1\] after step"),
        ("    def reset(self, key, params):\n        return 1, 2, 3\n" + SIX,
         r"reset gives 3 values, not \(observation, state\)"),
        (" x = 1", r"own_.*py failed: IndentationError: unindent does not match .*line \d+\)"),
        ("\nraise OSError('gone')", r"own_.*py failed: OSError at .*own_.*\.py:\d+: gone"),
        ("    def __init__(self, size):\n        pass\n" + SIX,
         r"Walk\(\) failed: TypeError: Walk.__init__\(\) missing 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_a_line(write, code, says):
    with pytest.raises(UserError, match=f"--env own_.*{says}"):
        make_environment(write(code))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("nothing.py:Walk", "no file nothing.py"),
        ("no_such_module:Walk", "no_such_module failed: ModuleNotFoundError"),
        ("json:Walk", "json has no Walk; it has dump, dumps, "),
        ("json:load_", "json has no load_; did you mean load\\?"),
        ("a:b:c", "give FILE.py:NAME or package.module:NAME"),
        (":", "give FILE.py:NAME"),
        ("json:loads(", "give FILE.py:NAME"),
    ],
)
def test_code_that_is_not_there_is_told_in_a_line(where, says):
    with pytest.raises(UserError, match=says):
        make_environment(where)


def test_minatars_protocol_is_minatars(write):
    with pytest.raises(UserError, match="--protocol original: it is MinAtar's"):
        make_environment(write(SIX), "original")


def test_the_code_in_a_name_is_found_through_wrappers():
    assert code_in("CartPole-v1") == []
    assert code_in("a/b.py:X") == ["a/b.py"]
    assert code_in("w.py:Flat(p.q:Y(CartPole-v1))") == ["w.py", "p.q"]


def test_no_folder_has_code_run_that_the_user_has_not_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(UserError, match=r"runs/it was trained with the code in maze\.py"):
        own_code.check_known(["maze.py"], Path("runs/it"), "--env maze.py:Maze")
    own_code.remember(["maze.py", "package.mazes"])
    own_code.check_known([str(tmp_path / "maze.py"), "package.mazes"], Path("it"), "")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(UserError, match=r"if you trust it, add --env maze\.py:Maze"):
        own_code.check_known(["maze.py"], Path("it"), "add --env maze.py:Maze")
