"""Tests of one update: against PyTorch and finite differences, and the effect of each option."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from research.dqn import Config, HParams
from research.dqn.environments import make_environment
from research.dqn.learner import make_optimizer, transition_loss, update
from research.dqn.networks import QNetwork
from research.dqn.replay import Batch
from research.dqn.task import q_network
from research.dqn.values import VALUES, ValueOutputs, mean
from research.dqn.values.categorical import make_atoms
from research.task import bind

GOLDEN = json.loads((Path(__file__).parents[1] / "goldens" / "dqn.json").read_text())
PLAIN = Config(hidden=(16,))
NET = QNetwork(num_actions=4, head=bind(mean.head, PLAIN), torso="mlp", hidden=(16,))
CASES = {"squared": PLAIN, "huber_double": Config(hidden=(16,), loss="huber", double=True)}

# One program for a config; hyper-parameters are traced.
apply = jax.jit(lambda params, seen: NET.apply({"params": params}, seen))
loss_and_priority = jax.jit(transition_loss, static_argnums=0)


def arrays(tree):
    return jax.tree.map(np.float32, tree, is_leaf=lambda x: isinstance(x, list))


def golden_batch():
    batch = {name: np.asarray(values, np.float32) for name, values in GOLDEN["batch"].items()}
    batch["a_tm1"] = batch["a_tm1"].astype(np.int32)
    return Batch(**batch, valid=np.ones(len(batch["a_tm1"]), np.float32))


@partial(jax.jit, static_argnums=(0, 1))
def first_update(config, network, hparams, params, target, batch, weights):
    opt_state = make_optimizer(config, hparams).init(params)
    params, _, learned = update(
        config, network, hparams, params, target, opt_state, batch, weights, jax.random.key(0)
    )
    return params, learned


def updated(config, hparams, batch, weights=None):
    """The golden params after one update and the measurements of the update, on the host."""
    weights = np.ones(len(batch.r_t), np.float32) if weights is None else weights
    params, target = arrays(GOLDEN["params"]), arrays(GOLDEN["target_params"])
    return jax.device_get(first_update(config, NET, hparams, params, target, batch, weights))


def test_the_network_computes_what_pytorch_computes():
    outputs = np.asarray(apply(arrays(GOLDEN["params"]), golden_batch().observation_tm1))
    chex.assert_trees_all_close(outputs[:, :, 0], arrays(GOLDEN["outputs"]), atol=1e-6)
    assert np.argmax(outputs[:, :, 0], axis=1).tolist() == GOLDEN["greedy"]


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_whole_update_equals_pytorch(case):
    """Covers target, loss, gradient, clipping to a norm, and Adam."""
    names = "learning_rate", "adam_eps", "max_grad_norm"
    hparams = HParams(**{name: GOLDEN[name] for name in names})
    after, learned = updated(CASES[case], hparams, golden_batch())
    assert float(learned.loss) == pytest.approx(GOLDEN[case]["loss"], rel=1e-5)
    chex.assert_trees_all_close(after, arrays(GOLDEN[case]["after"]), atol=2e-6, rtol=1e-5)


def test_max_grad_norm_0_turns_clipping_off():
    """It must not clip every gradient to norm 0."""
    batch, off = golden_batch(), dataclasses.replace(CASES["squared"], off=("max_grad_norm",))
    without, _ = updated(off, HParams(max_grad_norm=1e-9), batch)
    at_zero, _ = updated(CASES["squared"], HParams(max_grad_norm=0.0), batch)
    bounded, _ = updated(CASES["squared"], HParams(max_grad_norm=1e-9), batch)
    chex.assert_trees_all_close(without, at_zero, atol=1e-7)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 1e-6, without, bounded)
    assert any(jax.tree.leaves(moved))


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_gradient_equals_pytorch(case):
    config, batch = CASES[case], golden_batch()
    params, target = arrays(GOLDEN["params"]), arrays(GOLDEN["target_params"])

    def loss(params):
        apply = lambda params, seen: NET.apply({"params": params}, seen)
        outputs = ValueOutputs(
            apply(params, batch.observation_tm1),
            apply(target, batch.observation_t),
            jax.lax.stop_gradient(apply(params, batch.observation_t)),
        )
        one = jax.vmap(lambda *args: transition_loss(config, HParams(), *args)[0])
        return jnp.mean(one(outputs, batch.a_tm1, batch.r_t, batch.discount_t))

    gradients = jax.jit(jax.grad(loss))(params)
    chex.assert_trees_all_close(gradients, arrays(GOLDEN[case]["gradients"]), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{}, {"loss": "huber"}, {"values": "categorical"}, {"values": "quantile"},
     {"munchausen": True}, {"munchausen": True, "values": "quantile"}],
)  # fmt: skip
def test_the_gradient_matches_finite_differences(changes):
    config = Config(atoms=7, n_step=1, **changes)
    m = 1 if config.values == "mean" else 7
    first, *others = np.float32(np.random.default_rng(0).normal(size=(4, 3, m)))

    @jax.jit
    def loss(online_tm1):
        outputs = ValueOutputs(online_tm1, *others)
        return transition_loss(config, HParams(), outputs, jnp.int32(1), 0.5, 0.9)[0]

    check_grads(loss, (first,), order=1, modes=["rev"], eps=1e-3, atol=2e-2, rtol=2e-2)


def test_masked_transitions_do_not_change_the_update():
    """The update equals that of a batch of the valid transitions alone."""
    batch = golden_batch()
    valid = np.float32([1.0] * 8 + [0.0] * 4)
    first = jax.tree.map(lambda leaf: leaf[:8], batch)
    alone, expected = updated(PLAIN, HParams(), first)
    among, learned = updated(PLAIN, HParams(), batch._replace(valid=valid))
    chex.assert_trees_all_close(among, alone, atol=1e-7)
    assert float(learned.loss) == pytest.approx(float(expected.loss), rel=1e-6)
    assert learned.priority.shape == (12,)


def test_a_transition_of_weight_0_has_no_gradient():
    batch = golden_batch()
    weights = np.float32([1.0] * 8 + [0.0] * 4)
    other = batch._replace(r_t=batch.r_t + 100 * (1 - weights))
    first, _ = updated(PLAIN, HParams(), batch, weights=weights)
    second, _ = updated(PLAIN, HParams(), other, weights=weights)
    chex.assert_trees_all_close(first, second, atol=1e-7)


def test_the_priority_is_the_absolute_td_error():
    batch = golden_batch()
    _, learned = updated(PLAIN, HParams(), batch)
    q_tm1 = arrays(GOLDEN["outputs"])[np.arange(12), batch.a_tm1]
    q_t = np.asarray(apply(arrays(GOLDEN["target_params"]), batch.observation_t))[:, :, 0]
    target = batch.r_t + batch.discount_t * np.max(q_t, axis=1)
    np.testing.assert_allclose(learned.priority, np.abs(target - q_tm1), rtol=1e-5, atol=1e-6)
    assert float(learned.q_value) == pytest.approx(float(q_tm1.mean()), rel=1e-5)


def test_the_munchausen_bonus_uses_the_target_network_alone():
    config, batch = Config(hidden=(16,), n_step=1, munchausen=True), golden_batch()
    _, learned = updated(config, HParams(), batch)
    params, target = arrays(GOLDEN["params"]), arrays(GOLDEN["target_params"])
    outputs = ValueOutputs(
        online_tm1=apply(params, batch.observation_tm1),
        target_t=apply(target, batch.observation_t),
        target_tm1=apply(target, batch.observation_tm1),
    )
    one = lambda *args: transition_loss(config, HParams(), *args)[1]
    expected = jax.jit(jax.vmap(one))(outputs, batch.a_tm1, batch.r_t, batch.discount_t)
    np.testing.assert_allclose(learned.priority, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("values", ["categorical", "quantile"])
def test_double_learning_of_a_distribution_takes_the_action_that_the_online_network_prefers(values):
    config = Config(atoms=5, values=values)
    hparams = HParams(value_min=-2.0, value_max=2.0)
    rising = np.arange(5, dtype=np.float32)  # of a high value, under either kind
    outputs = ValueOutputs(
        online_tm1=np.stack([np.float32(0.3) * rising, rising]),
        target_t=np.stack([rising, -rising]),
        online_t=np.stack([-rising, rising]),
    )
    flipped = outputs._replace(target_t=outputs.target_t[::-1])

    def loss(double, outputs):
        chosen = dataclasses.replace(config, double=double)
        return float(loss_and_priority(chosen, hparams, outputs, np.int32(0), 0.5, 0.9)[0])

    assert loss(True, outputs) == pytest.approx(
        loss(True, flipped._replace(online_t=outputs.target_t))
    )
    assert loss(False, outputs) == pytest.approx(loss(False, flipped))
    assert abs(loss(True, outputs) - loss(False, outputs)) > 0.1


def test_the_priority_of_a_correct_distribution_is_0():
    """The remaining loss is the entropy of the target, which no prediction avoids."""
    config = Config(atoms=5, values="categorical")
    logits, rising = np.float32([[0.0, 1.0, 2.0, 0.5, 0.0]]), np.arange(5, dtype=np.float32)[None]
    for shift, right in ((0, True), (1, False)):
        outputs = ValueOutputs(online_tm1=logits + shift * rising, target_t=logits)
        loss, priority = loss_and_priority(config, HParams(), outputs, np.int32(0), 0.0, 1.0)
        assert float(loss) > 1
        assert (abs(float(priority)) < 1e-5) == right


def test_munchausen_with_equal_quantiles_is_munchausen_q_learning():
    """If all quantiles are equal, the priority is that of plain Munchausen Q-learning."""
    config, means = Config(munchausen=True, n_step=1), np.random.default_rng(1).normal(size=(4, 3))
    outputs = ValueOutputs(*np.float32(means)[:, :, None])
    hparams = HParams(munchausen_scale=0.5, munchausen_temperature=0.3)
    given = hparams, np.int32(1), 0.5, 0.9
    spread = ValueOutputs(*[np.repeat(head, 4, axis=1) for head in outputs])
    quantiles = dataclasses.replace(config, values="quantile", atoms=4)
    ours = loss_and_priority(quantiles, hparams, spread, *given[1:])[1]
    expected = loss_and_priority(config, hparams, outputs, *given[1:])[1]
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)
    assert float(expected) > 0.1


OPTIONS = [
    {"double": True}, {"loss": "huber"}, {"munchausen": True}, {"values": "categorical"},
    {"values": "quantile"}, {"dueling": True}, {"layer_norm": True},
]  # fmt: skip


@partial(jax.jit, static_argnums=(0, 1))
def first_loss(config, network, batch, params, target):
    args = HParams(), params, target, batch, np.ones(12, np.float32)
    return first_update(config, network, *args)[1].loss


def loss_at_random(config):
    """The loss of the golden batch with two actions, under random params of the same seed."""
    batch = golden_batch()
    batch = batch._replace(a_tm1=batch.a_tm1 % 2)
    network = q_network(config, make_environment("CartPole-v1"))
    shapes = jax.eval_shape(network.init, jax.random.key(0), batch.observation_t)["params"]
    rng = np.random.default_rng(0)
    draw = lambda leaf: np.float32(rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[0]))
    params, target = (jax.tree.map(draw, shapes) for _ in range(2))
    return float(first_loss(config, network, batch, params, target))


@pytest.fixture(scope="module")
def plain_loss():
    return loss_at_random(PLAIN)


@pytest.mark.parametrize("changes", OPTIONS)
def test_an_option_changes_the_update(changes, plain_loss):
    changed = loss_at_random(Config(hidden=(16,), atoms=11, n_step=1, **changes))
    assert abs(plain_loss - changed) > 1e-3


@pytest.mark.parametrize("name", ["double", "munchausen"])
def test_an_option_of_the_target_leaves_terminal_transitions_alone(name):
    """Terminal transitions do not bootstrap; Munchausen is tested without its bonus."""
    batch = golden_batch()
    batch = batch._replace(discount_t=np.zeros(12, np.float32))
    hparams = HParams(munchausen_scale=0.0)
    plain, _ = updated(PLAIN, hparams, batch)
    other, _ = updated(Config(hidden=(16,), n_step=1, **{name: True}), hparams, batch)
    chex.assert_trees_all_close(plain, other, atol=1e-7)


def test_action_values_are_the_mean_of_the_distribution():
    hparams = HParams(value_min=-2.0, value_max=2.0)
    config = Config(values="categorical", atoms=5)
    values = lambda config, *args: VALUES[config.values].action_values(config, *args)
    values = jax.jit(values, static_argnums=0)
    atoms = jax.jit(make_atoms, static_argnums=0)(config, hparams)
    np.testing.assert_allclose(atoms, [-2, -1, 0, 1, 2])
    logits = np.log(np.float32([[[0.5, 0.5, 0, 0, 0], [0, 0, 0, 0.25, 0.75]]]) + np.float32(1e-9))
    np.testing.assert_allclose(values(config, hparams, logits), [[-1.5, 1.75]], atol=1e-5)
    quantiles = np.float32([[[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]]])
    config = Config(values="quantile", atoms=3)
    np.testing.assert_allclose(values(config, hparams, quantiles), [[3, 1]])
