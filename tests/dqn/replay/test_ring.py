"""Tests of the ring: n-step transitions are read as written and sampled uniformly."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from research.dqn.environments import make_environment
from research.dqn.replay import action_of, empty_replay, end_of, read, ring, write, write_moves
from research.dqn.replay.ring import pack, unpack
from research.dqn.replay.uniform import uniform_slots
from research.dqn.rollout import PADDING, TERMINATED, Row
from tests.dqn import worlds
from tests.dqn.oracles import flashbax, lenient
from tests.dqn.test_rollout import play

GAMMA = 0.5
put_row = jax.jit(write)
put_moves = jax.jit(write_moves)
draw_slots = jax.jit(uniform_slots, static_argnums=(1, 2, 3, 5))


def filled(rows, env, slots):
    """A ring to which rows [T, N, ...] were written one by one, and the number of rows."""
    replay = empty_replay(env, slots)
    steps, n = rows.reward.shape
    for t in range(steps):
        row = jax.tree.map(lambda leaf: leaf[t : t + 1], rows)  # noqa: B023
        replay = put_row(replay, row, np.int32(t * n % slots))
    return replay


def read_all(env, replay, slots_B, n_envs, n):
    """The transitions that begin at these slots, on the host."""
    reading = jax.jit(lambda replay, slots: read(env, replay, slots, n_envs, n, GAMMA))
    return jax.device_get(reading(replay, slots_B))


def starts(slots, n_envs, written, n):
    """Every slot that may begin a transition of n steps, by listing them."""
    rows = slots // n_envs
    whole = range(max(0, written - rows), written - n)
    return sorted(row % rows * n_envs + env for row in whole for env in range(n_envs))


@pytest.mark.parametrize("n", [1, 3])
def test_transitions_read_from_the_ring_equal_what_was_written(n):
    """After the ring has wrapped around five times, each transition is consecutive in the diary."""
    assert "Diary-test" in worlds.WORLDS
    env = make_environment("Diary-test")
    n_envs, slots, steps = 4, 80, 103
    rows, _ = play("Diary-test", n_envs, steps)
    replay = filled(rows, env, slots)
    slots_B = np.array(starts(slots, n_envs, steps, n), np.int32)
    batch = read_all(env, replay, slots_B, n_envs, n)
    valid = batch.valid > 0
    assert valid.sum() < len(valid)
    np.testing.assert_array_equal(valid, end_of(np.asarray(replay.moves))[slots_B] != PADDING)
    before, after = batch.observation_tm1[valid], batch.observation_t[valid]
    discount = batch.discount_t[valid]
    steps_taken = after[:, 1] - before[:, 1]
    bootstraps = discount > 0
    assert 0 < bootstraps.sum() < len(bootstraps)
    np.testing.assert_array_equal(after[bootstraps][:, 0], before[bootstraps][:, 0])
    np.testing.assert_allclose(discount[bootstraps], GAMMA ** steps_taken[bootstraps])
    rewards = [
        sum(GAMMA**k * (place + k + 1) for k in range(int(taken)))
        for place, taken in zip(before[bootstraps][:, 1], steps_taken[bootstraps], strict=True)
    ]
    np.testing.assert_allclose(batch.r_t[valid][bootstraps], rewards, rtol=1e-6)
    if n == 1:
        np.testing.assert_array_equal(after[bootstraps][:, 2], batch.a_tm1[valid][bootstraps])
    else:
        assert set(np.unique(steps_taken[bootstraps])) == {1, 2, 3}


def test_exactly_the_slots_that_begin_a_transition_can_be_sampled():
    for slots, n_envs, written, n in (
        (40, 4, 6, 1),
        (40, 4, 10, 2),
        (40, 4, 11, 3),
        (36, 3, 40, 5),
    ):
        drawn = draw_slots(jax.random.key(0), 4000, slots, n_envs, np.int32(written), n)
        assert sorted(set(np.asarray(drawn).tolist())) == starts(slots, n_envs, written, n)


def test_slots_are_sampled_uniformly():
    drawn = draw_slots(jax.random.key(1), 100_000, 120, 4, np.int32(77), 2)
    counts = np.bincount(np.asarray(drawn), minlength=120)
    counts = counts[starts(120, 4, 77, 2)]
    assert counts.sum() == 100_000
    assert stats.chisquare(counts).pvalue > 1e-3


def test_one_step_transitions_equal_flashbax():
    """Both store the same items; the pairs that flashbax samples are exactly our transitions."""
    env = make_environment("Diary-test")
    n_envs, steps = 2, 30
    rows = jax.tree.map(lambda leaf: leaf[20:50, 1:3], play("Diary-test", 4, 103)[0])
    replay = filled(rows, env, n_envs * steps)
    slots_B = np.array(starts(n_envs * steps, n_envs, steps, 1), np.int32)
    ours = read_all(env, replay, slots_B, n_envs, 1)
    with lenient():
        buffer = flashbax.make_flat_buffer(
            max_length=n_envs * steps, min_length=2, sample_batch_size=60,
            add_sequences=False, add_batch_size=n_envs,
        )  # fmt: skip
        item = lambda t, n: {"seen": rows.observation[t, n], "reward": rows.reward[t, n]}
        state, add = jax.jit(buffer.init)(item(0, 0)), jax.jit(buffer.add)
        for t in range(steps):
            items = [item(t, n) for n in range(n_envs)]
            state = add(state, jax.tree.map(lambda *leaves: np.stack(leaves), *items))
        sample = jax.jit(jax.vmap(lambda key: buffer.sample(state, key).experience))
        pairs = jax.device_get(sample(jax.random.split(jax.random.key(0), 40)))
        pairs = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), pairs)
    line = lambda *parts: [tuple(np.concatenate(row).tolist()) for row in zip(*parts, strict=True)]
    theirs = line(pairs.first["seen"], pairs.first["reward"][:, None], pairs.second["seen"])
    mine = line(ours.observation_tm1, ours.r_t[:, None], ours.observation_t)
    assert set(theirs) == set(mine)


@pytest.mark.parametrize("shape", [(3,), (10, 10, 4), (8,), (2, 2)])
def test_packing_observations_into_bits_is_lossless(shape):
    env = make_environment("Catch-bsuite")._replace(observation_shape=shape)
    seen = np.random.default_rng(0).random((5, *shape)) < 0.5
    packed, unpacked = jax.jit(lambda seen: (pack(seen), unpack(pack(seen), env)))(seen)
    assert packed.dtype == jnp.uint8
    assert packed.shape == (5, math.ceil(math.prod(shape) / 8))
    np.testing.assert_array_equal(unpacked, seen)


@pytest.mark.parametrize("bits", [1, 8, 13, 400])
def test_bits_packed_by_shifts_are_those_of_numpy(bits):
    drawn = np.random.default_rng(bits).integers(0, 2, (5, bits)).astype(bool)
    np.testing.assert_array_equal(ring._packed_by_shifts(drawn), np.packbits(drawn, axis=1))


@pytest.mark.parametrize("actions", [2, 64, 65, 300])
def test_every_action_and_end_comes_back(actions):
    env = make_environment("CartPole-v1")._replace(num_actions=actions)
    replay = empty_replay(env, 4)
    row = Row(np.zeros((4, 4), np.float32), np.full(4, actions - 1, np.int32),
              np.zeros(4, np.float32), np.arange(4, dtype=np.uint8))  # fmt: skip
    moves = put_moves(replay, row, np.int32(0)).moves
    assert (action_of(moves) == actions - 1).all()
    np.testing.assert_array_equal(end_of(moves), [0, 1, 2, 3])


def test_a_transition_takes_the_expected_bytes():
    """50 bytes for 10 x 10 x 4 bits, 4 for the reward and 1 for action and end: 5.5 MB for
    100,000."""
    env = make_environment("Breakout-MinAtar")
    replay = jax.eval_shape(lambda: empty_replay(env, 100_000))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(replay))
    assert size == 100_000 * (50 + 4 + 1)


def test_a_write_under_vmap_is_one_slice_and_no_scatter():
    env = make_environment("CartPole-v1")
    shapes = jax.eval_shape(lambda: empty_replay(env, 40))
    replay = jax.tree.map(lambda leaf: np.zeros((3, *leaf.shape), leaf.dtype), shapes)
    rows = Row(
        np.ones((3, 1, 4, 4), np.float32), np.ones((3, 1, 4), np.int32),
        np.ones((3, 1, 4), np.float32), np.full((3, 1, 4), TERMINATED, np.uint8),
    )  # fmt: skip
    lowered = jax.jit(jax.vmap(write, (0, 0, None))).lower(replay, rows, np.int32(4))
    assert "scatter" not in lowered.as_text()  # XLA for CPUs gets rid of it, that for GPUs does not
    compiled = lowered.compile()
    text = compiled.as_text()
    assert text.count(" dynamic-update-slice(") == len(replay)
    assert " scatter(" not in text
    assert " while(" not in text  # a scatter written out as a loop over runs
    np.testing.assert_array_equal(
        np.flatnonzero(compiled(replay, rows, np.int32(4)).rewards[1]),
        [4, 5, 6, 7],
    )


def test_runs_that_write_at_places_of_their_own_write_there():
    env = make_environment("CartPole-v1")
    replay = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), empty_replay(env, 8))
    ones = lambda *shape, dtype="float32": np.ones((1, 2, *shape), dtype)
    row = Row(ones(4), ones(dtype="int32"), ones(), ones(dtype="uint8"))
    written = jax.jit(jax.vmap(write, (0, None, 0)))(replay, row, np.int32([2, 6]))
    assert [np.flatnonzero(one).tolist() for one in written.rewards] == [[2, 3], [6, 7]]


def test_the_cost_of_reading_is_independent_of_the_ring_size():
    """FLOPs and bytes accessed do not grow, except for the ring itself as an argument."""
    env = make_environment("CartPole-v1")

    def counted(slots):
        replay = jax.eval_shape(lambda: empty_replay(env, slots))

        def draw(replay, key):
            at = uniform_slots(key, 32, slots, 4, jnp.int32(50), 3)
            return read(env, replay, at, 4, 3, GAMMA)

        return jax.jit(draw).lower(replay, jax.random.key(0)).compile().cost_analysis()["flops"]

    assert counted(80_000) == pytest.approx(counted(800), rel=0.02)
