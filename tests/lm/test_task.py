"""Tests of the language model: the contract, what the validation loss controls, and learning."""

import dataclasses

import jax
import numpy as np
import pytest

from research.errors import UserError
from research.lm import HParams, make_problem
from research.lm.averaging import MEMORY
from research.lm.evaluation import heldout_nll
from research.lm.task import make_model, updates_an_epoch
from tests import contract
from tests.contract import slow
from tests.lm.cases import NOISY, OFF, case, config, small, train

STEPS = 15


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["sgd", "plain", "everything"])
def test_a_run_in_a_sweep_equals_the_run_alone(corpus, variant):
    contract.check_a_lane_is_a_lone_run(case(corpus, variant), STEPS, atol=1e-5)


@pytest.mark.parametrize("variant", ["sgd", slow("plain")])
def test_the_place_of_a_run_changes_no_bit(corpus, variant):
    contract.check_place_changes_no_bit(case(corpus, variant), STEPS)


@pytest.mark.parametrize("variant", ["everything", "sgd", slow("plain"), slow("low")])
def test_resuming_from_a_file_changes_no_bit(corpus, tmp_path, variant):
    contract.check_resumes_bit_for_bit(case(corpus, variant), tmp_path)


@pytest.mark.parametrize("variant", ["sgd", slow("plain"), slow("everything"), slow("low")])
def test_chunk_length_changes_no_bit(corpus, variant):
    contract.check_chunk_length_changes_no_bit(case(corpus, variant), STEPS, (STEPS,))


@pytest.mark.slow
def test_every_chunk_length_gives_the_same_bits(corpus):
    contract.check_chunk_length_changes_no_bit(case(corpus), STEPS, (1, 7))


@pytest.mark.parametrize("variant", [slow("sgd"), slow("plain")])
def test_sharding_over_devices_changes_nothing_beyond_rounding(corpus, variant):
    contract.check_sharded_is_unsharded(case(corpus, variant), STEPS, atol=1e-5)


@pytest.mark.parametrize("variant", ["sgd", slow("plain")])
def test_seeds_give_different_runs_and_the_same_seed_repeats(corpus, variant):
    contract.check_seeds_differ_and_repeat(case(corpus, variant), STEPS)


@pytest.mark.parametrize("variant", ["sgd", slow("plain")])
def test_each_program_is_traced_once(corpus, variant):
    contract.check_traced_once(case(corpus, variant))


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_program_for_accelerators_trains_as_that_for_cpus(corpus, platform, monkeypatch):
    contract.check_program_of_accelerators(case(corpus), monkeypatch, platform)


@pytest.mark.parametrize("variant", ["plain", "everything", "sgd", slow("low")])
def test_no_key_is_used_twice(corpus, variant):
    contract.check_keys_are_used_once(case(corpus, variant))


SWEPT = {
    "everything": {
        "learning_rate": [1e-3, 1e-2],
        "warmup": [0.0, 20.0],
        "beta1": [0.0, 0.9],
        "beta2": [0.9, 0.999],
        "max_grad_norm": [0.0, 1e-9],
        "weight_decay": [0.0, 1.0],
        **{name: [0.0, 0.5] for name in OFF},
    },
    "sgd": {"decay": [0.1, 0.9], "decay_after": [0.0, 9.0], "ema_decay": [0.5, 0.9]},
}
BY_EPOCH = {"patience", "trigger_after"}  # tested with the plateau and the trigger


def test_every_hyperparameter_has_a_case():
    fields = {field.name for field in dataclasses.fields(HParams)}
    assert set().union(*SWEPT.values()) | BY_EPOCH == fields


@pytest.mark.parametrize("variant", SWEPT)
def test_every_hyperparameter_changes_the_outcome(corpus, variant):
    contract.check_every_hparam_changes_the_outcome(case(corpus, variant), SWEPT[variant], 10)


@pytest.fixture(scope="module")
def four_epochs(corpus):
    """Runs with two weight decays, whose validation loss is checked after each epoch but the last.
    The larger weight decay makes every step overshoot, so that the loss only grows."""
    hparams = dataclasses.replace(NOISY, learning_rate=1e-3, decay=0.9)
    tried = contract.Case(case(corpus, "everything").problem, hparams, {"weight_decay": [0, 2300]})
    steps = 4 * tried.problem.task.epoch
    steps -= steps % contract.CHUNK
    return tried.problem, contract.run(tried, steps)


