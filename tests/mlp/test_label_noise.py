"""Tests of label noise: its rate, uniform over classes, and the same in every epoch."""

import jax
import numpy as np
import pytest
from scipy import stats

from research.mlp import Config, HParams, label_noise, make_problem
from research.mlp.label_noise import draw_noise
from tests import contract

noisy_labels = jax.jit(label_noise.noisy_labels, static_argnums=4)
noisy_targets = jax.jit(label_noise.noisy_targets)
N, CLASSES = 30_000, 5
ROWS = np.arange(N, dtype=np.int32)
LABELS = ROWS * 7 % CLASSES
NOISE = np.asarray(draw_noise(jax.random.key(0)))
ZEROS = np.zeros(N, np.float32)


def labels(rate, noise=NOISE, given=LABELS, classes=CLASSES):
    return np.asarray(noisy_labels(given, ROWS, noise, np.float32(rate), classes))


def numbers(scale, noise=NOISE):
    return np.asarray(noisy_targets(ZEROS, ROWS, noise, np.float32(scale)), np.float64)


def test_no_label_is_wrong_at_rate_0_and_every_label_at_rate_1():
    np.testing.assert_array_equal(labels(0.0), LABELS)
    assert (labels(1.0) != LABELS).all()


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_the_share_of_wrong_labels_is_the_rate(rate):
    wrong = labels(rate) != LABELS
    assert stats.binomtest(int(wrong.sum()), N, rate).pvalue > 1e-3
    for label in range(CLASSES):  # of each class
        of_it = wrong[label == LABELS]
        assert stats.binomtest(int(of_it.sum()), len(of_it), rate).pvalue > 1e-3


@pytest.mark.parametrize("classes", [3, 5, 10])
def test_wrong_labels_are_uniform_over_the_other_classes(classes):
    given = ROWS % classes
    noisy = labels(0.5, given=given, classes=classes)
    assert noisy.dtype == np.int32
    assert set(noisy) == set(range(classes))
    counts = np.bincount((noisy - given) % classes, minlength=classes)
    assert stats.chisquare(counts[1:]).pvalue > 1e-3


def test_with_two_classes_a_wrong_label_is_the_other_class():
    np.testing.assert_array_equal(labels(1.0, given=ROWS % 2, classes=2), 1 - ROWS % 2)


def test_a_higher_rate_keeps_the_wrong_labels_of_a_lower_one():
    some, more = labels(0.2), labels(0.4)
    wrong = some != LABELS
    np.testing.assert_array_equal(more[wrong], some[wrong])


@pytest.mark.parametrize("noisy", ["labels", "numbers"])
def test_the_noise_of_a_row_is_the_same_in_every_batch(noisy):
    def told(rows):
        rate = np.float32(0.5)
        if noisy == "numbers":
            return noisy_targets(ZEROS[rows], rows, NOISE, rate)
        return noisy_labels(LABELS[rows], rows, NOISE, rate, CLASSES)

    every = np.asarray(told(ROWS))
    assert len(np.unique(every)) > 2
    for seed in (0, 1):
        batch = np.random.default_rng(seed).permutation(N)[:64]
        np.testing.assert_array_equal(told(ROWS[batch]), every[batch])


def test_two_runs_have_different_wrong_labels():
    other = np.asarray(draw_noise(jax.random.key(1)))
    first, second = (labels(0.3, noise) != LABELS for noise in (NOISE, other))
    both = stats.binomtest(int((first & second).sum()), N, 0.09)
    assert both.pvalue > 1e-3
    assert abs(np.corrcoef(numbers(1.0), numbers(1.0, other))[0, 1]) < 0.03


def test_wrong_labels_of_neighbouring_rows_are_independent():
    wrong = labels(0.3) != LABELS
    together = stats.binomtest(int((wrong[1:] & wrong[:-1]).sum()), N - 1, 0.09)
    assert together.pvalue > 1e-3


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_regression_noise_is_normal_with_the_given_deviation(scale):
    moved = numbers(scale)
    assert abs(moved.mean()) < 4 * scale / np.sqrt(N)
    np.testing.assert_allclose(moved.std(), scale, rtol=0.02)
    assert stats.kstest(moved / scale, "norm").pvalue > 1e-3
    shifted = noisy_targets(ZEROS + 5, ROWS, NOISE, np.float32(scale))
    np.testing.assert_allclose(shifted, moved + 5, atol=1e-5)


def test_regression_targets_without_noise_are_unchanged():
    np.testing.assert_array_equal(noisy_targets(ZEROS + 5, ROWS, NOISE, np.float32(0)), 5)


def unmixed(word):
    """The inverse of `shuffle.mix`: the word that it maps to `word`."""
    word ^= word >> 16
    word = word * pow(0x846CA68B, -1, 2**32) % 2**32
    word ^= word >> 15 ^ word >> 30
    word = word * pow(0x7FEB352D, -1, 2**32) % 2**32
    return word ^ word >> 16


@pytest.mark.parametrize("extreme", [0, 2**32 - 1])
def test_the_most_extreme_hash_gives_a_finite_and_wrong_label(extreme):
    """It occurs for one row in millions, and there are data sets with millions of rows."""
    noise = np.uint32([unmixed(extreme), 1])
    row = ROWS[:1]
    (moved,) = np.asarray(noisy_targets(ZEROS[:1], row, noise, np.float32(1)))
    assert 5 < abs(moved) < 6
    assert noisy_labels(row, row, noise, np.float32(1), CLASSES) != row
    assert noisy_labels(row, row, noise, np.float32(0), CLASSES) == row


@pytest.mark.slow
def test_runs_of_a_sweep_over_rates_train_on_their_noisy_labels():
    """A net learns correct labels at rate 0, and wrong ones at rate 1."""
    problem = make_problem(Config(data="breast_cancer", hidden=(), batch_size=32,
                                  optimizer="sgd"))  # fmt: skip
    traces = []

    def step(*args):
        traces.append(1)
        return problem.task.step(*args)

    counted = problem._replace(task=problem.task._replace(step=step))
    case = contract.Case(counted, HParams(learning_rate=0.03), {"label_noise": [0.0, 0.5, 1.0]})
    swept = contract.run(case, 60, seeds=2)
    before = len(traces)
    contract.run(case._replace(axes={"label_noise": [0.2, 0.4, 0.6]}), 60, seeds=2)
    assert len(traces) == before
    last = swept.metrics[swept.metrics["step"] == 60].groupby("label_noise")["test_accuracy"].mean()
    assert last[0.0] > 0.9
    assert 0.2 < last[0.5] < 0.8
    assert last[1.0] < 0.1


def test_each_run_draws_its_own_wrong_labels():
    problem = make_problem(Config(data="wine", hidden=(), batch_size=8))
    noise_of = lambda key: problem.task.init(problem.shared, HParams(), key).noise
    noise = jax.jit(jax.vmap(noise_of))(jax.random.split(jax.random.key(0), 3))
    assert len(np.unique(noise, axis=0)) == 3
