"""Tests of one update of the language model: window, loss, gradient and learning rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.lm import HParams, make_problem
from research.lm.task import make_model, updates_an_epoch, window_loss
from tests import contract
from tests.contract import slow
from tests.lm.cases import NOISY, case, config, first_state, small, train, whole_nll


def test_windows_carry_the_state_which_each_epoch_resets(corpus):
    """With a learning rate of 0, the losses of an epoch are those of one long window."""
    setting = small(corpus)
    problem = make_problem(setting)
    windows = updates_an_epoch(setting, problem.shared)
    state, loss = train(problem, HParams(learning_rate=0.0), 2 * windows)
    np.testing.assert_allclose(loss[:windows], loss[windows:], rtol=1e-6)
    model = make_model(setting, problem.shared.symbols)
    token = np.asarray(problem.shared.train[: windows * 10 + 1], np.int32)
    nll = whole_nll(model, state.params, token).reshape(windows, 80)
    np.testing.assert_allclose(loss[:windows], nll.mean(axis=1), rtol=1e-5)


def gradient_of_a_window(setting):
    """(hyper-parameters, params, state before) -> the loss of a window and its gradient."""
    shared = make_problem(setting).shared
    token = jnp.asarray(shared.train[: setting.window + 1])

    def loss(params, hparams, carries):
        key = jax.random.key(1)
        return window_loss(setting, shared.symbols, hparams, params, token, carries, key)[0]

    grad = jax.jit(jax.value_and_grad(loss))
    return lambda hparams, params, carries: jax.device_get(grad(params, hparams, carries))


def test_the_gradient_matches_finite_differences(corpus):
    """Compares directional derivatives in three random directions."""
    state = first_state(case(corpus, "everything").problem, NOISY)
    grad = gradient_of_a_window(config(corpus, "everything"))
    leaves, treedef = jax.tree.flatten(jax.device_get(state.trained))
    _, gradients = grad(NOISY, state.trained, state.carries)
    random = np.random.default_rng(0)
    for _ in range(3):
        way = [random.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
        there, back = (
            grad(NOISY, jax.tree.unflatten(treedef, [x + step * d for x, d in zip(leaves, way)]),
                 state.carries)[0]
            for step in (np.float32(0.005), np.float32(-0.005))
        )  # fmt: skip
        expected = sum(np.vdot(gradient, d) for gradient, d in zip(jax.tree.leaves(gradients), way))
        np.testing.assert_allclose((there - back) / 0.01, expected, atol=2e-2, rtol=2e-2)


@pytest.fixture(scope="module")
def beginning(corpus):
    """A state before its first update."""
    return first_state(case(corpus).problem, HParams())


@pytest.fixture(scope="module")
def gradients(corpus):
    """Gradient functions with all optional hyper-parameters traced, and with all of them off."""
    return gradient_of_a_window(config(corpus, off=())), gradient_of_a_window(config(corpus))


def test_a_hyperparameter_that_is_off_equals_one_at_0(corpus, beginning, gradients):
    """Loss and gradient are the same whether a rate is 0 or off, and a sweep over one that is off
    is refused."""
    on, off = (grad(HParams(), beginning.params, beginning.carries) for grad in gradients)
    for one, other in zip(*map(jax.tree.leaves, (on, off)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(UserError, match="--layer-dropout: nothing uses it"):
        contract.run(case(corpus)._replace(axes={"layer_dropout": [0.0, 0.5]}), 1, seeds=[0])


def test_summing_the_loss_over_time_scales_the_gradient_by_the_window(corpus, beginning, gradients):
    _, over_tokens = gradients
    over_time = gradient_of_a_window(config(corpus, loss_over="time"))
    grads = [
        grad(HParams(), beginning.params, beginning.carries)[1] for grad in (over_tokens, over_time)
    ]
    for tokens, time in zip(*map(jax.tree.leaves, grads), strict=True):
        np.testing.assert_allclose(time, 5 * tokens, rtol=1e-5, atol=1e-7)


def test_an_l2_penalty_pulls_params_towards_0(beginning, gradients):
    grad, _ = gradients
    without, penalized = (
        grad(HParams(l2_penalty=penalty), beginning.params, beginning.carries)[1]
        for penalty in (0.0, 0.5)
    )
    pull = jax.tree.map(np.subtract, penalized, without)
    for one, param in zip(*map(jax.tree.leaves, (pull, beginning.params)), strict=True):
        np.testing.assert_allclose(one, 0.5 * param, atol=1e-5)


@pytest.mark.parametrize("frozen", [False, True])
def test_embeddings_start_from_given_vectors_and_may_be_frozen(corpus, tmp_path, frozen):
    path = tmp_path / "vectors.txt"
    path.write_text("cat 1 2 3 4 5 6\nunseen 6 5 4 3 2 1\nthe 2 2 2 2 2 2\n")
    setting = config(corpus, level="word", glove=str(path), frozen=frozen, hidden=(4,))
    problem = make_problem(setting)
    vectors = problem.shared.vectors
    covered = problem.facts["glove"]  # of 11 types, <eos> and <unk> among them
    assert covered == {
        "found": 2, "types": pytest.approx(2 / 11), "tokens": pytest.approx(3 / 11),
    }  # fmt: skip
    (note,) = problem.notes
    assert "2 of the 11 words of the vocabulary have a vector, 27.3% of the training text" in note
    hparams = HParams(weight_decay=0.1)
    start = first_state(problem, hparams).params
    np.testing.assert_array_equal(
        np.asarray(start["embedding"])[vectors.found], vectors.table[vectors.found]
    )
    params = train(problem, hparams, 5)[0].params
    moved = np.abs(np.asarray(params["embedding"]) - start["embedding"])
    assert (moved.max() == 0) == frozen
    assert (moved[vectors.found].max() == 0) == frozen
    assert np.abs(np.asarray(params["softmax"]) - start["softmax"]).max() > 1e-3


@pytest.mark.parametrize("steps", [0, 400, slow(7)])
def test_the_learning_rate_reaches_0_with_the_last_update_and_not_before(corpus, steps):
    """The steps asked for may be fewer than those of the epochs, as many, or more."""
    setting = small(corpus, steps=steps)
    assert setting.schedule == "cosine"
    problem = make_problem(setting)
    windows = updates_an_epoch(setting, problem.shared)
    task, end = problem.task, steps or windows
    assert task.steps == end
    assert steps in (0, 7) or windows < steps
    hparams, step = HParams(learning_rate=1e-2), jax.jit(task.step)
    state = first_state(problem, hparams)

    def moved(t):
        after, _ = step(problem.shared, hparams, state, jax.random.key(1), np.int32(t))
        old, new = (jax.tree.leaves(one.params) for one in (state, after))
        return max(np.abs(np.asarray(a) - b).max() for a, b in zip(old, new, strict=True))

    assert moved(0) == pytest.approx(1e-2, rel=0.01)  # what Adam begins with
    last = 1e-2 * np.sin(np.pi / 2 / end) ** 2
    assert 0 < moved(end - 1) == pytest.approx(last, rel=0.01, abs=3e-7)  # params are rounded
    assert moved(end) == 0
