"""The presets are as large as the papers say."""

import jax
import jax.numpy as jnp
import pytest

from research.lm import PRESETS
from research.lm.task import make_model


@pytest.mark.parametrize(
    ("name", "millions"),
    [("ptb-small", 4.65), ("ptb-medium", 19.8), ("ptb-large", 66.0), ("ptb-melis", 10.0)],
)
def test_params_of_the_penn_treebank_models(name, millions):
    """Of 10,000 words. Zaremba et al. (2014) speak of 66 million for the large one, Melis et al.
    (2018) of 10 for theirs."""
    model = make_model(PRESETS[name].config, 10_000)
    init = lambda key: model.init(key, jnp.zeros((1, 1), jnp.int32), model.start(1))
    shapes = jax.eval_shape(init, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count / 1e6 == pytest.approx(millions, rel=0.005)
