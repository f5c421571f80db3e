"""Tests of targets and losses against hand-computed values, float64 NumPy and rlax."""

import chex
import jax
import numpy as np
import pytest
from jax import vmap
from jax.test_util import check_grads

from research.dqn import targets
from research.dqn.rollout import CONTINUES, TERMINATED, TRUNCATED
from tests.dqn.oracles import lenient, rlax

GO, END, CUT = CONTINUES, TERMINATED, TRUNCATED

lambda_returns = jax.jit(targets.lambda_returns)
munchausen_bonus = jax.jit(targets.munchausen_bonus)


def test_q_learning_by_hand():
    q_t, other = np.float32([1, 4, 2]), np.float32([0, 0, 7])
    assert jax.jit(targets.q_learning)(10.0, 0.5, q_t) == 12.0
    assert jax.jit(targets.q_learning)(10.0, 0.0, q_t) == 10.0
    assert jax.jit(targets.double_q_learning)(10.0, 0.5, q_t, other) == 11.0


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_an_action_is_selected_alike_by_mask_and_by_rows(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for form in (targets._select_by_mask, targets._select_by_rows):
        for action in range(3):
            chosen = jax.jit(form)(values, np.int32(action))
            np.testing.assert_array_equal(chosen, values[action])


@pytest.fixture
def batch():
    """A batch of B = 64 transitions with A = 5 actions."""
    rng = np.random.default_rng(1)
    normal = lambda *shape: np.float32(rng.normal(size=shape))
    return {
        "q_tm1": normal(64, 5),
        "a_tm1": np.int32(rng.integers(5, size=64)),
        "r_t": normal(64),
        "discount_t": np.float32(rng.random(64) * (rng.random(64) < 0.8)),
        "q_t": normal(64, 5),
        "q_other": normal(64, 5),
    }


def td_errors(target, batch):
    return np.asarray(target) - batch["q_tm1"][np.arange(64), batch["a_tm1"]]


def test_q_learning_equals_rlax(batch):
    names = "q_tm1", "a_tm1", "r_t", "discount_t", "q_t"
    with lenient():
        expected = jax.jit(vmap(rlax.q_learning))(*[batch[name] for name in names])
    target = jax.jit(vmap(targets.q_learning))(batch["r_t"], batch["discount_t"], batch["q_t"])
    chex.assert_trees_all_close(td_errors(target, batch), expected, rtol=1e-6)


def test_double_q_learning_equals_rlax(batch):
    names = "q_tm1", "a_tm1", "r_t", "discount_t", "q_t", "q_other"
    with lenient():
        expected = jax.jit(vmap(rlax.double_q_learning))(*[batch[name] for name in names])
    target = jax.jit(vmap(targets.double_q_learning))(
        batch["r_t"], batch["discount_t"], batch["q_t"], batch["q_other"]
    )
    chex.assert_trees_all_close(td_errors(target, batch), expected, rtol=1e-6)


munchausen = jax.jit(vmap(targets.munchausen_q_learning, (0, 0, 0, 0, 0, None, None)))


def munchausen_in_float64(r_t, discount_t, q_t, q_tm1, a_tm1, scale, temperature):
    """The Munchausen target, term by term as in the paper."""
    policy = lambda q: np.exp(q / temperature) / np.exp(q / temperature).sum()
    r_t, discount_t, q_t, q_tm1 = (np.float64(x) for x in (r_t, discount_t, q_t, q_tm1))
    bonus = scale * max(temperature * np.log(policy(q_tm1)[a_tm1]), -1.0)
    return r_t + bonus + discount_t * (policy(q_t) @ (q_t - temperature * np.log(policy(q_t))))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_munchausen_equals_the_equation_of_the_paper(batch, temperature):
    names = "r_t", "discount_t", "q_t", "q_tm1", "a_tm1"
    ours = munchausen(*[batch[name] for name in names], 0.9, temperature)
    rows = zip(*[np.asarray(batch[name]) for name in names], strict=True)
    expected = [munchausen_in_float64(*row, 0.9, temperature) for row in rows]
    np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=2e-5)


