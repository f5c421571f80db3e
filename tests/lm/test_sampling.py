"""Tests of sampling: which tokens, with what probability, and reproducibly."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.lm.model import LanguageModel
from research.lm.sampling import CHUNK, SamplingRule, choose, generate, restrict
from research.lm.softmax import make_logits

PROBABILITIES = np.array([0.1, 0.5, 0.05, 0.35])
LOGITS = jnp.log(jnp.asarray(PROBABILITIES, jnp.float32)) + 3


@pytest.mark.parametrize(
    ("choice", "allowed"),
    [
        (SamplingRule(), [0, 1, 2, 3]),
        (SamplingRule(top_k=1), [1]),
        (SamplingRule(top_k=3), [0, 1, 3]),
        (SamplingRule(top_k=9), [0, 1, 2, 3]),
        (SamplingRule(top_p=0.4), [1]),
        (SamplingRule(top_p=0.8), [1, 3]),
        (SamplingRule(top_p=0.9), [0, 1, 3]),
        (SamplingRule(top_k=2, top_p=0.55), [1]),  # of 0.85 in all, 0.5 is more than 0.55
        (SamplingRule(top_k=2, top_p=0.6), [1, 3]),
    ],
)
def test_top_k_and_top_p_keep_the_most_probable_tokens(choice, allowed):
    assert np.flatnonzero(np.isfinite(restrict(LOGITS, choice))).tolist() == allowed


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (SamplingRule(), PROBABILITIES),
        (SamplingRule(temperature=0.5), PROBABILITIES**2 / (PROBABILITIES**2).sum()),
        (SamplingRule(top_k=2), np.array([0, 0.5, 0, 0.35]) / 0.85),
        (SamplingRule(temperature=0.0), np.array([0, 1, 0, 0])),
        (SamplingRule(never=1), np.array([0.1, 0, 0.05, 0.35]) / 0.5),
        (SamplingRule(temperature=0.0, never=1), np.array([0, 0, 0, 1])),
        (SamplingRule(top_k=1, never=1), np.array([0, 0, 0, 1])),
    ],
)
def test_tokens_are_sampled_with_their_probabilities(choice, expected):
    @jax.jit
    def tokens(key):
        return jax.vmap(lambda key: choose(LOGITS, key, choice))(jax.random.split(key, 20_000))

    found = np.bincount(tokens(jax.random.key(0)), minlength=4) / 20_000
    np.testing.assert_allclose(found, expected, atol=0.015)


@pytest.fixture(scope="module")
def trained():
    model = LanguageModel(symbols=7, embedding_size=5, hidden=(6, 6))
    token = jnp.zeros((1, 1), jnp.int32)
    init = jax.jit(lambda key: model.init(key, token, model.start(1))["params"])
    return model, jax.tree.map(lambda leaf: 2 * np.asarray(leaf), init(jax.random.key(3)))


def test_greedy_sampling_takes_the_most_probable_token(trained):
    """Each token follows from the whole text before it, also across chunks."""
    model, params = trained
    prompt = [3, 1, 4]
    made = list(itertools.islice(
        generate(model, params, np.array(prompt), jax.random.key(0), SamplingRule(temperature=0.0)),
        CHUNK + 5,
    ))  # fmt: skip

    @jax.jit
    def most_probable(params, text):
        outputs = model.apply({"params": params}, text[:, None], model.start(1))
        logits = make_logits(outputs.out[:, 0], *model.softmax_params(params))
        return jnp.argmax(logits, axis=1)

    text = np.array(prompt + made[:-1], np.int32)
    assert most_probable(params, text)[len(prompt) - 1 :].tolist() == made
    assert len(set(made)) > 3


def test_samples_repeat_with_the_seed(trained):
    model, params = trained
    write = lambda seed: list(itertools.islice(
        generate(model, params, np.array([0]), jax.random.key(seed), SamplingRule()), 3 * CHUNK
    ))  # fmt: skip
    assert write(0) == write(0)
    assert write(0) != write(1)
    first, second = write(0)[:CHUNK], write(0)[CHUNK : 2 * CHUNK]
    assert first != second


@pytest.mark.parametrize(
    "choice",
    [
        SamplingRule(temperature=-1.0),
        SamplingRule(float("nan")),
        SamplingRule(top_k=-1),
        SamplingRule(top_p=1.5),
        SamplingRule(float("inf")),
        SamplingRule(1e-50),
        SamplingRule(top_k=2**31),
        SamplingRule(top_p=1e-50),
    ],
)
def test_a_sampling_rule_out_of_range_gives_a_one_line_error(trained, choice):
    with pytest.raises(UserError, match="--t"):
        next(generate(*trained, np.array([0]), jax.random.key(0), choice))
