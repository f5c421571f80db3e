"""Tests of token losses, ensembles and dynamic evaluation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.lm import HParams, make_problem
from research.lm.data import Heldout, TextLayout, lay_out_heldout
from research.lm.dynamic import Rule, dynamic_nlls, gradient_rms
from research.lm.evaluation import ensemble_nll, heldout_nll, token_nlls
from research.lm.model import LanguageModel
from research.lm.task import make_model
from tests.contract import slow
from tests.lm.cases import config, first_state, whole_nll

V, WINDOW = 6, 4
MODEL = LanguageModel(symbols=V, embedding_size=5, hidden=(7,))


@pytest.fixture(scope="module")
def params():
    token = jnp.zeros((1, 1), jnp.int32)
    init = jax.jit(lambda key: MODEL.init(key, token, MODEL.start(1))["params"])
    return jax.tree.map(lambda leaf: 2 * np.asarray(leaf), init(jax.random.key(0)))


def text(length=42, streams=1):
    """A text that repeats the symbols in order."""
    after = np.arange(length + 1, dtype=np.int32) % V
    return lay_out_heldout(after, length, TextLayout(1, WINDOW, streams, 8))


@pytest.mark.parametrize("streams", [1, 3])
def test_losses_of_tokens_sum_to_the_loss_of_the_text(params, streams):
    heldout = text(streams=streams)
    nll, total = jax.jit(lambda params: (
        token_nlls(MODEL, params, heldout, WINDOW), heldout_nll(MODEL, params, heldout, WINDOW)
    ))(params)  # fmt: skip
    nll = np.asarray(nll)
    assert nll.shape == heldout.counts.shape
    assert (nll[heldout.counts == 0] == 0).all()
    assert (nll[heldout.counts == 1] > 0).all()
    assert nll.sum() == pytest.approx(float(total), rel=1e-6)


def test_an_ensemble_takes_the_mean_of_the_probabilities():
    nll = -np.log([[0.5, 0.1], [0.1, 0.3], [0.3, 0.2]])
    np.testing.assert_allclose(ensemble_nll(nll), -np.log([0.3, 0.2]), rtol=1e-12)
    np.testing.assert_allclose(ensemble_nll(nll[:1]), nll[0], rtol=1e-12)
    far = np.full((2, 1), 2000.0)  # whose probabilities are 0 in float64
    np.testing.assert_allclose(ensemble_nll(far), [2000.0])


@pytest.mark.parametrize("rule", ["sgd", "rms"])
def test_dynamic_evaluation_uses_no_token_before_predicting_it(params, rule):
    """A step size of 0 changes nothing, another changes only losses after the first window, and a
    repetitive text is predicted better and better."""
    heldout = text(240)
    train = np.concatenate([heldout.tokens] * 2, axis=1)
    still = np.asarray(jax.jit(lambda params: token_nlls(MODEL, params, heldout, WINDOW))(params))

    @jax.jit
    def learn(params, rate, decay):
        rms = gradient_rms(MODEL, params, train, WINDOW) if rule == "rms" else None
        return dynamic_nlls(MODEL, params, heldout, WINDOW, Rule(rate, decay, rms))

    evaluate = lambda *numbers: np.asarray(learn(params, *map(np.float32, numbers)))
    np.testing.assert_allclose(evaluate(0.0, 0.0), still, atol=1e-6)
    moving = evaluate({"sgd": 0.5, "rms": 0.05}[rule], 0.0)
    np.testing.assert_allclose(moving[:WINDOW], still[:WINDOW], atol=1e-6)
    assert np.abs(moving[WINDOW : 2 * WINDOW] - still[WINDOW : 2 * WINDOW]).max() > 1e-3
    assert moving[-24:].mean() < 0.7 * moving[:24].mean()
    assert moving.mean() < 0.8 * still.mean()


def test_dynamic_evaluation_decays_params_to_the_trained_ones(params):
    """With a decay of 1, each window sees only the update from the window before it."""
    heldout = text(40)
    learn = jax.jit(
        lambda params: dynamic_nlls(MODEL, params, heldout, WINDOW, Rule(rate=0.3, decay=1.0))
    )
    nll = np.asarray(learn(params))

    @jax.jit
    def gradient(params, token, carries):
        def loss(params):
            outputs = MODEL.apply({"params": params}, token[:-1], carries)
            table, bias = MODEL.softmax_params(params)
            logits = outputs.out.reshape(WINDOW, -1) @ table.T + bias[None, :]
            chosen = jax.nn.log_softmax(logits)[jnp.arange(WINDOW), token[1:, 0]]
            return -jnp.mean(chosen), outputs.carries

        return jax.value_and_grad(loss, has_aux=True)(params)

    moved, carries, tokens = params, MODEL.start(1), np.asarray(heldout.tokens, np.int32)
    for first in range(0, 12, WINDOW):
        (mean, carries), grads = gradient(moved, tokens[first : first + WINDOW + 1], carries)
        assert float(mean) == pytest.approx(nll[first : first + WINDOW].mean(), rel=1e-4)
        # p' = p - rate g + (p0 - p)
        moved = jax.tree.map(lambda p0, g: p0 - np.float32(0.3) * np.asarray(g), params, grads)


def test_gradient_rms_over_one_window_is_the_gradients_size(params):
    """For a text of one window it is the absolute value of the gradient."""
    train = np.arange(WINDOW + 1, dtype=np.int32)[:, None] % V
    heldout = Heldout(train, np.ones((WINDOW, 1), np.float32), 1)
    loss = lambda params: heldout_nll(MODEL, params, heldout, WINDOW) / WINDOW
    rms, grad = jax.jit(
        lambda params: (gradient_rms(MODEL, params, train, WINDOW), jax.grad(loss)(params))
    )(params)
    for one, other in zip(*map(jax.tree.leaves, (rms, grad)), strict=True):
        np.testing.assert_allclose(one, np.abs(other), atol=1e-6)


@pytest.fixture(scope="module")
def uncut(corpus):
    """Params, and the loss of the validation text evaluated as a single window."""
    setting = config(corpus, eval_streams=1, eval_context=0)
    problem = make_problem(setting)
    params = jax.tree.map(
        lambda leaf: 3 * leaf, jax.device_get(first_state(problem, HParams()).params)
    )
    whole = problem.shared.validation
    tokens = np.asarray(whole.tokens, np.int32)[: int(whole.counts.sum()) + 1]
    return params, whole_nll(make_model(setting, problem.shared.symbols), params, tokens).sum()


@pytest.mark.parametrize(("streams", "context"), [(1, 0), (3, 60), slow(16, 60)])
def test_perplexity_does_not_depend_on_the_number_of_streams(corpus, uncut, streams, context):
    """Every token is predicted once, from all tokens before it or from enough of them."""
    setting = config(corpus, eval_streams=streams, eval_context=context)
    shared = make_problem(dataclasses.replace(setting, window=8)).shared
    params, expected = uncut
    model = make_model(setting, shared.symbols)
    found = jax.jit(lambda params: heldout_nll(model, params, shared.validation, 8))(params)
    assert float(found) == pytest.approx(expected, rel=1e-5)
