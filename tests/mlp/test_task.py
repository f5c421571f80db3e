"""The MLP under the contract, its updates against PyTorch and by hand, and that it learns."""

import dataclasses
import json
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from research.errors import UserError
from research.mlp import PRESETS, ZERO_IS_OFF, Config, HParams, make_problem
from research.mlp.data import Split
from research.mlp.model import MLP
from research.mlp.task import State, make_optimizer, next_batch, next_rows
from research.shuffle import ROUNDS
from research.sweep import Cadence, sweep
from tests import contract

CONFIG = Config(data="wine", hidden=(8,), batch_size=8)
CASE = contract.Case(make_problem(CONFIG), HParams(), {"learning_rate": [1e-3, 1e-2]})
GOLDEN = json.loads((Path(__file__).parents[1] / "goldens" / "mlp.json").read_text())


def test_a_lane_is_a_lone_run():
    contract.check_a_lane_is_a_lone_run(CASE, steps=100, atol=2e-5)


def test_place_changes_no_bit():
    contract.check_place_changes_no_bit(CASE, steps=20)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_ten_steps_are_five_a_file_and_five(tmp_path, optimizer):
    problem = make_problem(dataclasses.replace(CONFIG, optimizer=optimizer))
    contract.check_resumes_bit_for_bit(CASE._replace(problem=problem), tmp_path)


def test_chunk_length_changes_no_bit():
    contract.check_chunk_length_changes_no_bit(CASE, 50, (1, 7, 50))


def test_sharded_is_unsharded():
    contract.check_sharded_is_unsharded(CASE, steps=20, atol=1e-5)


def test_seeds_differ_and_repeat():
    contract.check_seeds_differ_and_repeat(CASE, steps=5)


def test_traced_once():
    contract.check_traced_once(CASE)


def test_keys_are_used_once():
    contract.check_keys_are_used_once(CASE)


def golden_case():
    """The article's net with PyTorch's weights, and its batch as the whole training part."""
    preset = PRESETS["article"]
    problem = make_problem(dataclasses.replace(preset.config, batch_size=16))
    batch = Split(jnp.asarray(GOLDEN["x"]), jnp.asarray(GOLDEN["y"]))
    shared = dataclasses.replace(problem.shared, train=batch, validation=batch)
    params = jax.tree.map(jnp.asarray, GOLDEN["params"], is_leaf=lambda x: isinstance(x, list))
    hparams = HParams(
        learning_rate=GOLDEN["learning_rate"],
        weight_decay=GOLDEN["weight_decay"],
        momentum=GOLDEN["momentum"],
    )
    return problem.task, preset.config, shared, hparams, params


def arrays(name):
    return jax.tree.map(np.float32, GOLDEN[name], is_leaf=lambda x: isinstance(x, list))


