"""Measures the time and memory of our replay buffer and of flashbax's under `vmap` over runs.

    scripts/run scripts/compare/replay_against_flashbax.py      (needs the dev tools: scripts/test)

Each run stores transitions of MinAtar Breakout (10 x 10 x 4 binary numbers). A step adds one
observation and samples a batch of 32 transitions with their successor observations. flashbax's flat
buffer stores float32 observations, as gymnax returns them and as its users store them, and in a
second measurement bool. Memory is the growth of what the device, or on a CPU the process, holds.
"""

import dataclasses
import gc
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import tyro
from jax import lax, vmap

from research.cli.machine import configure_jax
from research.dqn.environments import make_environment
from research.dqn.replay import empty_replay, read, sum_tree, write
from research.dqn.replay.uniform import uniform_slots
from research.dqn.rollout import Row
from research.errors import plain_exit
from research.runs.session import device_facts, versions

ENV = "Breakout-MinAtar"
BATCH, STEPS = 32, 50


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Which numbers of runs to measure, and with how many transitions."""

    runs: tuple[int, ...] = (1, 64, 512)
    slots: Annotated[int, tyro.conf.arg(help="transitions a run that are timed")] = 10_000
    turns: int = 5


def ours(slots: int, by_priority: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`init()` and `step(state, observation, key, t)` of our replay buffer, for one run."""
    env = make_environment(ENV)

    def init():
        tree = sum_tree.build(jnp.ones(slots)) if by_priority else None
        return empty_replay(env, slots), tree

    def step(state, observation, key, t):
        replay, tree = state
        one = lambda value, dtype: jnp.full((1, 1), value, dtype)
        row = Row(
            observation[None, None], one(1, jnp.int32), one(1, jnp.float32), one(0, jnp.uint8)
        )
        replay = write(replay, row, t % slots)
        written = slots + t  # as if the buffer had been filled before
        if tree is None:
            drawn = uniform_slots(key, BATCH, slots, 1, written, 1)
        else:
            tree = sum_tree.put(tree, t[None] % slots, jnp.ones(1))
            drawn = sum_tree.draw(tree, jax.random.uniform(key, (BATCH,)))
        batch = read(env, replay, drawn, 1, 1, jnp.float32(0.99))
        if tree is not None:
            tree = sum_tree.put(tree, drawn, 1 + batch.r_t)
        return (replay, tree), _digest(batch.observation_tm1, batch.observation_t)

    return init, step


def flashbax_flat(
    slots: int, by_priority: bool, dtype: Any
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`init()` and `step(...)` of flashbax's flat buffer, uniform or prioritised, for one run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import flashbax  # pyright: ignore[reportMissingImports]
    shape = make_environment(ENV).observation_shape
    size: dict[str, Any] = {"max_length": slots, "min_length": BATCH, "sample_batch_size": BATCH}
    buffer: Any
    if by_priority:
        buffer = flashbax.make_prioritised_flat_buffer(**size, priority_exponent=0.6)
    else:
        buffer = flashbax.make_flat_buffer(**size)

    def item(observation):
        scalars = {"action": jnp.int32(1), "reward": jnp.float32(1), "done": jnp.bool_(False)}
        return {"observation": observation.astype(dtype), **scalars}

    def step(state, observation, key, t):
        del t
        state = buffer.add(state, item(observation))
        sample = buffer.sample(state, key)
        first, second = sample.experience.first, sample.experience.second
        if by_priority:
            state = buffer.set_priorities(state, sample.indices, 1 + first["reward"])
        return state, _digest(first["observation"], second["observation"])

    def init():
        state = buffer.init(item(jnp.zeros(shape, bool)))
        full = {"is_full": jnp.bool_(True)}
        return state.replace(**full) if hasattr(state, "replace") else state._replace(**full)

    return init, step


def cost(
    init: Callable[..., Any], step: Callable[..., Any], runs: int, turns: int
) -> tuple[float, float]:
    """The microseconds per step and run (median over turns), and the megabytes of all runs."""
    shape = make_environment(ENV).observation_shape
    before = memory_in_use()
    states = jax.jit(lambda: vmap(lambda _: init())(jnp.arange(runs)))()

    def body(states, t):
        key = jax.random.fold_in(jax.random.key(0), t)
        keys = jax.random.split(key, runs)
        seen = jax.random.bernoulli(key, 0.1, (runs, *shape))
        return vmap(step, (0, 0, 0, None))(states, seen, keys, t)

    ts = jnp.arange(STEPS, dtype=jnp.int32)
    scan = jax.jit(lambda states: lax.scan(body, states, ts), donate_argnums=0)
    clock = []
    for _ in range(turns + 1):
        began = time.perf_counter()
        states, digests = scan(states)
        jax.block_until_ready(digests)
        clock.append(time.perf_counter() - began)
    used = (memory_in_use() - before) / 1e6
    return statistics.median(clock[1:]) / STEPS / runs * 1e6, used


def memory_in_use() -> int:
    """Bytes in use on the device, or by this process where the device does not say."""
    gc.collect()
    if stats := jax.local_devices()[0].memory_stats():
        return stats["bytes_in_use"]
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def megabytes(init: Callable[..., Any]) -> float:
    """The memory of one run, from the shapes of its state."""
    leaves = jax.tree.leaves(jax.eval_shape(init))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) / 1e6


def main(given: Arguments) -> None:
    """Prints a line for each kind of buffer and number of runs."""
    print(device_facts(), versions())
    for by_priority in (False, True):
        kinds = {
            "ours": lambda slots: ours(slots, by_priority),  # noqa: B023
            "flashbax bool": lambda slots: flashbax_flat(slots, by_priority, jnp.bool_),  # noqa: B023
            "flashbax float32": lambda slots: flashbax_flat(slots, by_priority, jnp.float32),  # noqa: B023
        }
        for name, make in kinds.items():
            kind = "prioritized" if by_priority else "uniform"
            size = megabytes(make(100_000)[0])
            print(f"{kind}, {name}: {size:.2f} MB a run of 100,000 transitions (from the shapes)")
            for runs in given.runs:
                time_us, used = cost(*make(given.slots), runs, given.turns)
                line = f"{time_us:.1f} us a step and run, {used:,.0f} MB"
                print(f"{kind}, {name}, {runs} runs: {line}", flush=True)


def _digest(*arrays: jax.Array) -> jax.Array:
    """A number that depends on every element, so that XLA removes no work."""
    return sum((jnp.sum(array, dtype=jnp.float32) for array in arrays), jnp.float32(0))


if __name__ == "__main__":
    with plain_exit():
        chosen = tyro.cli(Arguments, description=__doc__)
        configure_jax()
        jax.config.update("jax_numpy_dtype_promotion", "standard")
        main(chosen)
