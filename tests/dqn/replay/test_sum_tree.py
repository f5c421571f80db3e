"""Tests of the sum tree: sums are correct after any writes, and samples follow them."""

from functools import partial

import jax
import numpy as np
import pytest
from scipy import stats

from research.dqn.replay.sum_tree import build, draw, get, put
from tests.dqn.oracles import flashbax, lenient

build_tree = jax.jit(build)
get_from = jax.jit(get)


@partial(jax.jit, static_argnums=(2, 3))
def draws(tree, seed, times, batch):
    """int32 [times, batch]."""
    keys = jax.random.split(jax.random.key(seed), times)
    return jax.vmap(lambda key: draw(tree, jax.random.uniform(key, batch)))(keys)


def check_sums(tree):
    for level, above in zip(tree.levels, tree.levels[1:], strict=False):
        sums = np.sum(np.asarray(level), axis=1)
        np.testing.assert_allclose(np.asarray(above).ravel()[: len(sums)], sums, rtol=1e-6)
        assert not np.asarray(above).ravel()[len(sums) :].any()


@pytest.mark.parametrize("slots", [1, 15, 16, 17, 300, 5000])
def test_a_tree_holds_its_numbers_and_their_sums(slots):
    values = np.random.default_rng(0).random(slots).astype(np.float32)
    tree = build_tree(values)
    check_sums(tree)
    np.testing.assert_array_equal(get_from(tree, np.arange(slots)), values)
    assert float(jax.jit(lambda tree: tree.total)(tree)) == pytest.approx(
        float(values.sum()), rel=1e-5
    )


def test_sums_do_not_drift():
    """After 2,000 writes over ten orders of magnitude, sums equal those of a tree built anew."""
    rng = np.random.default_rng(0)
    values = np.zeros(1000, np.float32)
    tree, write = build_tree(values), jax.jit(put)
    for _ in range(2000):
        slots = rng.choice(1000, size=8, replace=False)
        new = (10.0 ** rng.uniform(-5, 5, size=8)).astype(np.float32)
        values[slots] = new
        tree = write(tree, slots, new)
    for ours, anew in zip(tree.levels, build_tree(values).levels, strict=True):
        np.testing.assert_allclose(ours, anew, rtol=1e-6)
    tree = write(tree, np.arange(1000), np.zeros(1000, np.float32))
    assert float(tree.total) == 0  # a tree that subtracts has something left here


@pytest.mark.parametrize("slots", [20, 1000])
def test_slots_are_sampled_in_proportion_to_their_numbers(slots):
    values = np.random.default_rng(1).random(slots).astype(np.float32) ** 3
    drawn = draws(build_tree(values), 2, 5000, 32)
    counts = np.bincount(np.asarray(drawn).ravel(), minlength=slots)
    expected = counts.sum() * values / values.sum()
    enough = expected >= 5
    # Stratified draws vary less than independent ones, so p is, if anything, large.
    chi_squared = np.sum((counts[enough] - expected[enough]) ** 2 / expected[enough])
    assert stats.chi2.sf(chi_squared, enough.sum() - 1) > 1e-3
    np.testing.assert_allclose(counts, expected, atol=6 * np.sqrt(expected.max()))


def test_sampling_is_stratified():
    """With 64 equal numbers, a batch of 8 has one slot from each eighth."""
    drawn = draws(build_tree(np.ones(64, np.float32)), 0, 1, 8)
    np.testing.assert_array_equal(np.asarray(drawn[0]) // 8, np.arange(8))


def test_slots_of_priority_0_are_never_sampled():
    rng = np.random.default_rng(1)
    values = np.where(rng.random(700) < 0.02, 10.0 ** rng.uniform(-6, 6, size=700), 0)
    drawn = np.asarray(draws(build_tree(np.float32(values)), 3, 2000, 32))
    assert (values[drawn] > 0).all()


def test_a_stratum_that_begins_after_zeros_samples_a_nonzero_slot():
    """The smallest possible random number equals the sums before its slot exactly."""
    values = np.float32([0, 0, 1, 0] * 8)
    drawn = jax.jit(draw)(build_tree(values), np.zeros(8, np.float32))
    np.testing.assert_array_equal(drawn, np.arange(2, 32, 4))


def test_a_tree_of_zeros_samples_existing_slots():
    drawn = draws(build_tree(np.zeros(40, np.float32)), 0, 1, 16)
    assert ((np.asarray(drawn) >= 0) & (np.asarray(drawn) < 40)).all()


def test_sampling_probabilities_equal_flashbax():
    """flashbax samples by priority**alpha over the sum; the numbers here are exact in both."""
    priorities = np.arange(1, 8, dtype=np.float32)
    alpha = 0.6
    with lenient():
        buffer = flashbax.make_prioritised_flat_buffer(
            max_length=8, min_length=2, sample_batch_size=7, add_sequences=False,
            add_batch_size=None, priority_exponent=alpha,
        )  # fmt: skip
        state, add = jax.jit(buffer.init)({"x": np.float32(0)}), jax.jit(buffer.add)
        for i in range(8):
            state = add(state, {"x": np.float32(i)})
        state = jax.jit(buffer.set_priorities)(state, np.arange(7), priorities)
        sample = jax.jit(buffer.sample)(state, jax.random.key(0))
    theirs = {
        int(x): float(p)
        for x, p in zip(sample.experience.first["x"], sample.probabilities, strict=True)
    }
    tree = build_tree(priorities**alpha)
    ours = np.asarray(get_from(tree, np.arange(7))) / float(tree.total)
    assert len(theirs) >= 3
    for slot, probability in theirs.items():
        assert ours[slot] == pytest.approx(probability, rel=1e-4)
