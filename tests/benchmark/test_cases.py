"""Tests of the cases of the benchmark: their sizes, and loops that would stall a GPU."""

import re

import jax
import pytest

from research.benchmark.baselines import count_params
from research.benchmark.cases import CASES


@pytest.mark.parametrize(
    "name", ["mlp-small", "mlp-digits", "dqn-cartpole", "dqn-breakout", "lstm-char-128"]
)
def test_cases_have_the_size_that_their_names_say(name):
    expected = {
        "mlp-small": 10 * 5 + 5 + 5 + 1,
        "mlp-digits": 64 * 128 + 128 + 128 * 10 + 10,
        "dqn-cartpole": 4 * 120 + 120 + 120 * 84 + 84 + 84 * 2 + 2,
        # A convolution of 16 channels, 128 units, 3 actions.
        "dqn-breakout": 9 * 4 * 16 + 16 + 8 * 8 * 16 * 128 + 128 + 128 * 3 + 3,
        "lstm-char-128": 65 * 128 + 2 * (8 * 128 * 128 + 4 * 128) + 128 * 65 + 65,
    }
    assert count_params(CASES[name]("float32")) == expected[name]


@pytest.mark.parametrize("name", ["mlp-small", "mlp-digits", "dqn-breakout", "lstm-char-128"])
def test_training_on_a_gpu_has_no_loop_with_a_computed_end(name):
    """Such a loop makes a GPU wait for the host at every iteration; a fixed length does not."""
    case = CASES[name]("float32")
    task, shared = case.problem.task, case.problem.shared
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(task.init, shared, case.hparams, key)
    step = jax.jit(lambda state, key, t: task.step(shared, case.hparams, state, key, t))
    threefry = jax.export.DisabledSafetyCheck.custom_call("cu_threefry2x32_ffi")
    t = jax.ShapeDtypeStruct((), jax.numpy.int32)
    exported = jax.export.export(step, platforms=["cuda"], disabled_checks=[threefry])
    text = exported(state, key, t).mlir_module()
    for condition in re.findall(r"stablehlo\.while.*?cond \{(.*?)\} do", text, re.DOTALL):
        assert re.findall(r"stablehlo\.(\w+)", condition) == ["compare", "return"]