def test_the_articles_net_computes_what_pytorch_computes():
    _, config, _, _, params = golden_case()
    outputs = MLP(config.hidden, 1, config.activation).apply({"params": params}, arrays("x"))
    chex.assert_trees_all_close(outputs, arrays("outputs"), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_articles_net_learns_as_in_pytorch(optimizer):
    """Loss, and through one plain SGD step the gradient; then five updates of either optimizer."""
    _, config, shared, hparams, params = golden_case()
    config = dataclasses.replace(config, optimizer=optimizer, loss="squared_error", batch_size=16)
    task = make_problem(config).task
    if optimizer == "sgd":
        hparams = hparams.replace(weight_decay=0.0)
    opt_state = make_optimizer(config, hparams).init(params)
    state = State(params, opt_state, jnp.zeros(ROUNDS, jnp.uint32), jnp.zeros(2, jnp.uint32))
    step = jax.jit(task.step)
    for t in range(GOLDEN["steps"]):
        state, metrics = step(shared, hparams, state, jax.random.key(t), jnp.int32(t))
        if t == 0:
            np.testing.assert_allclose(metrics["loss"], GOLDEN["loss"], rtol=1e-6)
    expected = arrays("after_adamw" if optimizer == "adam" else "after_sgd")
    chex.assert_trees_all_close(state.params, expected, atol=2e-6, rtol=1e-5)


def test_the_articles_gradient_is_pytorchs():
    _, config, shared, hparams, params = golden_case()
    config = dataclasses.replace(config, optimizer="sgd", loss="squared_error", batch_size=16)
    hparams = hparams.replace(weight_decay=0.0, momentum=0.0, learning_rate=1.0)
    task = make_problem(config).task
    opt_state = make_optimizer(config, hparams).init(params)
    state = State(params, opt_state, jnp.zeros(ROUNDS, jnp.uint32), jnp.zeros(2, jnp.uint32))
    after, _ = jax.jit(task.step)(shared, hparams, state, jax.random.key(0), jnp.int32(0))
    gradients = jax.tree.map(jnp.subtract, params, after.params)
    chex.assert_trees_all_close(gradients, arrays("gradients"), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("data", ["wine", "breast_cancer", "diabetes"])
def test_the_gradient_is_the_slope_of_the_loss(data):
    problem = make_problem(Config(data=data, hidden=(4,), activation="tanh", batch_size=8))
    shared, task = problem.shared, problem.task
    state = task.init(shared, HParams(), jax.random.key(0))

    def loss(params):
        moved = state._replace(params=params)
        return task.evaluate(shared, HParams(), moved, jax.random.key(1))["validation_loss"]

    check_grads(loss, (state.params,), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


def test_an_epoch_shows_every_example_once_and_the_next_in_another_order():
    config = dataclasses.replace(CONFIG, batch_size=5)
    order, epochs = jnp.zeros(ROUNDS, jnp.uint32), []
    for t in range(12):
        order, rows = next_rows(config, 20, order, jax.random.key(t), jnp.int32(t))
        epochs += rows.tolist()
    first, second, third = epochs[:20], epochs[20:40], epochs[40:]
    assert sorted(first) == sorted(second) == sorted(third) == list(range(20))
    assert first != second != third != first


def test_a_batch_is_rows_and_their_targets():
    shared, rows = CASE.problem.shared, jnp.asarray([3, 0, 99])
    config = dataclasses.replace(CONFIG, off=ZERO_IS_OFF)
    batch = next_batch(config, shared, HParams(), jnp.zeros(2, jnp.uint32), rows)
    np.testing.assert_array_equal(batch.x, shared.train.x[np.asarray(rows)])
    np.testing.assert_array_equal(batch.y, shared.train.y[np.asarray(rows)])


def test_two_seeds_see_the_data_in_two_orders():
    orders = [
        CASE.problem.task.init(CASE.problem.shared, HParams(), jax.random.key(seed)).order
        for seed in (0, 1)
    ]
    seen = [
        next_rows(CONFIG, 100, order, jax.random.key(seed), jnp.int32(0))[1].tolist()
        for seed, order in enumerate(orders)
    ]
    assert seen[0] != seen[1]


@pytest.mark.parametrize(
    ("hparam", "values"),
    [("learning_rate", [1e-3, 1e-2]), ("weight_decay", [0.0, 1.0]), ("momentum", [0.0, 0.9]),
     ("beta2", [0.9, 0.999])],
)  # fmt: skip
def test_every_hyperparameter_changes_the_outcome(hparam, values):
    case = CASE._replace(axes={hparam: values})
    kernel = contract.run(case, 10, seeds=[0]).states.params["Dense_0"]["kernel"]
    assert np.abs(kernel[0] - kernel[1]).max() > 1e-5


@pytest.mark.parametrize(
    ("data", "metric", "least"),
    [("digits", "test_accuracy", 0.95), ("breast_cancer", "test_accuracy", 0.93),
     ("diabetes", "test_r2", 0.25)],
)  # fmt: skip
def test_it_learns(data, metric, least):
    """A linear model reaches 0.95, 0.96 and 0.33 on these splits."""
    problem = make_problem(Config(data=data, hidden=(32,)))
    cadence = Cadence(100, 300, 300)
    swept = sweep(problem.task, problem.shared, HParams(learning_rate=3e-3), 4, 300,
                  cadence=cadence)  # fmt: skip
    last = swept.metrics[swept.metrics["step"] == 300]
    assert last[metric].median() >= least
    assert last["loss"].median() < swept.metrics["loss"][:4].median() / 1.5


def test_regression_is_scored_in_the_units_of_the_target():
    problem = make_problem(Config(data="diabetes", hidden=()))
    state = problem.task.init(problem.shared, HParams(), jax.random.key(0))
    zero = state._replace(params=jax.tree.map(jnp.zeros_like, state.params))
    metrics = problem.task.evaluate(problem.shared, HParams(), zero, jax.random.key(0))
    targets = problem.shared.test.y * problem.shared.target_scale
    expected = np.sqrt(np.mean(np.square(targets)))
    assert expected > 50  # the target is a score of about 25 to 350
    np.testing.assert_allclose(metrics["test_rmse"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"activation": "rellu"}, "--activation rellu"),
        ({"optimizer": "adamm"}, "--optimizer adamm"),
        ({"loss": "mse"}, "--loss mse"),
        ({"hidden": (8, 0)}, "--hidden"),
        ({"batch_size": 5000}, "--batch-size 5000: wine has 106 rows"),
        ({"loss": "huber"}, "--loss huber: the target of wine is classes"),
        ({"data": "diabetes", "loss": "cross_entropy"}, "--loss cross_entropy"),
        ({"data": "digitts"}, "--data digitts: neither"),
    ],
)
def test_a_config_that_makes_no_sense_is_one_clear_line(changes, says):
    with pytest.raises(UserError, match=says):
        make_problem(dataclasses.replace(CONFIG, **changes))
