"""Small language models that several tests share."""

import dataclasses

import jax
import numpy as np

from research.lm import Config, HParams, make_problem
from research.lm.softmax import token_nll
from research.task import always_zero
from tests import contract

TEXT = "the cat sat on the mat and saw a rat\n"
OFF = always_zero(HParams())
VARIANTS = {
    "plain": {"off": OFF},
    "everything": {"tied": True, "locked": True, "schedule": "plateau", "averaging": "asgd",
                   "level": "word", "softmax_chunk": 4, "embedding_size": 5},
    "sgd": {"optimizer": "sgd", "loss_over": "time", "schedule": "decay", "averaging": "ema",
            "coupled": True, "hidden": (8,), "off": OFF},
    "low": {"compute": "bfloat16", "off": OFF},
}  # fmt: skip
NOISY = HParams(
    embedding_dropout=0.1, input_dropout=0.1, layer_dropout=0.2, output_dropout=0.2,
    state_dropout=0.1, weight_dropout=0.1, activation_penalty=0.5, slowness_penalty=0.5,
    trigger_after=1.0, patience=0.0,
)  # fmt: skip


def config(corpus, variant="plain", **changes):
    small = Config(
        corpus=corpus, embedding_size=6, hidden=(8, 7), batch_size=4, window=5, epochs=1,
        eval_streams=3, eval_context=4,
    )  # fmt: skip
    return dataclasses.replace(small, **VARIANTS[variant] | changes)


def small(corpus, **changes):
    """A model of one layer, whose compiled programs several tests share."""
    fixed = {"hidden": (24,), "embedding_size": 8, "batch_size": 8, "window": 10}
    return config(corpus, **fixed | changes)


def case(corpus, variant="plain", **changes):
    hparams = {"everything": NOISY, "sgd": HParams(decay_after=0.0)}.get(variant, HParams())
    problem = make_problem(config(corpus, variant, **changes))
    return contract.Case(problem, hparams, {"learning_rate": [1e-3, 1e-2]})


def first_state(problem, hparams, seed=0):
    return jax.jit(problem.task.init)(problem.shared, hparams, jax.random.key(seed))


def train(problem, hparams, steps, seed=0):
    """Trains one run without the engine; returns its last state and all losses."""
    step, state, losses = jax.jit(problem.task.step), first_state(problem, hparams, seed), []
    for t in range(steps):
        key = jax.random.key(t)
        state, metrics = step(problem.shared, hparams, state, key, np.int32(t))
        losses.append(metrics["loss"])
    return state, np.asarray(losses)


def whole_nll(model, params, token):
    """The losses of a text that is a single window: [N]."""

    @jax.jit
    def nll(params):
        outputs = model.apply({"params": params}, token[:-1], model.start(token.shape[1]))
        out = outputs.out.reshape(-1, outputs.out.shape[-1])
        return token_nll(out, *model.softmax_params(params), token[1:].reshape(-1))

    return np.asarray(nll(params))
