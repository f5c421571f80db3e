"""Tests that presets have the sizes that the papers report."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.lm import PRESETS
from research.lm.data import Heldout, TextData, TextLayout, lay_out_heldout, lay_out_train
from research.lm.task import make_model, make_task, updates_an_epoch


@pytest.mark.parametrize(
    ("name", "millions"),
    [("ptb-small", 4.65), ("ptb-medium", 19.8), ("ptb-large", 66.0), ("ptb-melis", 10.0)],
)
def test_params_of_the_penn_treebank_models(name, millions):
    """With 10,000 words, Zaremba et al. (2014) report 66 million for the large model, and Melis et
    al. (2018) 10 million for theirs."""
    model = make_model(PRESETS[name].config, 10_000)
    init = lambda key: model.init(key, jnp.zeros((1, 1), jnp.int32), model.start(1))
    shapes = jax.eval_shape(init, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count / 1e6 == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_traced(name):
    """A step with 1,000 symbols keeps the shapes and types of the state."""
    config, hparams = PRESETS[name]
    after = np.zeros(1 + 2 * config.batch_size * config.window, np.uint16)
    layout = TextLayout(config.batch_size, config.window, config.eval_streams, config.eval_context)
    heldout: Heldout = lay_out_heldout(after, len(after) - 1, layout)
    shared = TextData(lay_out_train(after, layout), heldout, heldout, symbols=1_000)
    task = make_task(config, updates_an_epoch(config, shared))
    assert task.steps == 2 * config.epochs
    key, t = jax.random.key(0), jnp.int32(0)
    state = jax.eval_shape(task.init, shared, hparams, key)
    after_step, metrics = jax.eval_shape(task.step, shared, hparams, state, key, t)
    assert jax.tree.map(jnp.shape, after_step) == jax.tree.map(jnp.shape, state)
    dtypes = lambda tree: jax.tree.map(lambda leaf: leaf.dtype, tree)
    assert dtypes(after_step) == dtypes(state)
    assert set(metrics) == {"loss"}
    evaluated = jax.eval_shape(task.evaluate, shared, hparams, state, key)
    assert task.key_metric in evaluated
    assert all(value.dtype == jnp.float32 for value in evaluated.values())
