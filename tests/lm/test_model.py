"""Tests of the language model: against PyTorch, and the effect of each option."""

import json
from functools import partial
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
from tests.contract import slow

GOLDEN = json.loads((Path(__file__).parents[1] / "goldens" / "lm.json").read_text())
TOKEN = np.array(GOLDEN["token"], np.int32)
WINDOW = (len(TOKEN) - 1) // 2


def golden(name, dtype):
    return {key: np.asarray(value, dtype) for key, value in GOLDEN[name].items()}


@partial(jax.jit, static_argnums=(0, 1))
def initial(model, batch=3):
    token = jnp.zeros((2, batch), jnp.int32)
    return model.init(jax.random.key(0), token, model.start(batch))["params"]


@partial(jax.jit, static_argnums=0)
def apply(model, params, token=TOKEN, noise=None):
    return model.apply({"params": params}, token, model.start(token.shape[1]), noise)


@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_outputs_losses_and_gradients_equal_pytorch(dtype, atol):
    """Compares two windows, the second of which starts from the state after the first."""
    with jax.enable_x64(dtype == np.float64):
        params = from_torch(golden("state_dict", dtype))
        model = LanguageModel(symbols=11, embedding_size=6, hidden=(5, 5), dtype=dtype)

        def loss(params, token, carries):
            outputs = model.apply({"params": params}, token[:-1], carries)
            out = outputs.out.reshape(-1, 5)
            nll = total_nll(1, out, *model.softmax_params(params), token[1:].reshape(-1))
            logits = make_logits(out, *model.softmax_params(params))
            return nll / len(out), (logits, outputs.carries)

        gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
        (first, (_, carries)), _ = gradient(params, TOKEN[: WINDOW + 1], model.start(3))
        (second, (logits, _)), grads = gradient(params, TOKEN[WINDOW:], carries)
        np.testing.assert_allclose([first, second], GOLDEN["losses"], rtol=10 * atol)
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
def test_tied_weights_need_a_projection_only_if_sizes_differ(options, names):
    model = LanguageModel(**{"symbols": 11, "embedding_size": 6, "hidden": (4, 5)} | options)
    params = jax.eval_shape(partial(initial, model))
    assert names == {"softmax", "projection"} & set(params)
    table, bias = model.softmax_params(params)
    outputs = jax.eval_shape(partial(apply, model), params)
    assert outputs.out.shape == (*TOKEN.shape, table.shape[1])
    assert (table.shape[0], bias.shape) == (11, (11,))
    assert [carry.h.shape for carry in outputs.carries] == [(3, 4), (3, 5)]


def test_params_are_initialized_as_configured():
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


MODEL = LanguageModel(11, 6, (5, 5))


@pytest.fixture(scope="module")
def params():
    return initial(MODEL)


def test_a_token_depends_on_those_before_it_only(params):
    other = TOKEN.copy()
    other[4] = (TOKEN[4] + 1) % 11
    first, second = (np.asarray(apply(MODEL, params, token).out) for token in (TOKEN, other))
    np.testing.assert_array_equal(first[:4], second[:4])
    assert (np.abs(first[4:] - second[4:]).max(axis=(1, 2)) > 1e-6).all()


def noisy(model, params, seed=0, token=TOKEN, **rates):
    """The outputs with dropout; rates are traced, so that all values share one program."""
    rates = {name: np.float32(rate) for name, rate in rates.items()}
    return apply(model, params, token, Noise(jax.random.key(seed), Rates(**rates)))


EVERY = dict.fromkeys(Rates._fields, np.float32(0))


@pytest.mark.parametrize("name", Rates._fields)
@pytest.mark.parametrize("locked", [False, True])
def test_dropout_at_rate_0_changes_nothing_and_other_rates_do(params, name, locked):
    model, still = MODEL.clone(locked=locked), apply(MODEL, params)
    chex.assert_trees_all_close(noisy(model, params, **EVERY).out, still.out, atol=1e-6)
    outputs = [noisy(model, params, seed, **EVERY | {name: 0.5}) for seed in (0, 0, 1)]
    first, again, other = (np.asarray(one.out) for one in outputs)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - still.out).max() > 1e-3
    assert np.abs(first - other).max() > 1e-3
    after, layers = outputs[0], {"output": 2, "layer": 1}.get(name, 0)  # which do not see it
    for layer in (0, 1):
        difference = np.asarray(after.carries[layer].c) - still.carries[layer].c
        assert (np.abs(difference).max() < 1e-6) == (layer < layers)


@pytest.mark.parametrize("name", [slow(name) for name in Rates._fields])
@pytest.mark.parametrize("locked", [False, True])
def test_each_dropout_rate_may_be_used_alone(params, name, locked):
    """It equals all rates with the others at 0, except that the random masks differ."""
    model, still = MODEL.clone(locked=locked), apply(MODEL, params)
    chex.assert_trees_all_close(noisy(model, params, **{name: 0.0}).out, still.out, atol=1e-6)
    first, other = (np.asarray(noisy(model, params, seed, **{name: 0.5}).out) for seed in (0, 1))
    assert np.abs(first - still.out).max() > 1e-3
    assert np.abs(first - other).max() > 1e-3


def test_output_dropout_is_after_the_last_layer_and_may_be_locked(params):
    for locked in (False, True):
        outputs = noisy(MODEL.clone(locked=locked), params, **EVERY | {"output": 0.5})
        outputs = jax.device_get(outputs)
        dropped = outputs.dropped == 0
        np.testing.assert_allclose(outputs.dropped[~dropped], 2 * outputs.raw[~dropped], rtol=1e-6)
        assert (dropped == dropped[:1]).all() == locked


def test_a_dropped_symbol_is_dropped_wherever_it_stands(params):
    """All embeddings are equal here, and dropped ones are 0."""
    alike, silent = (params | {"embedding": np.full((11, 6), x, np.float32)} for x in (1, 0))
    nothing = np.asarray(apply(MODEL, silent).raw[0, 0])
    assert not np.allclose(apply(MODEL, alike).raw[0], nothing)
    found = {}
    for shift in range(11):  # every symbol in every stream
        token = (TOKEN * 0 + np.arange(3, dtype=np.int32) + shift) % 11
        outputs = noisy(MODEL, alike, token=token, **EVERY | {"embedding": 0.5})
        first = np.asarray(outputs.raw[0])
        for symbol, output in zip(token[0], first, strict=True):
            found.setdefault(int(symbol), []).append(bool(np.allclose(output, nothing)))
    assert all(len(set(stands)) == 1 for stands in found.values())
    assert {stands[0] for stands in found.values()} == {True, False}


def test_bfloat16_outputs_are_near_and_params_stay_float32(params):
    low = MODEL.clone(dtype=jnp.bfloat16)
    begun = jax.eval_shape(partial(initial, low))
    assert {leaf.dtype for leaf in jax.tree.leaves(begun)} == {jnp.dtype(jnp.float32)}
    first, second = (apply(model, params).out for model in (MODEL, low))
    assert second.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(second, np.float32), first, atol=0.02)
