"""Tests of one update of the MLP against PyTorch and hand-computed values."""

import dataclasses
import json
from functools import cache
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.utils.class_weight import compute_class_weight

from research.mlp import PRESETS, Config, HParams, make_problem
from research.mlp.data import load
from research.mlp.dataset import DataChoice, Split
from research.mlp.label_noise import noisy_labels
from research.mlp.model import MLP
from research.mlp.task import State, make_input_gradient, make_optimizer
from research.shuffle import ORDER
from tests.mlp.cases import CONFIG, HPARAMS, NOISE, OFF, case, some_state

GOLDEN = json.loads((Path(__file__).parents[1] / "goldens" / "mlp.json").read_text())


def golden_case():
    """The article's net with PyTorch's weights; its batch is the whole training part."""
    preset = PRESETS["article"]
    problem = make_problem(dataclasses.replace(preset.config, batch_size=16))
    batch = Split(arrays("x"), arrays("y"))
    shared = dataclasses.replace(problem.shared, train=batch, validation=batch)
    hparams = HParams(
        learning_rate=GOLDEN["learning_rate"],
        weight_decay=GOLDEN["weight_decay"],
        momentum=GOLDEN["momentum"],
    )
    return problem.task, preset.config, shared, hparams, arrays("params")


def arrays(name):
    return jax.tree.map(np.float32, GOLDEN[name], is_leaf=lambda x: isinstance(x, list))


def golden_state(config, hparams, params):
    """The state of the article's net before its first step."""
    opt_state = jax.eval_shape(make_optimizer(config, hparams).init, params)
    opt_state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), opt_state)
    return State(params, opt_state, np.zeros(ORDER, np.uint32), np.zeros(2, np.uint32))


