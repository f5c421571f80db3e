"""The loop over steps for GPUs, computed here: packed carries and what is drawn ahead."""

import re
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.engine import few_kernels
from research.engine.axes import make_runs
from research.engine.chunk import init_runs, make_keys, start_status, train_chunk
from research.engine.few_kernels import Packing, in_few_kernels, steps_ahead
from research.task import SplitStep
from tests import toy


class Inner(NamedTuple):
    flag: Any
    byte: Any
    count: Any
    word: Any
    number: Any
    half: Any


class State(NamedTuple):
    params: Any
    small: Any
    time: Any


def made_state(lead):
    """Leaves of every type, with bits that a conversion through another type would lose."""
    full = lambda value, shape, dtype: jnp.full((*lead, *shape), value, dtype)
    small = Inner(
        flag=full(True, (3,), bool),
        byte=full(255, (2, 2), jnp.uint8),
        count=full(-(2**31), (1,), jnp.int32),
        word=full(2**32 - 1, (2,), jnp.uint32),
        number=full(jnp.float32(-0.0), (4, 5), jnp.float32),
        half=full(1.5, (2,), jnp.bfloat16),
    )
    return State(full(2.5, (8, 8), jnp.float32), small, full(7, (), jnp.int32))


@pytest.mark.parametrize(("lead", "first"), [((6,), 1), ((), 0)])
def test_what_is_packed_comes_back_to_the_bit(lead, first):
    carry = (made_state(lead), full_sums(lead))
    packing = Packing(carry, ["small"], first)
    packed = packing.pack(carry)
    # All of `small` but its bfloat16, and every single number, are in one array.
    assert packed.words.shape == (*lead, 3 + 4 + 1 + 2 + 20 + 1 + 1)
    assert sorted(leaf.dtype.name for leaf in packed.rest) == ["bfloat16", "float32"]
    back = packing.unpack(packed)
    chex.assert_trees_all_equal_shapes_and_dtypes(back, carry)
    bits = lambda tree: [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]
    assert bits(back) == bits(carry)


def full_sums(lead):
    return jnp.full(lead, jnp.nan, jnp.float32)


def test_without_fields_single_numbers_are_packed():
    carry = (made_state((6,)), full_sums((6,)))
    packing = Packing(carry, [], 1)
    packed = packing.pack(carry)
    assert packed.words.shape == (6, 2)  # `time`, and the sums
    assert len(packed.rest) == len(jax.tree.leaves(carry)) - 2
    chex.assert_trees_all_equal(packing.unpack(packed), carry)


@pytest.mark.parametrize("fields", [None, []])
def test_without_single_numbers_either_nothing_is_packed(fields):
    carry = (jnp.ones((6, 2)), jnp.ones((6, 3), jnp.int32))
    if fields is None:  # then they are not packed, either
        carry = (*carry, jnp.ones(6))
    packed = Packing(carry, fields, 1).pack(carry)
    assert packed.words is None
    chex.assert_trees_all_equal(packed.rest, list(carry))


@pytest.mark.parametrize(
    ("most", "steps", "ahead"),
    [(10**9, 12, 12), (40, 12, 4), (24, 12, 3), (1, 12, 1), (40, 13, 1), (104, 13, 13)],
)
def test_as_many_steps_are_drawn_as_fit_and_divide_all(most, steps, ahead, monkeypatch):
    """A step draws a float32 and an int32, 8 bytes together."""
    monkeypatch.setattr(few_kernels, "AHEAD_BYTES", most)
    draw_all = lambda ts: (jnp.zeros(len(ts), jnp.float32), ts)
    assert steps_ahead(draw_all, steps) == ahead


def test_a_step_sees_what_was_drawn_for_it_and_the_carry_before_it():
    carry = (
        State(jnp.zeros((2, 3)), jnp.zeros((2, 4)), jnp.zeros(2, jnp.int32)),
        jnp.zeros(2, jnp.int32),
    )

    def one_step(carry, t, drawn):
        state, count = carry
        small = state.small * 2 + drawn
        return (state._replace(small=small, time=state.time + t), count + 1)

    given = jnp.arange(5, 11)
    state, count = jax.jit(
        lambda carry: in_few_kernels(
            one_step, lambda ts: 0.5 * ts.astype(jnp.float32), ["small"], 1, carry, given, 3
        )
    )(carry)
    expected = 0.0
    for t in range(5, 11):
        expected = expected * 2 + 0.5 * t
    np.testing.assert_array_equal(state.small, np.full((2, 4), expected))
    np.testing.assert_array_equal(state.time, [45, 45])
    np.testing.assert_array_equal(count, [6, 6])