def test_munchausen_without_bonus_and_temperature_is_q_learning(batch):
    names = "r_t", "discount_t", "q_t", "q_tm1", "a_tm1"
    ours = munchausen(*[batch[name] for name in names], 0.0, 1e-3)
    plain = jax.jit(vmap(targets.q_learning))(batch["r_t"], batch["discount_t"], batch["q_t"])
    np.testing.assert_allclose(ours, plain, atol=2e-3)


def test_a_bonus_is_never_below_its_scale():
    far = np.float32([0, 100])
    assert munchausen_bonus(far, 0, 0.9, 0.03) == pytest.approx(-0.9)
    assert munchausen_bonus(far, 1, 0.9, 0.03) == pytest.approx(0.0)


@pytest.mark.parametrize("function", list(targets.LOSSES.values()))
def test_the_gradient_of_a_loss_matches_finite_differences(function):
    for error in (-3.0, -0.5, 0.7, 2.0):
        check_grads(
            jax.jit(function), (np.float32(error),), order=1, modes=["rev"], eps=1e-2, rtol=1e-2
        )


def test_losses_by_hand_and_as_in_rlax():
    errors = np.float32([-3, -1, -0.5, 0, 0.5, 2])
    squared, huber = jax.jit(
        lambda error: (targets.LOSSES["squared"](error), targets.LOSSES["huber"](error))
    )(errors)
    np.testing.assert_allclose(squared, [4.5, 0.5, 0.125, 0, 0.125, 2])
    np.testing.assert_allclose(huber, [2.5, 0.5, 0.125, 0, 0.125, 1.5])
    with lenient():
        theirs = jax.jit(lambda error: (rlax.l2_loss(error), rlax.huber_loss(error)))(errors)
    np.testing.assert_allclose((squared, huber), theirs, rtol=1e-6)


def lambda_returns_in_float64(rewards, ends, values, gamma, lambda_):
    """Lambda-returns by definition: weighted means of n-step returns within an episode."""
    steps = len(rewards)
    returns = []
    for start in range(steps):
        n_step, discounted, weights = [], 0.0, []
        for n in range(1, steps - start + 1):
            i = start + n - 1
            discounted += gamma ** (n - 1) * float(rewards[i])
            bootstrap = 0.0 if ends[i] == END else gamma**n * float(values[i])
            n_step.append(discounted + bootstrap)
            last = i == steps - 1 or ends[i] in (END, CUT)
            weights.append(lambda_ ** (n - 1) * (1 if last else 1 - lambda_))
            if last:
                break
        returns.append(np.dot(weights, n_step))
    return returns


@pytest.mark.parametrize("lambda_", [0.0, 0.65, 1.0])
def test_lambda_returns_are_the_weighted_mean_of_n_step_returns(lambda_):
    rng = np.random.default_rng(2)
    rewards, values = rng.normal(size=(2, 40)).astype(np.float32)
    ends = rng.choice([GO, GO, GO, END, CUT], size=40).astype(np.uint8)
    ours = lambda_returns(rewards, ends, values, 0.9, lambda_)
    expected = lambda_returns_in_float64(rewards, ends, values, 0.9, lambda_)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_lambda_returns_equal_rlax():
    rng = np.random.default_rng(3)
    rewards, values = np.float32(rng.normal(size=(2, 30)))
    ends = np.uint8(np.where(rng.random(30) < 0.1, END, GO))
    discounts = np.float32(np.where(ends == END, 0.0, 0.97))
    with lenient():
        expected = jax.jit(rlax.lambda_returns)(rewards, discounts, values, 0.8)
    ours = lambda_returns(rewards, ends, values, 0.97, 0.8)
    chex.assert_trees_all_close(ours, expected, rtol=1e-5)


def test_no_gradient_flows_into_a_target(batch):
    @jax.jit
    def both(q):
        munchausen = lambda q: targets.munchausen_q_learning(1.0, 0.9, q, q, 0, 0.9, 0.03)
        return [jax.grad(f)(q) for f in (lambda q: targets.q_learning(1.0, 0.9, q), munchausen)]

    np.testing.assert_array_equal(both(batch["q_t"][0]), 0)


def test_select_takes_a_number_or_a_row():
    values, select = np.arange(6, dtype=np.float32).reshape(3, 2), jax.jit(targets.select)
    np.testing.assert_array_equal(select(values, 2), [4, 5])
    assert select(values[:, 0], 1) == 2
