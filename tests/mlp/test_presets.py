"""Tests of the presets of the MLP."""

import jax
import pytest

from research.mlp import PRESETS, make_problem


@pytest.mark.parametrize(
    ("name", "shapes"), [("article", [(10, 5), (5, 1)]), ("digits", [(64, 128), (128, 10)])]
)
def test_presets_have_the_documented_nets(name, shapes):
    preset = PRESETS[name]
    problem = make_problem(preset.config)
    task, shared = problem.task, problem.shared
    params = jax.eval_shape(task.init, shared, preset.hparams, jax.random.key(0)).params
    assert [params[f"Dense_{layer}"]["kernel"].shape for layer in range(2)] == shapes
    assert len(params) == 2
    assert preset.config.activation == "relu"