class Drifting(NamedTuple):
    """The toy's state, and a drift that is drawn once."""

    params: Any
    draw: jax.Array
    drift: jax.Array


def start_drifting(shared, hparams, key):
    return Drifting(*toy.init(shared, hparams, key), jax.random.uniform(jax.random.fold_in(key, 1)))


def draw_drift(shared, hparams, fixed, key, t):
    assert list(fixed) == ["drift"]
    return key, fixed["drift"] * t.astype(jnp.float32) + hparams.rate + shared["start"]


def drift(shared, hparams, state, drawn, t):
    key, moved = drawn
    after, metrics = toy.step(shared, hparams, toy.ToyState(state.params, state.draw), key, t)
    params = jax.tree.map(lambda leaf: leaf + moved, after.params)
    return Drifting(params, after.draw, state.drift), metrics


def drift_in_one(shared, hparams, state, key, t):
    return drift(
        shared, hparams, state, draw_drift(shared, hparams, {"drift": state.drift}, key, t), t
    )


@pytest.mark.parametrize("packed", [(), ("draw",)])
@pytest.mark.parametrize("seeds", [(3,), (3, 5, 8)])  # a lone run has no axis of runs
def test_a_split_step_trains_as_a_whole_one_in_both_loops(seeds, packed, monkeypatch):
    """It draws with its key and with a field of the state; split, the draw comes from outside."""
    split = SplitStep(draw_drift, drift, fixed=("drift",), packed=packed)
    runs, shared = make_runs(toy.ToyHParams(), {}, seeds), {"start": np.float32(0)}

    def trained(step, platform="cpu"):
        task = toy.TASK._replace(init=start_drifting, step=step)

        @jax.jit
        def train(hparams, seeds):
            states, keys = init_runs(task, shared, hparams, seeds), make_keys(seeds).step
            args: Any = shared, hparams, states, start_status(len(seeds)), keys, np.int32(4)
            return train_chunk(task, 2, 6, *args, platform=platform)

        return jax.device_get(train(runs.hparams, runs.seeds))

    whole = trained(drift_in_one)
    assert len({float(drift) for drift in whole[0].drift}) == len(seeds)
    chex.assert_trees_all_equal(trained(split), whole)
    for platform in ("cuda", "tpu"):
        chex.assert_trees_all_equal(trained(split, platform), whole)
    monkeypatch.setattr(few_kernels, "AHEAD_BYTES", 50)  # not even for all steps of one log
    chex.assert_trees_all_equal(trained(split, "cuda"), whole)


@pytest.mark.parametrize(
    ("platform", "words", "steps"),
    [("cpu", 2, 200), ("cuda", 2, 100), ("tpu", 2, 100), ("cuda", 5, 40), ("tpu", 5, 200)],
)
def test_a_tpu_draws_ahead_what_is_small_and_a_cpu_nothing(platform, words, steps, monkeypatch):
    """Of 200 steps, 100 that draw two words each fit in what may be drawn ahead, or 40 of five."""
    monkeypatch.setattr(few_kernels, "AHEAD_BYTES", 800)
    split = SplitStep(
        lambda *args: jnp.zeros(words, jnp.int32),
        lambda shared, hparams, state, drawn, t: (state, {"loss": drawn[0].astype(jnp.float32)}),
    )
    one, run = jnp.zeros(1), make_runs(toy.ToyHParams(), {}, 1)
    args: Any = {}, run.hparams, Drifting({"w": one}, one, one), start_status(1)
    keys = make_keys(run.seeds).step
    train = partial(train_chunk, toy.TASK._replace(step=split), 1, 200, platform=platform)
    lengths = set(re.findall(r"length=(\d+)", str(jax.make_jaxpr(train)(*args, keys, np.int32(0)))))
    assert lengths == {"1", str(steps), str(200 // steps)}


def test_a_split_step_is_called_as_a_whole():
    split = SplitStep(
        lambda shared, hparams, fixed, key, t: key + t + fixed["drift"],
        lambda *args: args,
        fixed=("drift",),
    )
    args: Any = "shared", "hparams", Drifting(None, np.float32(0), np.float32(5)), 10, 2
    assert split(*args) == ("shared", "hparams", args[2], 17, 2)
