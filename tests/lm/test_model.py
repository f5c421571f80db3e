"""The network: against PyTorch, and what each option does."""

import json
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.lm.interchange import from_torch
from research.lm.model import LanguageModel, Noise
from research.lm.regularization import Rates
from research.lm.softmax import make_logits, total_nll

GOLDEN = json.loads((Path(__file__).parents[1] / "goldens" / "lm.json").read_text())
TOKEN = jnp.array(GOLDEN["token"])
WINDOW = (len(TOKEN) - 1) // 2


def golden(name, dtype):
    return {key: np.asarray(value, dtype) for key, value in GOLDEN[name].items()}


def initial(model, batch=3):
    token = jnp.zeros((2, batch), jnp.int32)
    return model.init(jax.random.key(0), token, model.start(batch))["params"]


@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_outputs_losses_and_gradients_are_pytorchs(dtype, atol):
    """Over two windows, the second from the state after the first."""
    with jax.enable_x64(dtype == np.float64):
        params = jax.tree.map(jnp.asarray, from_torch(golden("state_dict", dtype)))
        model = LanguageModel(symbols=11, embedding_size=6, hidden=(5, 5), dtype=dtype)

        def loss(params, token, carries):
            outputs = model.apply({"params": params}, token[:-1], carries)
            out = outputs.out.reshape(-1, 5)
            nll = total_nll(1, out, *model.softmax_params(params), token[1:].reshape(-1))
            return nll / len(out), outputs

        first, outputs = loss(params, TOKEN[: WINDOW + 1], model.start(3))
        last = TOKEN[WINDOW:], outputs.carries
        (second, outputs), grads = jax.value_and_grad(loss, has_aux=True)(params, *last)
        np.testing.assert_allclose([first, second], GOLDEN["losses"], rtol=10 * atol)
        logits = make_logits(outputs.out.reshape(-1, 5), *model.softmax_params(params))
        np.testing.assert_allclose(logits, np.reshape(GOLDEN["logits"], (-1, 11)), atol=atol)
        # Of PyTorch's two biases each has the whole gradient of their sum.
        theirs = golden("gradients", dtype)
        theirs |= {name: 0 * leaf for name, leaf in theirs.items() if "bias_hh" in name}
        chex.assert_trees_all_close(grads, from_torch(theirs), atol=atol)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"softmax"}),
        ({"tied": True, "embedding_size": 5}, set()),
        ({"tied": True}, {"projection"}),
    ],
)
def test_tied_weights_and_where_a_projection_stands(options, names):
    model = LanguageModel(**{"symbols": 11, "embedding_size": 6, "hidden": (4, 5)} | options)
    params = initial(model)
    assert names == {"softmax", "projection"} & set(params)
    table, bias = model.softmax_params(params)
    outputs = model.apply({"params": params}, TOKEN, model.start(3))
    assert outputs.out.shape == (*TOKEN.shape, table.shape[1])
    assert (table.shape[0], bias.shape) == (11, (11,))
    assert [carry.h.shape for carry in outputs.carries] == [(3, 4), (3, 5)]


def test_params_begin_as_told():
    plain = initial(LanguageModel(11, 6, (400,)))
    scale = 400**-0.5
    for name in ("lstm_0_input", "lstm_0_recurrent", "lstm_0_bias", "softmax"):
        assert 0.9 * scale < np.abs(plain[name]).max() <= scale
    told = initial(LanguageModel(11, 6, (400,), init_scale=0.3, forget_bias=2.0))
    bias = np.split(np.asarray(told["lstm_0_bias"]), 4)
    assert [round(part.mean()) for part in bias] == [0, 2, 0, 0]
    assert 0.25 < np.abs(told["embedding"]).max() <= 0.3
    coupled = initial(LanguageModel(11, 6, (400,), coupled=True, forget_bias=2.0))
    bias = np.split(np.asarray(coupled["lstm_0_bias"]), 3)
    assert [round(part.mean()) for part in bias] == [2, 0, 0]


def test_a_token_depends_on_those_before_it_only():
    model = LanguageModel(11, 6, (5, 5))
    params = initial(model)
    other = TOKEN.at[4].set((TOKEN[4] + 1) % 11)
    first, second = (model.apply({"params": params}, token, model.start(3)).out
                     for token in (TOKEN, other))  # fmt: skip
    np.testing.assert_array_equal(first[:4], second[:4])
    assert (np.abs(first[4:] - second[4:]).max(axis=(1, 2)) > 1e-6).all()


def noisy(model, params, seed=0, **rates):
    noise = Noise(jax.random.key(seed), Rates(**rates))
    return model.apply({"params": params}, TOKEN, model.start(3), noise)


@pytest.mark.parametrize("name", Rates._fields)
@pytest.mark.parametrize("locked", [False, True])
def test_a_rate_of_nothing_changes_nothing_and_another_does(name, locked):
    model = LanguageModel(11, 6, (5, 5), locked=locked)
    params = initial(model)
    still = model.apply({"params": params}, TOKEN, model.start(3))
    chex.assert_trees_all_close(noisy(model, params, **{name: 0.0}).out, still.out, atol=1e-6)
    first, again, other = (noisy(model, params, seed, **{name: 0.5}).out for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - still.out).max() > 1e-3
    assert np.abs(first - other).max() > 1e-3


def test_output_dropout_is_after_the_last_layer_and_may_be_locked():
    for locked in (False, True):
        model = LanguageModel(11, 6, (5, 5), locked=locked)
        outputs = noisy(model, initial(model), output=0.5)
        dropped = np.asarray(outputs.dropped == 0)
        np.testing.assert_allclose(outputs.dropped[~dropped], 2 * outputs.raw[~dropped], rtol=1e-6)
        assert (dropped == dropped[:1]).all() == locked


def test_a_dropped_symbol_is_dropped_wherever_it_stands():
    model = LanguageModel(11, 6, (5,))
    params = initial(model) | {"embedding": jnp.ones((11, 6))}
    outputs = noisy(model, params, embedding=0.5)
    silent = model.apply({"params": params | {"embedding": jnp.zeros((11, 6))}}, TOKEN,
                         model.start(3))  # fmt: skip
    first = np.asarray(outputs.raw[0]), np.asarray(silent.raw[0])
    dropped = {int(token): bool(np.allclose(*pair)) for token, *pair in zip(TOKEN[0], *first)}
    assert set(dropped.values()) <= {True, False}
    everywhere = noisy(model, params, embedding=1e-9).raw[0]
    assert not np.allclose(everywhere, silent.raw[0])


def test_low_precision_is_near_and_params_stay_float32():
    exact, low = (
        LanguageModel(11, 6, (5, 5), dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16)
    )
    params = initial(low)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    first, second = (model.apply({"params": params}, TOKEN, model.start(3)).out
                     for model in (exact, low))  # fmt: skip
    assert second.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(second, np.float32), first, atol=0.02)