def test_each_run_has_its_own_plateau_schedule(four_epochs):
    scale = four_epochs[1].states.plateau.scale.reshape(2, contract.SEEDS)
    np.testing.assert_allclose(scale, [[1], [0.9**2]] * np.ones(contract.SEEDS))


def test_each_run_starts_averaging_by_its_own_trigger(four_epochs):
    states = four_epochs[1].states
    assert states.trigger.lowest.shape == (2 * contract.SEEDS, MEMORY)
    begun = states.trigger.begun.reshape(2, contract.SEEDS)
    assert begun.tolist() == [contract.SEEDS * [False], contract.SEEDS * [True]]
    pairs = zip(*map(jax.tree.leaves, (states.params, states.trained)), strict=True)
    apart = [np.abs(leaf - other).reshape(*begun.shape, -1).max(axis=2) for leaf, other in pairs]
    apart = np.max(apart, axis=0)
    assert (apart[0] == 0).all()
    assert (apart[1] > 1e-3).all()


def test_averaged_params_are_evaluated(corpus, four_epochs):
    problem, swept = four_epochs
    average = jax.tree.map(lambda leaf: leaf[-1], swept.states.params)
    model = make_model(config(corpus, "everything"), problem.shared.symbols)
    heldout = problem.shared.validation
    nll = jax.jit(lambda params: heldout_nll(model, params, heldout, 5))(average)
    loss = swept.metrics["validation_loss"].dropna().iloc[-1]
    assert loss == pytest.approx(float(nll) / heldout.counts.sum(), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["patience", "trigger_after"])
def test_plateau_and_trigger_work_alone(corpus, name):
    changes = {"patience": {"schedule": "plateau"}, "trigger_after": {"averaging": "asgd"}}[name]
    setting = config(corpus, batch_size=100, window=20, epochs=6, **changes)
    problem = make_problem(setting)
    windows = updates_an_epoch(setting, problem.shared)
    hparams = HParams(patience=0.0, trigger_after=1.0, max_grad_norm=0.0)
    tried = contract.Case(problem, hparams, {"learning_rate": [1e-3, 3.0]})
    states = contract.run(tried, 6 * windows, seeds=[0], chunk=6 * windows).states
    if name == "patience":
        assert states.plateau.scale[0] == 1
        assert states.plateau.scale[1] < 1
    else:
        assert states.trigger.begun.tolist() == [False, True]


def test_loss_perplexity_and_bits_agree(corpus):
    problem = case(corpus, "everything").problem
    metrics = contract.run(case(corpus, "everything"), contract.CHUNK).metrics
    metrics = metrics[metrics["run"] == 0].iloc[-1]
    facts = problem.facts["validation"]
    loss = metrics["validation_loss"]
    assert metrics["validation_perplexity"] == pytest.approx(np.exp(loss), rel=1e-5)
    bits = loss * facts["tokens"] / np.log(2) / facts["characters"]
    assert metrics["validation_bits_per_character"] == pytest.approx(bits, rel=1e-5)
    assert loss == pytest.approx(np.log(facts["tokens"] and problem.shared.symbols), rel=0.1)


@pytest.mark.parametrize("seed", [0, slow(1)])
def test_it_learns_what_can_be_learned(corpus, seed):
    """Within a word the next letter is nearly certain, so that far less than one bit is possible;
    the next word is not predictable."""
    problem, hparams = make_problem(small(corpus, steps=400)), HParams(learning_rate=2e-2)
    state, _ = train(problem, hparams, 400, seed)
    metrics = jax.jit(problem.task.evaluate)(problem.shared, hparams, state, jax.random.key(0))
    assert 0.3 < metrics["validation_bits_per_character"] < 1.3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 10_000}, "fewer than one window of --window 5 for each of --batch-size"),
        ({"level": "letter"}, "--level letter: there are word, character, byte, bpe"),
        ({"schedule": "linear"}, "--schedule linear: there are constant, decay, cosine, plateau"),
        ({"hidden": ()}, "--hidden"),
        ({"softmax_chunk": 3}, "--softmax-chunk 3: must divide the 4 x 5 tokens"),
        ({"glove": "vectors.txt"}, "--glove vectors.txt: for --level word, not character"),
        ({"frozen": True, "tied": True}, "the softmax would not learn"),
        ({"split": "90"}, "--split 90: give two or three percentages"),
    ],
)
def test_an_inconsistent_config_gives_a_one_line_error(corpus, changes, says):
    with pytest.raises(UserError, match=says):
        make_problem(config(corpus, **changes))
