"""Configs, states and trained nets that several tests share."""

import dataclasses
import warnings

import jax
import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from research.mlp import Config, HParams, make_problem
from research.mlp.task import State
from research.shuffle import ORDER
from research.task import always_zero
from tests import contract

CONFIG = Config(data="wine", hidden=(8,), batch_size=8)
OFF = always_zero(HParams())
RICH = {"hidden": (8, 8), "layer_norm": True, "residual": True, "adversarial_steps": 1,
        "class_weights": "balanced"}  # fmt: skip
VARIANTS = {
    "plain": {"off": OFF},
    "rich": RICH,
    "regression": {"data": "diabetes", "hidden": (), "adversarial_steps": 2, "optimizer": "sgd"},
    "images": {"data": "digits", "channels": (4,), "off": OFF},
}
EVERYTHING = {**RICH, "data": "digits", "channels": (2,), "hidden": (32,), "optimizer": "sgd"}
HPARAMS = HParams(dropout=0.2, label_noise=0.2, adversarial_radius=0.1)
NOISE = np.uint32([7, 8])


def case(variant="plain", **changes):
    some = EVERYTHING if variant == "everything" else VARIANTS[variant]
    config = dataclasses.replace(CONFIG, **some | changes)
    return contract.Case(make_problem(config), HPARAMS, {"learning_rate": [1e-3, 1e-2]})


def some_state(task, shared):
    """A state before the first step, with kernels of the scale that `init` draws. `init` itself
    takes longer to compile than the tests that use the state."""
    shapes = jax.eval_shape(task.init, shared, HParams(), jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: np.float32(rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[0])),
        shapes.params,
    )
    opt_state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes.opt_state)
    return State(params, opt_state, np.zeros(ORDER, np.uint32), NOISE)


def trained(shared, hidden, epochs=60):
    """The params of a ReLU net that scikit-learn has trained on the training part, since our own
    training program would take seconds to compile."""
    kind = MLPClassifier if shared.classes else MLPRegressor
    net = kind(hidden_layer_sizes=hidden, learning_rate_init=1e-2, max_iter=epochs, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        net.fit(np.asarray(shared.train.x), np.asarray(shared.train.y))
    return {
        f"Dense_{layer}": {"kernel": np.float32(kernel), "bias": np.float32(bias)}
        for layer, (kernel, bias) in enumerate(zip(net.coefs_, net.intercepts_, strict=True))
    }