def test_the_network_computes_what_pytorch_computes():
    _, config, _, _, params = golden_case()
    apply = jax.jit(MLP(config.hidden, 1, config.activation).apply)
    outputs = apply({"params": params}, arrays("x"))
    chex.assert_trees_all_close(outputs, arrays("outputs"), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_updates_of_sgd_and_adam_equal_pytorch(optimizer):
    """Compares the loss, the gradient through one SGD step, and five updates of each optimizer."""
    _, config, shared, hparams, params = golden_case()
    config = dataclasses.replace(config, optimizer=optimizer, loss="squared_error", batch_size=16)
    task = make_problem(config).task
    if optimizer == "sgd":
        hparams = hparams.replace(weight_decay=0.0)
    state = golden_state(config, hparams, params)
    step = jax.jit(task.step)
    for t in range(GOLDEN["steps"]):
        state, metrics = step(shared, hparams, state, jax.random.key(t), np.int32(t))
        if t == 0:
            np.testing.assert_allclose(metrics["loss"], GOLDEN["loss"], rtol=1e-6)
    expected = arrays("after_adamw" if optimizer == "adam" else "after_sgd")
    chex.assert_trees_all_close(state.params, expected, atol=2e-6, rtol=1e-5)


def test_the_gradient_equals_pytorch():
    _, config, shared, hparams, params = golden_case()
    config = dataclasses.replace(config, optimizer="sgd", loss="squared_error", batch_size=16)
    hparams = hparams.replace(weight_decay=0.0, momentum=0.0, learning_rate=1.0)
    task = make_problem(config).task
    state = golden_state(config, hparams, params)
    after, _ = jax.jit(task.step)(shared, hparams, state, jax.random.key(0), np.int32(0))
    gradients = jax.tree.map(np.subtract, params, jax.device_get(after.params))
    chex.assert_trees_all_close(gradients, arrays("gradients"), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("data", ["wine", "breast_cancer", "diabetes"])
def test_the_gradient_matches_finite_differences(data):
    problem = make_problem(Config(data=data, hidden=(4,), activation="tanh", batch_size=8))
    shared, task = problem.shared, problem.task
    params = some_state(problem.task, shared).params
    leaves, tree = jax.tree.flatten(params)
    flat = np.concatenate([leaf.ravel() for leaf in leaves])
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def loss(flat):
        pieces = zip(jnp.split(flat, ends), leaves, strict=True)
        params = jax.tree.unflatten(tree, [piece.reshape(leaf.shape) for piece, leaf in pieces])
        state = State(params, None, None, None)
        return task.evaluate(shared, HParams(), state, jax.random.key(1))["validation_loss"]

    step = np.float32(1e-2) * np.eye(len(flat), dtype=np.float32)
    losses = jax.jit(jax.vmap(loss))(np.concatenate([flat + step, flat - step]))
    up, down = np.split(np.asarray(losses, np.float64), 2)
    gradient = jax.jit(jax.grad(loss))(flat)
    np.testing.assert_allclose(gradient, (up - down) / 2e-2, atol=1e-3, rtol=1e-2)
    assert np.abs(gradient).max() > 0.05


def step_on_every_row(config, hparams=HPARAMS, **changes):
    """The data, the params before and after, and the loss of the first step of a run whose batch is
    the whole training part."""
    dataset, _ = load(DataChoice(config.data))
    config = dataclasses.replace(config, batch_size=len(dataset.train.y), optimizer="sgd")
    problem = make_problem(config)
    shared = dataclasses.replace(problem.shared, **changes)
    state = some_state(problem.task, shared)
    after, loss = jax.device_get(_first_step(problem.task)(shared, hparams, state))
    return shared, state.params, after, float(loss)


@cache
def _first_step(task):
    def first_step(shared, hparams, state):
        after, metrics = task.step(shared, hparams, state, jax.random.key(1), np.int32(0))
        return after.params, metrics["loss"]

    return jax.jit(first_step)


def test_rare_classes_weigh_more_in_the_loss():
    config = Config(data="wine", hidden=(), class_weights="balanced", off=OFF)
    shared, params, _, loss = step_on_every_row(config)
    x, y = shared.train
    logits = x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    losses = -log_softmax(logits, axis=1)[np.arange(len(y)), y]
    weights = compute_class_weight("balanced", classes=np.arange(3), y=y)[y]
    np.testing.assert_allclose(loss, (weights * losses).mean(), rtol=1e-5)
    assert abs(losses.mean() - loss) > 1e-3


def test_a_linear_net_is_trained_on_the_worst_corner_of_the_box():
    """Two PGD steps reach the corner; some features are fixed, some rows are at the bounds."""
    config = Config(data="breast_cancer", hidden=(), adversarial_steps=2, off=OFF)
    radius = np.where(np.arange(30) % 3 == 0, 0, 1 + np.arange(30) / 10).astype(np.float32)
    shared, params, _, loss = step_on_every_row(
        config, HParams(adversarial_radius=0.2), radius=radius, x_high=np.full(30, 0.5, np.float32)
    )
    x, y = shared.train
    w, bias = params["Dense_0"]["kernel"][:, 0], params["Dense_0"]["bias"]
    sign = np.where(y == 1, -1, 1)[:, None]  # down is wrong for class 1
    moved = np.minimum(x + 0.2 * radius * sign * np.sign(w), 0.5)
    expected = np.logaddexp(0, sign[:, 0] * (moved @ w + bias)).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


@pytest.mark.parametrize("data", ["wine", "diabetes"])
def test_updates_use_the_noisy_targets(data):
    """All labels are wrong, or targets are off by one standard deviation."""
    config = Config(data=data, hidden=())
    loud, quiet = HParams(label_noise=1.0), HParams()
    shared, params, _, loss = step_on_every_row(config, loud)
    right = step_on_every_row(config, quiet)[-1]
    if data == "wine":
        logits = shared.train.x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
        losses = -log_softmax(logits, axis=1)
        rows = np.arange(106, dtype=np.int32)
        noisy = jax.jit(lambda labels: noisy_labels(labels, rows, NOISE, np.float32(1), 3))
        told = np.asarray(noisy(shared.train.y))
        assert (told != shared.train.y).all()
        np.testing.assert_allclose(loss, losses[rows, told].mean(), rtol=1e-5)
        np.testing.assert_allclose(right, losses[rows, shared.train.y].mean(), rtol=1e-5)
    else:
        np.testing.assert_allclose(loss - right, 1, atol=0.5)


def test_a_hyperparameter_that_is_off_equals_one_at_0():
    def learnt(off):
        return step_on_every_row(dataclasses.replace(CONFIG, off=off), HParams())[2]

    chex.assert_trees_all_close(learnt(OFF), learnt(()), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", OFF)
def test_each_hyperparameter_that_is_off_alone_equals_one_at_0(name):
    def learnt(off):
        return step_on_every_row(dataclasses.replace(CONFIG, off=off), HParams())[2]

    chex.assert_trees_all_close(learnt((name,)), learnt(()), atol=1e-6)


def test_the_input_gradient_of_a_row_ignores_other_rows():
    config = dataclasses.replace(CONFIG, loss="cross_entropy")
    shared = case().problem.shared
    x, y = shared.test
    params = some_state(case().problem.task, shared).params

    @jax.jit
    def gradients():
        every = make_input_gradient(config, shared, params, y)(x)
        return every, make_input_gradient(config, shared, params, y[3:4])(x[3:4])

    every, alone = map(np.asarray, gradients())
    chex.assert_trees_all_close(every[3:4], alone, atol=1e-6)
    assert np.abs(alone).max() > 1e-3
